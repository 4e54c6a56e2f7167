"""An unavailable receiver: one log line for all signals, with advice, and no other until something changes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from blogauto_otel import _guard
from blogauto_otel.export.outage_log import OutageLog
from blogauto_otel.export.transport import ExportResult, ExportStatus
from blogauto_otel.otlp.signal import Signal
from testkit.ports import free_port
from testkit.processes import eventually, python, running
from testkit.receiver import Receiver

REFUSED = ExportResult(ExportStatus.RETRY, "connection", "c:4318: ConnectionRefusedError", answered=False)
OVERLOADED = ExportResult(ExportStatus.RETRY, "http_503", "c:4318: 503 overloaded")


@pytest.fixture
def outages(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> OutageLog:
    monkeypatch.setattr(_guard, "QUIET_SECONDS", 0.0)  # a line that is logged once does not depend on the rate limit
    caplog.set_level(logging.INFO, "blogauto_otel")
    return OutageLog()


def endpoint(signal: Signal) -> str:
    return f"http://c:4318/v1/{signal.value}"


def fail(outages: OutageLog, result: ExportResult, *signals: Signal) -> None:
    for _ in range(3):
        for signal in signals or Signal:
            outages.failed(endpoint(signal), signal, result)


def succeed(outages: OutageLog, *signals: Signal) -> None:
    for signal in signals or Signal:
        outages.succeeded(endpoint(signal), signal)


def test_one_line_for_all_signals_says_what_to_do(outages: OutageLog, caplog: pytest.LogCaptureFixture) -> None:
    fail(outages, REFUSED)
    [line] = caplog.messages
    said, _, what_to_do = line.partition("; ")
    assert said.startswith("cannot deliver telemetry to http://c:4318, keeping what waits and trying again: ")
    assert said.endswith(REFUSED.message)
    assert what_to_do.startswith("start a Collector there, set OTEL_EXPORTER_OTLP_ENDPOINT, or ")


def test_an_outage_is_logged_when_it_changes_only(outages: OutageLog, caplog: pytest.LogCaptureFixture) -> None:
    fail(outages, REFUSED)
    fail(outages, OVERLOADED)
    fail(outages, REFUSED)
    succeed(outages, Signal.TRACES, Signal.LOGS)  # metrics still fail
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "cannot deliver telemetry to http://c:4318",
        "cannot deliver traces to http://c:4318",
    ]
    succeed(outages)
    succeed(outages)
    assert caplog.messages[2:] == ["delivering to http://c:4318 again"]


def test_the_next_outage_is_logged_again(outages: OutageLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        fail(outages, REFUSED)
        succeed(outages)
    assert [message.split()[0] for message in caplog.messages] == ["cannot", "delivering"] * 2


def test_each_receiver_has_its_own_line(outages: OutageLog, caplog: pytest.LogCaptureFixture) -> None:
    outages.failed("http://a:1/v1/traces", Signal.TRACES, REFUSED)
    outages.failed("http://b:1/v1/logs", Signal.LOGS, REFUSED)
    outages.succeeded("http://b:1/v1/logs", Signal.LOGS)
    said = [message.partition(",")[0] for message in caplog.messages]
    assert said == [
        "cannot deliver telemetry to http://a:1",
        "cannot deliver telemetry to http://b:1",
        "delivering to http://b:1 again",
    ]


PROGRAM = """
import itertools, logging, time
import blogauto_otel
blogauto_otel.configure(service_name="shop", console="text", metric_interval=0.2, span_delay=0.1, log_delay=0.1)
for number in itertools.count():
    with blogauto_otel.operation("order"):
        logging.getLogger("shop").warning("order %d", number)
    time.sleep(0.05)
"""


@pytest.mark.slow
def test_a_program_without_a_collector_logs_one_line_until_there_is_one(tmp_path: Path) -> None:
    port = free_port()
    collector = f"http://127.0.0.1:{port}"
    with running(python("-c", PROGRAM), tmp_path / "log", OTEL_EXPORTER_OTLP_ENDPOINT=collector) as child:
        eventually(lambda: "order 100 " in child.output)  # five seconds of failures of each signal
        start, outage = (line for line in child.output.splitlines() if " blogauto_otel: " in line)
        assert "; on: " in start
        assert f"cannot deliver telemetry to {collector}, keeping what waits and trying again" in outage
        assert "; start a Collector there, set OTEL_EXPORTER_OTLP_ENDPOINT, or " in outage
        with Receiver(port=port):
            eventually(lambda: f"delivering to {collector} again" in child.output)
