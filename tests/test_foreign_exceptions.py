"""Objects of the application that raise what is no `Exception`: the call returns, and the rest of the item arrives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics import Observation
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Link, SpanContext, TraceFlags
from sqlalchemy import create_engine, text

from blogauto_otel import bind, operation, redaction
from blogauto_otel.api.declarations import counter
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import TextLimits
from blogauto_otel.testing import Captured, capture_telemetry

pytestmark = pytest.mark.quiet_guard

logger = logging.getLogger("shop")


class OwnError(BaseException):
    """What an application ends its workers with."""


ENDINGS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, OwnError]


def hostile(*methods: str, bases: tuple[type, ...] = (object,)) -> Callable[[type[BaseException]], Any]:
    """A factory of objects whose `methods` raise what it is given."""

    def make(ending: type[BaseException]) -> Any:
        def fail(*_: object, **__: object) -> Any:
            raise ending

        return type("Hostile", bases, dict.fromkeys(methods, fail))()

    return make


def named(ending: type[BaseException]) -> Any:
    class Named:
        @property
        def __class__(self) -> Any:
            raise ending

        @__class__.setter
        def __class__(self, value: object) -> None: ...

    return Named()


TEXT = ("__str__", "__repr__", "__format__")
KINDS: Mapping[str, Callable[[type[BaseException]], Any]] = {
    "text": hostile(*TEXT),
    "a sequence": hostile("__iter__", "__len__", "__getitem__", *TEXT, bases=(Sequence,)),
    "a mapping": hostile("__iter__", "__len__", "__getitem__", "items", "keys", *TEXT, bases=(Mapping,)),
    "truth and equality": hostile("__bool__", "__eq__", "__hash__", *TEXT),
    "a class of its own": named,
    "a key": lambda ending: {hostile(*TEXT)(ending): 1},
    "an item": lambda ending: [1, hostile(*TEXT)(ending)],
    "an exception": hostile(*TEXT, "__notes__", bases=(ValueError,)),
}
TIMES = TraceFlags(TraceFlags.SAMPLED)


@counter("shop.orders", unit="{order}")
def orders(*, channel: str, country: str = "KR") -> None:
    """Orders."""


@pytest.fixture
def telemetry() -> Iterator[Captured]:
    """Telemetry of an application that has no handlers of its own, so that ours prints."""
    with capture_telemetry(console="text") as captured:
        yield captured


def _error(value: Any) -> BaseException:
    """An exception that is the value, or quotes it; `isinstance` would ask the value."""
    return value if issubclass(type(value), BaseException) else ValueError(value)


def span_attribute(value: Any) -> None:
    with trace.get_tracer("shop").start_as_current_span("item", attributes={"kept": 1}) as span:
        span.set_attribute("value", value)
        span.set_attributes({"other": value, "kept.too": 2})


def span_start(value: Any) -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TIMES)
    attributes = {"kept": 1, "value": value}
    trace.get_tracer("shop").start_span("item", attributes=attributes, links=[Link(context, attributes)]).end()


def span_event(value: Any) -> None:
    with trace.get_tracer("shop").start_as_current_span("item", attributes={"kept": 1}) as span:
        span.add_event("event", {"value": value})
        span.add_link(span.get_span_context(), {"value": value})
        span.update_name("item")


def exception(value: Any) -> None:
    with trace.get_tracer("shop").start_as_current_span("item", attributes={"kept": 1}) as span:
        span.record_exception(_error(value))


def status(value: Any) -> None:
    error = _error(value)
    with (
        contextlib.suppress(ValueError),
        trace.get_tracer("shop").start_as_current_span("item", attributes={"kept": 1}),
    ):
        raise error


def log_argument(value: Any) -> None:
    logger.error("item %s %r", value, value, extra={"kept": 1})


def log_message(value: Any) -> None:
    logger.error(value, extra={"kept": 1})


def log_extra(value: Any) -> None:
    logger.error("item", extra={"kept": 1, "value": value})


def log_exception(value: Any) -> None:
    try:
        raise _error(value)
    except ValueError:
        logger.exception("item", extra={"kept": 1})


def log_record(value: Any) -> None:
    emitter = _logs.get_logger("shop")
    emitter.emit(body={"item": value}, attributes={"kept": 1, "value": value})
    emitter.emit(_logs.LogRecord(body=value, attributes={"kept": 1, "value": value}))


def bound(value: Any) -> None:
    bind(kept=1, value=value)
    trace.get_tracer("shop").start_span("item").end()


def operation_attribute(value: Any) -> None:
    with operation("item", kept=1, value=value):
        pass


def metric_attribute(value: Any) -> None:
    orders.add(channel=value)
    metrics.get_meter("shop").create_counter("items").add(1, {"value": value})


DOORS: Sequence[Callable[[Any], None]] = (
    span_attribute, span_start, span_event, exception, status, log_argument, log_message, log_extra, log_exception,
    log_record, bound, operation_attribute, metric_attribute,
)  # fmt: skip


def arrived(telemetry: Captured) -> list[object]:
    """What came of the item's own attribute, on whatever came."""
    encoder = Encoder(redaction.build_redactor(telemetry.handle.settings), TextLimits())
    assert all(encoder.span(span) for span in telemetry.spans)
    assert all(encoder.log_record(record.log_record) for record in telemetry.logs)
    found = [span.attributes for span in telemetry.spans]
    found += [record.log_record.attributes for record in telemetry.logs if record.log_record.attributes]
    return [attributes["kept"] for attributes in found if attributes and "kept" in attributes]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_the_call_returns_and_the_rest_arrives(door: Callable[[Any], None], kind: str, telemetry: Captured) -> None:
    logging.getLogger().handlers.clear()  # pytest's, which format as the standard library does
    for ending in ENDINGS:
        before = len(arrived(telemetry))
        try:
            door(KINDS[kind](ending))
        except BaseException as error:
            where = [
                f"{step.name} ({step.filename}:{step.lineno})" for step in traceback.extract_tb(error.__traceback__)
            ]
            pytest.fail(f"{type(error).__name__} reached the application: {' > '.join(where)}", pytrace=False)
        assert door is metric_attribute or len(arrived(telemetry)) > before, ending
    if door is metric_attribute:
        assert sum(telemetry.points("blogauto.shop.orders").values()) == len(ENDINGS)


