"""From a log record to the receiver: redacted and within limits, for any record."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord

from blogauto_otel import semconv
from testkit.forking import in_child
from testkit.receiver import LogRecord, Receiver
from tests.sdk.providers import Providers, locks_of, providing


def emit(providers: Providers, **fields: Any) -> None:
    providers.logs.get_logger("tests", "1.0").emit(**fields)


def the_record(receiver: Receiver, providers: Providers) -> LogRecord:
    providers.flush()
    [record] = receiver.logs
    return record


def test_a_record_arrives_with_all_it_has(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        with providers.tracing.get_tracer("tests").start_as_current_span("work") as span:
            emit(
                providers,
                body={"text": "hello", "list": [1, None]},
                severity_number=SeverityNumber.ERROR,
                severity_text="ERROR",
                timestamp=5,
                event_name="greeting",
                attributes={"k": [1.5]},
            )
        providers.flush()
    [record] = receiver.logs
    context = span.get_span_context()
    assert record.body == {"text": "hello", "list": [1, None]}
    assert (record.severity, record.severity_number, record.time, record.event_name) == ("ERROR", 17, 5, "greeting")
    assert (record.trace_id, record.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert record.flags == context.trace_flags
    assert (record.attributes, record.scope) == ({"k": [1.5]}, "tests")
    assert record.observed_time > 0


def test_a_record_outside_a_span_has_no_ids(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        emit(providers, body="alone")
        record = the_record(receiver, providers)
    assert (record.trace_id, record.span_id, record.flags) == ("", "", 0)


def test_secrets_do_not_leave(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        emit(providers, body="password=hunter2", attributes={"api_key": "abc-secret"})
        record = the_record(receiver, providers)
    assert "hunter2" not in str(record)
    assert "abc-secret" not in str(record)


def test_lengths_and_counts_keep_to_the_settings(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    with providing(receiver, max_log_attribute_length=50) as providers:
        emit(providers, body="b" * 90, attributes={"k": "x" * 90})
        record = the_record(receiver, providers)
    assert (len(record.body), len(record.attributes["k"])) == (90, 50)  # the limit is of attributes
    assert record.attributes[semconv.TRUNCATED] is True
    assert caplog.text == ""


@pytest.mark.quiet_guard
def test_a_processor_that_raises_affects_neither_the_application_nor_the_record(receiver: Receiver) -> None:
    class Broken(LogRecordProcessor):
        def on_emit(self, log_record: ReadWriteLogRecord) -> None:
            raise RuntimeError

        def enabled(self, **_: Any) -> bool:
            raise RuntimeError

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    with providing(receiver, log_processors=[Broken()]) as providers:
        providers.logs.add_log_record_processor(Broken())
        ask = getattr(providers.logs.get_logger("tests"), "enabled", lambda: True)  # since 1.41
        assert ask()
        emit(providers, body="here")
        assert the_record(receiver, providers).body == "here"


def test_the_console_exporter_prints_redacted_json(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    with providing(receiver, logs_exporter="console") as providers:
        emit(providers, body="password=hunter2")
    printed = capsys.readouterr().out
    assert "hunter2" not in printed
    assert "password" in json.loads(printed)["body"]
    assert receiver.requests == []


def test_loggers_made_before_a_fork_emit_for_the_child(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        provider = providers.logs
        logger = provider.get_logger("old")
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with contextlib.ExitStack() as stack:
                for lock in locks_of(provider, provider.processors):
                    stack.enter_context(lock)
                held.set()
                release.wait(30.0)

        threading.Thread(target=hold, daemon=True).start()
        held.wait()

        def child() -> None:
            providers.after_fork_in_child()
            logger.emit(body="old logger")
            provider.get_logger("new").emit(body="new logger")
            providers.flush()

        in_child(child)
        release.set()
    assert {record.body for record in receiver.logs} == {"old logger", "new logger"}
    assert {record.resource["service.instance.id"] for record in receiver.logs} == {"child"}
