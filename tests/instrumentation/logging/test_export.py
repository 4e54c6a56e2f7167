"""Every handled record is exported once, with its trace, whatever its content and whatever fails."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import pytest
from opentelemetry._logs import NoOpLogger
from opentelemetry.context import attach, create_key, detach, get_current, set_value
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanContext, TraceFlags

from blogauto_otel import _guard, bind
from blogauto_otel.api.context import begin_request, end_request
from blogauto_otel.api.failures import record_failure
from blogauto_otel.instrumentation import State
from blogauto_otel.instrumentation import logging as instrumentation
from blogauto_otel.instrumentation.logging import export, severity_of
from tests.instrumentation.logging.conftest import Instrument

log = logging.getLogger("shop.orders")


@pytest.fixture(autouse=True)
def _named_logger(fresh_logging: logging.Logger) -> None:
    global log
    log = logging.getLogger("shop.orders")


@pytest.fixture
def request_scope() -> Iterator[None]:
    token = begin_request("r-1")
    yield
    end_request(token)


# --- what a record becomes -------------------------------------------------------------------------------------------


def test_a_record_is_exported_under_its_logger_s_name(instrument: Instrument) -> None:
    exported = instrument()
    log.warning("order %s is late by %d days", "A7", 3)
    assert exported.one.body == "order A7 is late by 3 days"
    assert exported.one.scope == "shop.orders"
    assert (exported.one.severity, exported.one.severity_text) == (13, "WARN")


def test_a_record_carries_its_span(instrument: Instrument) -> None:
    exported = instrument()
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("work") as span:
        log.info("inside")
    log.info("outside")
    inside, outside = exported.records
    assert (inside.trace_id, inside.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    assert outside.trace_id == 0


def test_a_record_carries_request_and_user(instrument: Instrument, request_scope: None) -> None:
    exported = instrument()
    bind(user_id=42)
    log.info("paid")
    attributes = exported.one.attributes
    assert (attributes["request.id"], attributes["user.id"]) == ("r-1", 42)


def test_a_record_has_its_file_function_and_line(instrument: Instrument) -> None:
    exported = instrument()
    log.info("here")
    attributes = exported.one.attributes
    assert attributes["code.file.path"] == __file__
    assert attributes["code.function.name"] == "test_a_record_has_its_file_function_and_line"
    assert attributes["code.line.number"] > 1


def test_extras_are_attributes_and_win_over_what_is_bound(instrument: Instrument, request_scope: None) -> None:
    exported = instrument()
    bind(site="bound")
    log.info("saved", extra={"site": "extra", "posts": 3, "tags": ["a", "b"], "size": {"w": 1}})
    attributes = exported.one.attributes
    assert attributes["site"] == "extra"
    assert attributes["posts"] == 3
    assert list(attributes["tags"]) == ["a", "b"]
    assert dict(attributes["size"]) == {"w": 1}


def test_a_named_tuple_keeps_its_names_by_which_secrets_are_found(instrument: Instrument) -> None:
    class Login(NamedTuple):
        user: str
        password: str

    exported = instrument()
    log.info("signing in", extra={"login": Login("bob", "x"), "rows": [Login("eve", "y")]})
    attributes = exported.one.attributes
    assert attributes["login"] == {"user": "bob", "password": "x"}  # as it goes to the exporter, which redacts
    assert list(attributes["rows"]) == [{"user": "eve", "password": "y"}]


def test_an_event_has_its_name(instrument: Instrument) -> None:
    exported = instrument()
    log.info("published", extra={"event.name": "post.published"})
    assert exported.one.event_name == "post.published"
    assert "event.name" not in exported.one.attributes


def test_an_exception_has_its_qualified_type_message_and_traceback(instrument: Instrument) -> None:
    exported = instrument()
    try:
        json.loads("{")
    except ValueError:
        log.exception("cannot read")
    attributes = exported.one.attributes
    assert attributes["exception.type"] == "json.decoder.JSONDecodeError"
    assert attributes["exception.message"].startswith("Expecting property name")
    assert "json.loads" in attributes["exception.stacktrace"]
    assert exported.one.severity == 17


def test_a_long_traceback_and_a_long_message_are_bounded(instrument: Instrument) -> None:
    def deep(number: int) -> None:
        if not number:
            raise ValueError("x" * 1_000_000)
        deep(number - 1)

    exported = instrument()
    try:
        deep(300)
    except ValueError:
        log.exception("y" * 1_000_000)
    record = exported.one
    assert len(record.attributes["exception.message"]) <= 8_192
    assert len(record.attributes["exception.stacktrace"]) <= 16_500
    assert len(record.body) <= 33_000
    assert record.attributes["blogauto.truncated"] is True


@pytest.mark.parametrize(
    ("level", "number"),
    [(0, 0), (5, 1), (10, 5), (13, 8), (19, 8), (20, 9), (25, 12), (30, 13), (40, 17), (50, 21), (900, 24)],
)
def test_levels_map_to_severities(level: int, number: int) -> None:
    assert severity_of(level).value == number


def test_a_structured_message_of_structlog_s_kind_is_taken_apart(instrument: Instrument) -> None:
    exported = instrument()
    log.info({"event": "paid", "amount": 3, "level": "info", "logger": "shop"})
    assert exported.one.body == "paid"
    assert exported.one.attributes["amount"] == 3
    assert "level" not in exported.one.attributes


# --- which records ---------------------------------------------------------------------------------------------------


def test_a_record_below_the_level_is_not_exported(instrument: Instrument) -> None:
    exported = instrument(log_level="warning")
    log.setLevel(logging.DEBUG)
    log.info("low")
    log.warning("high")
    assert exported.bodies == ["high"]


def test_a_logger_s_filter_is_obeyed(instrument: Instrument) -> None:
    exported = instrument()
    log.addFilter(lambda record: "secret" not in record.getMessage())
    log.info("secret plan")
    log.info("plan")
    assert exported.bodies == ["plan"]


def test_a_record_passed_on_by_a_handler_is_exported_once(
    instrument: Instrument, fresh_logging: logging.Logger
) -> None:
    class PassOn(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("elsewhere").handle(record)

    exported = instrument()
    log.addHandler(PassOn())
    log.info("once")
    assert exported.bodies == ["once"]


def test_a_record_of_a_handler_is_a_record_too(instrument: Instrument) -> None:
    class Chatty(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("handler").info("handled %s", record.msg)

    exported = instrument()
    log.addHandler(Chatty())
    log.warning("one")
    assert exported.bodies == ["one", "handled one"]


def test_where_a_handler_of_opentelemetry_exports_ours_does_not(
    instrument: Instrument, fresh_logging: logging.Logger
) -> None:
    class LoggingHandler(logging.NullHandler):
        pass

    LoggingHandler.__module__ = "opentelemetry.instrumentation.logging.handler"
    fresh_logging.addHandler(LoggingHandler())
    exported = instrument(console="text")
    log.info("twice?")
    assert exported.bodies == []
    assert exported.report is not None
    assert exported.report.state is State.SKIPPED


def test_switched_off_nothing_is_exported_and_nothing_patched(instrument: Instrument) -> None:
    stock = logging.Logger.callHandlers
    exported = instrument(logging=False)
    log.info("unseen")
    assert exported.bodies == []
    assert exported.report is not None
    assert exported.report.state is State.OFF
    assert logging.Logger.callHandlers is stock


def test_a_function_watches_records_from_its_level_on_while_its_condition_holds(instrument: Instrument) -> None:
    seen: list[str] = []
    holds: list[object] = [None]

    def watch(record: logging.LogRecord) -> None:
        seen.append(record.getMessage())

    exported = instrument()
    instrumentation.on_record(watch, level=logging.WARNING, when=lambda: holds[0])
    log.warning("before")
    holds[0] = True
    log.info("low")
    log.warning("seen")
    instrumentation.unwatch_records(watch)
    log.warning("after")
    assert seen == ["seen"]
    assert exported.bodies == ["before", "low", "seen", "after"]


def test_instrumented_twice_exports_once(instrument: Instrument) -> None:
    instrument()
    exported = instrument()
    log.info("once")
    assert exported.bodies == ["once"]


def test_uninstrumented_logging_is_the_standard_library_s_again(instrument: Instrument) -> None:
    stock = logging.Logger.callHandlers
    exported = instrument()
    assert logging.Logger.callHandlers is not stock
    instrumentation.uninstrument()
    log.warning("unseen")
    assert exported.bodies == []
    assert logging.Logger.callHandlers is stock


def test_logger_names_made_at_run_time_are_bounded(instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MAX_LOGGERS", 10)
    exported = instrument()
    for number in range(30):
        logging.getLogger(f"job-{number}").info("done")
    assert len({record.scope for record in exported.records}) == 11
    assert exported.records[-1].attributes["logger.name"] == "job-29"


def test_many_threads_log_at_once_and_each_record_arrives_once(instrument: Instrument) -> None:
    exported = instrument()

    def work(name: int) -> None:
        for number in range(100):
            log.info("%d-%d", name, number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(exported.bodies) == sorted(f"{name}-{number}" for name in range(8) for number in range(100))


# --- it never raises -------------------------------------------------------------------------------------------------


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class HostileError(Exception):
    __str__ = __repr__ = Hostile.__str__


def hostile_list() -> Any:
    class Lazy(list[int]):
        def __iter__(self) -> Iterator[int]:
            raise RuntimeError("the database is gone")

    return Lazy([1])


def circular_list() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize(
    ("message", "arguments", "extra"),
    [
        ("%d posts", ("many",), {}),
        ("%s and %s", ("one",), {}),
        ("none", ("one",), {}),
        ("%(name)s", ({"other": 1},), {}),
        ("%s", (Hostile(),), {}),
        (Hostile(), (), {}),
        (None, (), {}),
        (b"bytes", (), {}),
        ({"event": Hostile()}, (), {}),
        ("extra", (), {"value": Hostile()}),
        ("extra", (), {"value": hostile_list()}),
        ("extra", (), {"value": circular_list()}),
        ("extra", (), {"value": {Hostile(): Hostile()}}),
        ("extra", (), {"value": {"deep": {"deep": {"deep": {"deep": {"deep": 1}}}}}}),
        ("extra", (), {"value": range(10**9)}),
        ("extra", (), {"value": 10**5000}),
        ("extra", (), {"value": float("nan")}),
        ("extra", (), {"extra": {Hostile(): 1}}),
        ("lone \ud800", (), {"value": "\udfff"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_message_argument_or_extra_makes_logging_raise(
    instrument: Instrument,
    fresh_logging: logging.Logger,
    message: Any,
    arguments: tuple[Any, ...],
    extra: dict[str, Any],
) -> None:
    fresh_logging.handlers.clear()  # pytest's raise where the standard library's print
    for console in ("off", "json", "text"):
        exported = instrument(console=console)
        log.info(message, *arguments, extra=extra)
        assert len(exported.records) == 1
        assert isinstance(exported.one.body, str)
        assert exported.delivery.losses == []


def test_no_exception_makes_logging_raise(instrument: Instrument, fresh_logging: logging.Logger) -> None:
    fresh_logging.handlers.clear()
    for console in ("off", "json", "text"):
        exported = instrument(console=console)
        try:
            raise HostileError
        except HostileError:
            log.exception("failed")
        assert exported.one.attributes["exception.type"].endswith("HostileError")


@pytest.fixture
def handled() -> Iterator[list[logging.LogRecord]]:
    """What reaches the logger's own handler, the only one there is."""
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[assignment, method-assign]
    log.addHandler(handler)
    log.propagate = False
    yield seen
    log.removeHandler(handler)
    log.propagate = True