# --- code of the application that is called back ----------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_metric_callback_affects_only_its_own_metric(ending: type[BaseException], telemetry: Captured) -> None:
    def broken(_: object) -> Any:
        raise ending

    meter = metrics.get_meter("shop")
    meter.create_observable_gauge("broken", [broken])
    meter.create_observable_gauge("exits", [ending])  # type: ignore[list-item]
    meter.create_observable_gauge("well", [lambda _: [Observation(1)]])
    assert telemetry.points("well") == {(): 1}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_processor_affects_nothing_else(ending: type[BaseException], telemetry: Captured) -> None:
    class Broken(SpanProcessor):
        def on_start(self, *_: object, **__: object) -> None:
            raise ending

        def on_end(self, *_: object) -> None:
            raise ending

    trace.get_tracer_provider().add_span_processor(Broken())  # type: ignore[attr-defined]
    trace.get_tracer("shop").start_span("item").end()
    assert telemetry.span("item")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_parameter_of_a_statement(ending: type[BaseException], telemetry: Captured) -> None:
    unprintable = type("Text", (str,), dict.fromkeys(TEXT, lambda *_: _raise(ending)))("value")
    engine = create_engine("sqlite://")
    with trace.get_tracer("shop").start_as_current_span("request"), engine.connect() as connection:
        connection.execute(text("SELECT :value"), {"value": unprintable})
    assert [span.name for span in telemetry.spans] == ["SELECT", "request"]


def _raise(error: BaseException | type[BaseException]) -> Any:
    raise error


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_request_that_logs_a_hostile_error_stays_a_200(
    ending: type[BaseException], telemetry: Captured
) -> None:
    app = FastAPI()

    @app.get("/orders/{number}")
    async def order(number: int) -> int:
        logging.getLogger().handlers.clear()
        for kind in KINDS.values():
            log_exception(kind(ending))
        return number

    assert await _status_of(app, "/orders/7") == 200
    assert telemetry.span("GET /orders/{number}").attributes["http.response.status_code"] == 200  # type: ignore[index]
    assert arrived(telemetry) == [1] * len(KINDS)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_request_that_fails_by_a_hostile_error_is_recorded_as_any_other(
    ending: type[BaseException], telemetry: Captured
) -> None:
    error = KINDS["an exception"](ending)
    app = FastAPI()

    @app.get("/orders")
    async def order() -> int:
        raise error

    assert await _status_of(app, "/orders") == 500
    span = telemetry.span("GET /orders")
    assert [event.name for event in span.events] == ["exception"]
    assert span.status.description is not None
    assert span.status.description.startswith("Hostile: ")


async def _status_of(app: FastAPI, path: str) -> int:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return (await client.get(path)).status_code
