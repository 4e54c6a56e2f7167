"""Actions that pass hostile values, or very many, to the telemetry API."""

from __future__ import annotations

import asyncio
import collections
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry import metrics, trace

import blogauto_otel
from tests.faults.actions.registry import action


@action
def many_large_spans(count: int, size: int) -> int:
    """Spans with one attribute of that size."""
    tracer = trace.get_tracer("actions")
    for _ in range(count):
        with tracer.start_as_current_span("large", attributes={"pad": "x" * size}):
            pass
    return count


class Raises:
    """`__str__` raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class Recurses:
    """`__str__` recurses."""

    def __str__(self) -> str:
        return str(self)

    __repr__ = __str__


class Logs:
    """`__str__` logs and records a span."""

    def __str__(self) -> str:
        logging.getLogger("actions.inner").warning("a log call in the middle of another: %s", self.__class__.__name__)
        with trace.get_tracer("actions").start_as_current_span("in the middle"):
            return "logs"


class Unequal:
    """`__eq__` and `__hash__` raise."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    def __hash__(self) -> int:
        raise RuntimeError("do not hash me")

    def __str__(self) -> str:
        return "unequal"


def _cyclic() -> object:
    recorded: list[object] = []
    recorded.append({"again": recorded})
    return recorded


def _deep() -> object:
    recorded: object = "bottom"
    for _ in range(100_000):
        recorded = [recorded]
    return recorded


def _endless() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


HOSTILE: Mapping[str, Callable[[], Any]] = {
    "__str__ raises": Raises,
    "__str__ recurses": Recurses,
    "__str__ logs": Logs,
    "__eq__ raises": Unequal,
    "a cycle": _cyclic,
    "100,000 deep": _deep,
    "an endless generator": _endless,
    "a lone surrogate": lambda: "a\ud800b",
    "NUL": lambda: "a\0b",
    "a number beyond 64 bits": lambda: 2**70,
    "a number of a million bits": lambda: 1 << 1_000_000,
    "not a number": lambda: float("nan"),
    "a class": lambda: Raises,
    "a module": lambda: sys,
    "a lock": threading.Lock,
    "a map that raises": lambda: collections.defaultdict(lambda: 1 / 0, {Raises: Raises()}),
    "bytes": lambda: b"\xff\x00",
    "a list of everything": lambda: [None, 1, "a", 2.5, True, Raises(), {"k": Raises()}],
}


def _without_raising(what: str, work: Callable[[], object], raised: list[str]) -> None:
    try:
        work()
    except BaseException as error:
        raised.append(f"{what}: {type(error).__name__}: {error}")


@action
def invalid_names_and_times() -> dict[str, Any]:
    """Spans, events and links with invalid names, keys and times."""
    tracer: Any = trace.get_tracer("actions")
    raised: list[str] = []
    odd: Mapping[str, Callable[[], object]] = {
        "name 5": lambda: tracer.start_span(5).end(),
        "name None": lambda: tracer.start_span(None).end(),
        "name bytes": lambda: tracer.start_span(b"\xff").end(),
        "name surrogate": lambda: tracer.start_span("a\udfff").end(),
        "renamed to None": lambda: _renamed(tracer, None),
        "start negative": lambda: tracer.start_span("odd", start_time=-5).end(),
        "start text": lambda: tracer.start_span("odd", start_time="now").end(),
        "start huge": lambda: tracer.start_span("odd", start_time=2**70).end(),
        "end before start": lambda: tracer.start_span("odd").end(1),
        "end text": lambda: tracer.start_span("odd").end("soon"),
        "event without a name": lambda: _with_event(tracer, None, None),
        "event at a negative time": lambda: _with_event(tracer, "e", -1),
        "event at a time of text": lambda: _with_event(tracer, "e", "now"),
        "keys that are none": lambda: _with_attributes(tracer, {None: 1, 5: 2, "": 3, b"k": 4}),
        "a link to nothing": lambda: tracer.start_span("odd", links=[trace.Link(trace.INVALID_SPAN_CONTEXT)]).end(),
    }
    for what, work in odd.items():
        _without_raising(what, work, raised)
        with tracer.start_as_current_span("well"):
            pass
    return {"raised": raised, "well": len(odd), "odd": len(odd)}