# As receivers of records from other processes build them.
BY_HAND: dict[str, dict[str, Any]] = {
    "without a name": {"levelno": 40, "levelname": "ERROR", "msg": "by hand"},
    "with a level and no more": {"msg": "by hand", "levelno": 40},
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("console", ["off", "json", "text"])
@pytest.mark.parametrize("fields", BY_HAND.values(), ids=BY_HAND.keys())
def test_a_record_that_is_built_by_hand_reaches_its_handler_and_is_exported(
    instrument: Instrument, handled: list[logging.LogRecord], fields: dict[str, Any], console: str
) -> None:
    exported = instrument(console=console)
    record = logging.makeLogRecord(fields)
    log.handle(record)
    assert handled == [record]
    assert exported.one.body == "by hand"


ODD: dict[str, Callable[[logging.LogRecord], None]] = {
    "no path": lambda record: delattr(record, "pathname"),
    "a name that is no text": lambda record: setattr(record, "name", 5),
    "no exception at all": lambda record: delattr(record, "exc_info"),
    "half an exception": lambda record: setattr(record, "exc_info", ("a",)),
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("console", ["off", "json", "text"])
@pytest.mark.parametrize("break_it", ODD.values(), ids=ODD.keys())
def test_an_object_that_is_not_a_record_reaches_its_handler(
    instrument: Instrument,
    handled: list[logging.LogRecord],
    fresh_logging: logging.Logger,
    break_it: Callable[[logging.LogRecord], None],
    console: str,
) -> None:
    instrument(console=console)
    for handler in (*log.handlers, *fresh_logging.handlers):
        if handler.emit != handled.append:  # those of the test runner format what they get
            log.removeHandler(handler)
            fresh_logging.removeHandler(handler)
    record = logging.makeLogRecord({"name": "x", "levelno": 40, "levelname": "ERROR", "msg": "by hand"})
    break_it(record)
    log.handle(record)
    assert record in handled


@pytest.mark.quiet_guard
def test_a_record_is_counted_when_the_provider_fails(instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(NoOpLogger):
        def emit(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("no emission today")

    monkeypatch.setattr(LoggerProvider, "get_logger", lambda self, name, *a, **k: Broken(name))
    exported = instrument()
    reached: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: reached.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    log.warning("one")
    assert reached == ["one"]
    # The record, and the log line about its loss.
    assert exported.delivery.losses == [("logs", "translation"), ("logs", "translation")]
    assert _guard.swallowed()["exporting a log record"] == 2


def test_near_the_recursion_limit_logging_works_as_without_us(instrument: Instrument) -> None:
    instrument()

    def deeper() -> int:
        try:
            log.info("how deep")
            return deeper() + 1
        except RecursionError:
            return 0

    assert deeper() > 50


def test_an_exception_of_a_handler_is_the_application_s(instrument: Instrument) -> None:
    class Strict(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise LookupError("on purpose")

    exported = instrument()
    log.addHandler(Strict())
    with pytest.raises(LookupError, match="on purpose"):
        log.warning("seen")
    log.handlers.clear()
    log.info("and on")
    assert exported.bodies == ["seen", "and on"]


# --- it never feeds itself -------------------------------------------------------------------------------------------


def test_what_is_logged_while_exporting_with_instrumentation_suppressed_is_not_exported(instrument: Instrument) -> None:
    exported = instrument(log_level="debug")
    with suppress_instrumentation():
        logging.getLogger("urllib3.connectionpool").debug("http://localhost:4318 POST /v1/logs")
    assert exported.bodies == []


@pytest.mark.parametrize("key", ["suppress_instrumentation"])
def test_either_key_suppresses(instrument: Instrument, key: str) -> None:
    exported = instrument()
    token = attach(set_value(key, True, get_current()))
    log.warning("own")
    detach(token)
    token = attach(set_value(create_key("something else"), True))
    log.warning("other")
    detach(token)
    assert exported.bodies == ["other"]


def test_an_exporter_that_logs_as_it_exports_does_not_export_its_own_records(instrument: Instrument) -> None:
    exported = instrument(log_level="debug")

    def collector_is_down() -> None:
        with suppress_instrumentation():
            for number in range(600):
                logging.getLogger("some.exporter").error("attempt %d failed", number)

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    worker = threading.Thread(target=collector_is_down)
    worker.start()
    worker.join(60)
    assert exported.bodies == []
    assert len(lines) == 600  # as the application has it


def test_a_suppressed_line_costs_no_more_than_a_printed_one(instrument: Instrument) -> None:
    noisy = logging.getLogger("some.exporter")

    def least_seconds() -> float:
        times = []
        for _ in range(30):
            began = time.thread_time()
            for number in range(200):
                noisy.error("attempt %d failed", number)
            times.append(time.thread_time() - began)
        return min(times)

    printing = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(printing)
    printed = least_seconds()
    logging.getLogger().removeHandler(printing)
    instrument(console="json")
    with suppress_instrumentation():
        assert least_seconds() < 2 * printed


def test_opentelemetry_s_own_lines_are_ten_a_minute_and_the_rest_is_counted(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    exported = instrument()
    sdk = logging.getLogger("opentelemetry.attributes")
    for number in range(500):
        sdk.warning("invalid type %d", number)
    log.info("the application's own are not counted")
    assert len(exported.records) == 11
    exported.clear()
    now += 61
    sdk.warning("again")
    assert exported.bodies == ["490 log lines of opentelemetry were suppressed", "again"]


def test_a_provider_that_logs_about_each_record_does_not_loop(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[str] = []

    class Talkative(NoOpLogger):
        def emit(self, *args: Any, body: Any = None, **kwargs: Any) -> None:
            emitted.append(body)
            logging.getLogger("processor").warning("something about %s", body)

    monkeypatch.setattr(LoggerProvider, "get_logger", lambda self, name, *a, **k: Talkative(name))
    exported = instrument()
    log.info("one")
    assert emitted == ["one", "something about one"]
    assert exported.delivery.losses == [("logs", "nested")]


class Interrupted(NoOpLogger):
    """While it emits a record, a signal arrives whose handler logs as well, up to a depth."""

    def __init__(self, name: str, emitted: list[str], handlers: list[Callable[[], None]]) -> None:
        super().__init__(name)
        self._emitted = emitted
        self._handlers = handlers

    def emit(self, *args: Any, body: Any = None, **kwargs: Any) -> None:
        if self._handlers:
            self._handlers.pop()()
        self._emitted.append(body)


def test_records_of_signal_handlers_that_interrupt_each_other_are_exported_at_any_depth(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[str] = []
    handlers: list[Callable[[], None]] = [
        lambda: log.warning("fourth"),
        lambda: log.warning("third"),
        lambda: log.warning("second"),
        lambda: log.warning("first"),
    ]
    monkeypatch.setattr(LoggerProvider, "get_logger", lambda self, name, *a, **k: Interrupted(name, emitted, handlers))
    exported = instrument()
    log.info("one")
    assert sorted(emitted) == ["first", "fourth", "one", "second", "third"]
    assert exported.delivery.losses == []


def test_the_same_handler_that_interrupts_itself_is_counted_where_it_is_not_exported(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[str] = []
    handlers: list[Callable[[], None]] = [lambda: log.warning("again")] * 50
    monkeypatch.setattr(LoggerProvider, "get_logger", lambda self, name, *a, **k: Interrupted(name, emitted, handlers))
    exported = instrument()
    logged = 0
    while handlers:
        logged += 1
        log.info("one")
    assert len(emitted) + len(exported.delivery.losses) == 50 + logged


def test_a_logger_name_of_any_length_is_a_scope_of_bounded_length(instrument: Instrument) -> None:
    exported = instrument()
    logging.getLogger("n" * 100_000).warning("long")
    logging.getLogger("n" * 100_000).warning("again")
    assert exported.bodies == ["long", "again"]
    assert {len(record.scope) for record in exported.records} == {256}


def test_an_exception_that_is_logged_when_its_span_is_over_is_in_its_trace(instrument: Instrument) -> None:
    """As uvicorn does, when the request has ended and its context is reset."""
    exported = instrument()
    error = ValueError("x")
    record_failure(error, SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(1)))
    logging.getLogger("server").error("it failed", exc_info=error)
    assert (exported.one.trace_id, exported.one.span_id) == (7, 8)


def test_a_callback_may_add_to_records_before_they_are_exported(instrument: Instrument) -> None:
    exported = instrument()

    def watch(record: logging.LogRecord) -> None:
        record.__dict__["sentry.event_id"] = "e1"

    instrumentation.watch_records(cast("Any", None), watch)
    try:
        logging.getLogger("app").warning("seen")
    finally:
        instrumentation.unwatch_records(watch)
    logging.getLogger("app").warning("not seen")
    assert [record.attributes.get("sentry.event_id") for record in exported.records] == ["e1", None]


def test_callbacks_get_records_where_none_are_exported_or_printed(instrument: Instrument) -> None:
    exported = instrument(logging=False)
    assert exported.report is not None
    assert exported.report.state is State.OFF
    seen: list[str] = []

    def watch(record: logging.LogRecord) -> None:
        seen.append(record.getMessage())

    instrumentation.watch_records(exported.context, watch)
    try:
        logging.getLogger("app").warning("seen")
        logging.getLogger("blogauto_otel").warning("our own")
    finally:
        instrumentation.unwatch_records(watch)
    assert seen == ["seen"]
    assert exported.records == []
