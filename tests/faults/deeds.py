"""What the application is made to do, by name: harm to itself and the hostile values that it hands to telemetry."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry import metrics, trace

import blogauto_otel

Deed = Callable[..., Any]

DEEDS: dict[str, Deed] = {}


def deed(function: Deed) -> Deed:
    """Make a function known under its name."""
    DEEDS[function.__name__] = function
    return function


def arguments() -> dict[str, Any]:
    """The arguments of `configure` that a row wants: text, and objects that a deed makes."""
    given = json.loads(os.environ.get("CONFIGURE", "{}"))
    makers = json.loads(os.environ.get("CONFIGURE_WITH", "{}"))
    return {**given, **{name: DEEDS[maker]() for name, maker in makers.items()}}


# --- harm ---


@deed
def resolving_takes_for_ever() -> None:
    """A resolver that does not answer, for the Collector's name alone."""
    stock = socket.getaddrinfo

    def slow(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".invalid"):
            time.sleep(600)
        return stock(host, *args, **kwargs)

    socket.getaddrinfo = slow


@deed
def first_address_is_dead() -> None:
    """Two addresses behind the Collector's name; nobody listens at the first."""
    stock = socket.getaddrinfo

    def two(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "collector.test":
            return [found for one in ("127.0.0.2", "127.0.0.1") for found in stock(one, *args, **kwargs)]
        return stock(host, *args, **kwargs)

    socket.getaddrinfo = two


@deed
def no_threads() -> None:
    """A limit is reached: no thread can be started from here on."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refuse  # type: ignore[method-assign]


_held: list[int] = []
_undo: list[Deed] = []


@deed
def use_up_descriptors() -> int:
    """Open files until no more can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    with contextlib.suppress(OSError):
        while True:
            _held.append(os.open(os.devnull, os.O_RDONLY))
    return len(_held)


@deed
def refuse_memory() -> None:
    """The system has no memory for another socket, nor for another buffer."""
    stock, stock_compress = socket.socket.connect, zlib.compress

    def no_socket(self: socket.socket, address: Any) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def no_buffer(*args: Any, **kwargs: Any) -> bytes:
        raise MemoryError

    socket.socket.connect, zlib.compress = no_socket, no_buffer  # type: ignore[method-assign,assignment]

    def undo() -> None:
        socket.socket.connect, zlib.compress = stock, stock_compress  # type: ignore[method-assign]

    _undo.append(undo)


@deed
def give_back() -> None:
    """What was used up is there again."""
    while _held:
        os.close(_held.pop())
    while _undo:
        _undo.pop()()


@deed
def break_output_pipe() -> None:
    """Whoever read our output is gone."""
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(reading)


@deed
def close_output_files() -> None:
    """The application has closed them."""
    sys.stdout.close()
    sys.stderr.close()


@deed
def fill_output() -> None:
    """The disk that the output goes to is full."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    os.dup2(full, 2)


@deed
def be_somebody_else() -> None:
    """What is in the file system belongs to another user than this process's."""
    stock = os.geteuid
    os.geteuid = lambda: stock() + 1


@deed
def two_days_later() -> None:
    """The machine was suspended: its calendar and the time since its start have gone on."""
    seconds = 2 * 86_400
    stock_time, stock_clock = time.time_ns, time.clock_gettime
    time.time_ns = lambda: stock_time() + seconds * 10**9
    time.clock_gettime = lambda clock: stock_clock(clock) + (seconds if clock == time.CLOCK_BOOTTIME else 0)


@deed
def configure_again() -> None:
    """As a second module may do."""
    blogauto_otel.configure(service_name="somebody-else")


@deed
def time_passes(seconds: float) -> None:
    """The clock that nobody sets runs ahead, for all who ask it by its module."""
    stock = time.monotonic
    time.monotonic = lambda: stock() + seconds


_calendar = {"time": time.time, "time_ns": time.time_ns}


@deed
def set_clock(seconds: float) -> None:
    """The calendar is wrong by so much, for all that have asked it so far."""
    for name, stock in _calendar.items():
        unit = 1 if name == "time" else 1_000_000_000
        _replace_everywhere(name, lambda stock=stock, unit=unit: stock() + type(stock())(seconds * unit))


def _replace_everywhere(name: str, new: Any) -> None:
    old = getattr(time, name)
    for module in list(sys.modules.values()):
        for place, value in list(vars(module).items()):
            if value is old:
                setattr(module, place, new)


# --- values ---


@deed
def many_large_spans(count: int, size: int) -> int:
    """Spans with one attribute of that size."""
    tracer = trace.get_tracer("deeds")
    for _ in range(count):
        with tracer.start_as_current_span("large", attributes={"pad": "x" * size}):
            pass
    return count


class Raises:
    """No text for anybody."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class Recurses:
    """Text without end."""

    def __str__(self) -> str:
        return str(self)

    __repr__ = __str__


class Logs:
    """Text that is found out by logging, and by recording a span."""

    def __str__(self) -> str:
        logging.getLogger("deeds.inner").warning("a log call in the middle of another: %s", self.__class__.__name__)
        with trace.get_tracer("deeds").start_as_current_span("in the middle"):
            return "logs"


class Unequal:
    """Neither to be compared nor to be hashed."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    def __hash__(self) -> int:
        raise RuntimeError("do not hash me")

    def __str__(self) -> str:
        return "unequal"


def _cyclic() -> object:
    made: list[object] = []
    made.append({"again": made})
    return made


def _deep() -> object:
    made: object = "bottom"
    for _ in range(100_000):
        made = [made]
    return made


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


@deed
def odd_names_and_times() -> dict[str, Any]:
    """Spans, events and links whose names, keys and times are nobody's idea of any."""
    tracer: Any = trace.get_tracer("deeds")
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


@deed
def huge_values(size: int) -> None:
    """An attribute, a message and a stack trace of that many characters."""
    text = "a" * size
    with trace.get_tracer("deeds").start_as_current_span("huge") as span:
        span.set_attribute("text", text)
        try:
            exec("raise ValueError(text)", {"text": text})
        except ValueError as error:
            span.record_exception(error)
    logging.getLogger("deeds").warning(text, extra={"more": text})


@deed
def hostile_objects() -> dict[str, Any]:
    """Each of them as an attribute of a span, of a metric, of a log record, and as what is bound."""
    tracer: Any = trace.get_tracer("deeds")
    counter: Any = metrics.get_meter("deeds").create_counter("deeds.hostile")
    log = logging.getLogger("deeds")
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


@deed
def objects_that_end_the_process() -> dict[str, Any]:
    """Objects whose text, items or truth raise what is no `Exception`, wherever one can be handed over."""
    log, tracer = logging.getLogger("deeds"), trace.get_tracer("deeds")
    raised: list[str] = []
    made = 0

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
            made += 1
    return {"raised": raised, "made": made}


@deed
def bad_log_calls() -> list[str]:
    """Calls that do not fit, of which the standard library never raises any."""
    log: Any = logging.getLogger("deeds")
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


@deed
def log_everything() -> None:
    """The root logger at DEBUG, and chatty libraries at theirs."""
    for name in ("", "urllib3", "asyncio", "opentelemetry", "blogauto_otel", "uvicorn"):
        logging.getLogger(name).setLevel(logging.DEBUG)


_chatty_exports = 0


@deed
def chatty_exporter() -> list[Any]:
    """A span processor with an exporter of somebody else's, which fails, and says so in 600 lines each time."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Chatty(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            global _chatty_exports
            _chatty_exports += 1
            for number in range(600):
                logging.getLogger("chatty").error("chatter %d", number)
            return SpanExportResult.FAILURE

    return [BatchSpanProcessor(Chatty(), schedule_delay_millis=100)]


@deed
def chatty_exports() -> int:
    """How often it has been called."""
    return _chatty_exports


@deed
def many_label_sets(sets: int) -> None:
    """A counter whose label is never the same twice."""
    counter = metrics.get_meter("deeds").create_counter("faults.labels")
    for number in range(sets):
        counter.add(1, {"number": number})


@deed
def burst(spans: int) -> int:
    """As fast as one thread can."""
    tracer = trace.get_tracer("deeds")
    for _ in range(spans):
        tracer.start_span("burst").end()
    return spans


@deed
def numbered_spans(numbers: list[int], size: int) -> None:
    """Spans with so many bytes of random text each."""
    tracer = trace.get_tracer("deeds")
    for number in numbers:
        tracer.start_span(f"number {number}", attributes={"pad": os.urandom(size // 2).hex()}).end()


@deed
def items_of_100_kb(items: int) -> int:
    """Spans that nothing makes smaller: 25 attributes of random text, each as long as may leave."""
    tracer = trace.get_tracer("deeds")
    for _ in range(items):
        attributes = {f"part{part}": os.urandom(2000).hex() for part in range(25)}
        tracer.start_span("large item", attributes=attributes).end()
    return items


@deed
def callbacks_that_exit() -> None:
    """Observable instruments whose callbacks want the process to end."""

    def exits(_: Any) -> Iterator[Any]:
        raise SystemExit(3)

    def interrupts(_: Any) -> Iterator[Any]:
        raise KeyboardInterrupt

    meter = metrics.get_meter("deeds")
    meter.create_observable_gauge("deeds.exits", [exits])
    meter.create_observable_gauge("deeds.interrupts", [interrupts])


@deed
def sender_exits_once() -> None:
    """The next request that is sent raises what is no `Exception`."""
    from blogauto_otel.export.http import HttpTransport

    stock = HttpTransport.send

    def send(self: Any, *args: Any) -> Any:
        HttpTransport.send = stock  # type: ignore[method-assign]
        raise SystemExit(3)

    HttpTransport.send = send  # type: ignore[method-assign,assignment]


# --- the interpreter and its surroundings ---


_recorded: collections.Counter[str] = collections.Counter()


def record(name: str) -> None:
    """One of everything."""
    with trace.get_tracer("deeds").start_as_current_span(name) as span:
        span.set_attribute("name", name)
        span.add_event(name)
        logging.getLogger("deeds").warning(name)
        metrics.get_meter("deeds").create_counter("faults.interruptions").add(1)
    trace.get_current_span().set_attribute("interrupted by", name)
    _recorded[name] += 1


@deed
def record_in_signals() -> None:
    """Every few milliseconds the main thread is interrupted, wherever it is, and records."""
    signal.signal(signal.SIGALRM, lambda *_: record("in a signal handler"))
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.007)


class _Cycle:
    """Garbage that only the collector finds, in whichever thread and function makes it run."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        record("in a finalizer")


@deed
def record_in_finalizers() -> None:
    """Garbage that records when it is collected, with each span."""
    from opentelemetry.sdk.trace import Span

    stock = Span.end

    def end(self: Any, *args: Any) -> None:
        if sum(_recorded.values()) % 2 == 0 and self.name == "inner":
            _Cycle()
        stock(self, *args)

    Span.end = end  # type: ignore[method-assign,assignment]
    gc.set_threshold(100, 2, 2)


@deed
def record_in_peace() -> dict[str, int]:
    """No more interruptions; how often there were any."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
    return dict(_recorded)


@deed
def many_threads(threads: int, times: int) -> int:
    """So many at once that each is interrupted everywhere."""
    tracer = trace.get_tracer("deeds")
    counter = metrics.get_meter("deeds").create_counter("faults.of_many")

    def record(number: int) -> None:
        for time_ in range(times):
            with tracer.start_as_current_span("of many"):
                logging.getLogger("deeds").warning("of many: %d %d", number, time_)
                counter.add(1)

    stock = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        crowd = [threading.Thread(target=record, args=(number,)) for number in range(threads)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
    finally:
        sys.setswitchinterval(stock)
    return threads * times


@deed
def take_all_rights_away() -> None:
    """From whatever is made from here on."""
    os.umask(0o777)


@deed
def report_errors(times: int) -> None:
    """Handle exceptions, and log each of them."""
    for _ in range(times):
        try:
            raise ValueError("handled")
        except ValueError:
            logging.getLogger("deeds").exception("reported")