def _renamed(tracer: Any, name: Any) -> None:
    span = tracer.start_span("odd")
    span.update_name(name)
    span.end()


def _with_event(tracer: Any, name: Any, time_: Any) -> None:
    span = tracer.start_span("odd")
    span.add_event(name, timestamp=time_)
    span.end()


def _with_attributes(tracer: Any, attributes: Any) -> None:
    span = tracer.start_span("odd", attributes=attributes)
    for key, value in attributes.items():
        span.set_attribute(key, value)
    span.end()


@action
def huge_values(size: int) -> None:
    """An attribute, a message and a stack trace of this length."""
    text = "a" * size
    with trace.get_tracer("actions").start_as_current_span("huge") as span:
        span.set_attribute("text", text)
        try:
            exec("raise ValueError(text)", {"text": text})
        except ValueError as error:
            span.record_exception(error)
    logging.getLogger("actions").warning(text, extra={"more": text})


@action
def hostile_objects() -> dict[str, Any]:
    """Pass each as an attribute of a span, a measurement and a log record, and bind it."""
    tracer: Any = trace.get_tracer("actions")
    counter: Any = metrics.get_meter("actions").create_counter("actions.hostile")
    log = logging.getLogger("actions")
    raised: list[str] = []
    seconds: dict[str, float] = {}
    spans = 0
    for kind, make in HOSTILE.items():
        quickest = float("inf")
        for _ in range(20):
            value = make()
            with tracer.start_as_current_span("hostile") as span:
                began = time.perf_counter()
                _without_raising(f"span {kind}", lambda: span.set_attribute("set", value), raised)  # noqa: B023
                quickest = min(quickest, time.perf_counter() - began)
            spans += 1
        _without_raising(f"given {kind}", lambda: tracer.start_span("given", attributes={"odd": value}).end(), raised)  # noqa: B023
        seconds[kind] = quickest
        for what, work in {
            "counter": lambda value=value: counter.add(1, {"value": value}),
            "record": lambda value=value: log.warning("hostile", extra={"value": value}),
            "bound": lambda value=value: blogauto_otel.bind(odd=value),
            "operation": lambda value=value: blogauto_otel.operation("odd", value=value).__enter__(),
        }.items():
            _without_raising(f"{what} {kind}", work, raised)
    return {"raised": raised, "seconds": seconds, "spans": spans}


@action
def objects_that_raise_base_exceptions() -> dict[str, Any]:
    """Pass objects whose special methods raise a `BaseException` to each part of the API."""
    log, tracer = logging.getLogger("actions"), trace.get_tracer("actions")
    raised: list[str] = []
    recorded = 0

    def ends(ending: type[BaseException]) -> Any:
        def end(*_: Any) -> Any:
            raise ending

        methods = ("__str__", "__repr__", "__format__", "__iter__", "__len__", "__bool__", "__hash__", "__eq__")
        return type("Ends", (ValueError,), dict.fromkeys(methods, end))()

    def fail(value: Any) -> None:
        try:
            raise value
        except ValueError:
            log.exception("ending", extra={"value": value})

    for ending in (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        works: tuple[Callable[[Any], object], ...] = (
            lambda value: tracer.start_span("ending", attributes={"value": value}).record_exception(value),
            lambda value: log.warning("ending %s", value),
            fail,
            lambda value: blogauto_otel.bind(odd=value),
        )
        for work in works:
            try:
                work(ends(ending))
            except BaseException as error:
                raised.append(f"{ending.__name__}: {error.__traceback__ and error.__traceback__.tb_lineno}")
            recorded += 1
    return {"raised": raised, "recorded": recorded}


@action
def invalid_log_calls() -> list[str]:
    """Invalid calls, none of which raises in the standard library."""
    log: Any = logging.getLogger("actions")
    raised: list[str] = []
    for what, work in {
        "a word for a number": lambda: log.warning("%d", "x"),
        "too many arguments": lambda: log.warning("a", 1, 2),
        "too few arguments": lambda: log.warning("%s %s", 1),
        "no format": lambda: log.warning("%", 1),
        "a map that lacks it": lambda: log.warning("%(b)s", {"a": 1}),
        "__str__ raises": lambda: log.warning("%s", Raises()),
        "__str__ recurses": lambda: log.warning("%s", Recurses()),
        "__str__ logs": lambda: log.warning("%s", Logs()),
        "no text at all": lambda: log.warning(Raises()),
        "extra raises": lambda: log.warning("a bad call", extra={"o": Raises()}),
        "extra is a cycle": lambda: log.warning("a bad call", extra={"o": _cyclic()}),
        "extra is deep": lambda: log.warning("a bad call", extra={"o": _deep()}),
        "exc_info is no exception": lambda: log.warning("a bad call", exc_info="no"),
        "exc_info without one": lambda: log.exception("a bad call"),
        "an exception without text": lambda: _logged_exception(log, Raises()),
        "after all of it": lambda: log.warning("after all of it"),
    }.items():
        _without_raising(what, work, raised)
    return raised


def _logged_exception(log: Any, argument: object) -> None:
    try:
        raise ValueError(argument)
    except ValueError:
        log.exception("a bad call")


@action
def log_at_debug() -> None:
    """Set the root logger and verbose libraries to DEBUG."""
    for name in ("", "urllib3", "asyncio", "opentelemetry", "blogauto_otel", "uvicorn"):
        logging.getLogger(name).setLevel(logging.DEBUG)


_noisy_exports = 0


@action
def noisy_exporter() -> list[Any]:
    """A span processor whose exporter fails and logs 600 lines each time."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Noisy(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            global _noisy_exports
            _noisy_exports += 1
            for number in range(600):
                logging.getLogger("noisy").error("noise %d", number)
            return SpanExportResult.FAILURE

    return [BatchSpanProcessor(Noisy(), schedule_delay_millis=100)]


@action
def noisy_exports() -> int:
    """How often it was called."""
    return _noisy_exports


@action
def many_attribute_sets(sets: int) -> None:
    """A counter with a new attribute value for each measurement."""
    counter = metrics.get_meter("actions").create_counter("faults.labels")
    for number in range(sets):
        counter.add(1, {"number": number})


@action
def burst(spans: int) -> int:
    """Spans as fast as one thread can end them."""
    tracer = trace.get_tracer("actions")
    for _ in range(spans):
        tracer.start_span("burst").end()
    return spans


@action
def numbered_spans(numbers: list[int], size: int) -> None:
    """Spans with this many bytes of random text each."""
    tracer = trace.get_tracer("actions")
    for number in numbers:
        tracer.start_span(f"number {number}", attributes={"pad": os.urandom(size // 2).hex()}).end()


@action
def items_of_100_kb(items: int) -> int:
    """Spans that do not compress: 25 attributes of random text, each of the maximum length."""
    tracer = trace.get_tracer("actions")
    for _ in range(items):
        attributes = {f"part{part}": os.urandom(2000).hex() for part in range(25)}
        tracer.start_span("large item", attributes=attributes).end()
    return items


@action
def callbacks_that_exit() -> None:
    """Observable instruments whose callbacks raise SystemExit and KeyboardInterrupt."""

    def exits(_: Any) -> Iterator[Any]:
        raise SystemExit(3)

    def interrupts(_: Any) -> Iterator[Any]:
        raise KeyboardInterrupt

    meter = metrics.get_meter("actions")
    meter.create_observable_gauge("actions.exits", [exits])
    meter.create_observable_gauge("actions.interrupts", [interrupts])


@action
def transport_exits_once() -> None:
    """The next export raises SystemExit."""
    from blogauto_otel.export.transport.http import HttpTransport

    stock = HttpTransport.send

    def send(self: Any, *args: Any) -> Any:
        HttpTransport.send = stock  # type: ignore[method-assign]
        raise SystemExit(3)

    HttpTransport.send = send  # type: ignore[method-assign,assignment]
