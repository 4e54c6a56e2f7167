"""Where nothing but our exporter gets records, they are exported without the SDK's objects: the same bytes arrive."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from blogauto_otel import bind, unbind
from blogauto_otel.api.context import begin_request, end_request
from blogauto_otel.config import load
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation import logging as instrumentation
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.redaction import build_redactor
from blogauto_otel.sdk.logger_provider import BlogautoLoggerProvider, build_logger_provider
from testkit.receiver import LogRecord, decode_logs
from tests.otlp.decoding import request

CANARY = "hunter2-canary"


@dataclass
class Items:
    """What was enqueued."""

    pairs: list[tuple[bytes, bytes]] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    def enqueue(self, signal: Signal, scope: bytes, item: bytes) -> bool:
        self.pairs.append((scope, item))
        return True

    def lost(self, signal: Signal, reason: str, count: int = 1) -> None:
        self.losses.append(reason)

    @property
    def records(self) -> list[LogRecord]:
        found = [record for scope, item in self.pairs for record in decode_logs(request(item, scope=scope))]
        # The SDK logs, with a rate limit, what it does not like about a record.
        return [replace(record, observed_time=0) for record in found if record.scope != "opentelemetry.attributes"]


class Nothing(LogRecordProcessor):
    """A processor of the application, for which the SDK has to make its objects."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.seen.append(log_record.log_record.body)

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


@contextmanager
def exporting(*processors: LogRecordProcessor, **options: Any) -> Iterator[tuple[Items, BlogautoLoggerProvider]]:
    """Records of the standard library, exported by our provider into a list."""
    items = Items()
    loaded = load({}, **{"console": "off", "log_level": "debug", **options}).settings
    redactor = build_redactor(loaded)
    provider = build_logger_provider(
        loaded, Resource({}), delivery=cast("Any", items), redactor=redactor, processors=processors
    )
    context = Context(
        settings=loaded,
        redactor=redactor,
        delivery=cast("Any", items),
        tracer_provider=TracerProvider(shutdown_on_exit=False),
        meter_provider=MeterProvider(shutdown_on_exit=False),
        logger_provider=provider,
    )
    instrumentation.instrument(context)
    try:
        yield items, provider
    finally:
        instrumentation.uninstrument()


@pytest.fixture
def log(fresh_logging: logging.Logger) -> logging.Logger:
    found = logging.getLogger("shop.orders")
    found.setLevel(1)
    found.addHandler(logging.NullHandler())
    found.propagate = False
    return found


class Odd:
    def __str__(self) -> str:
        return f"odd password={CANARY}"


texts = st.text(max_size=30) | st.sampled_from(
    ["a b", f"password={CANARY}", "lone \ud800", "x" * 5000, "%", "100 %", ""]
)
scalars = texts | st.integers() | st.floats() | st.booleans() | st.none() | st.builds(Odd)
# The SDK drops what has an empty name in a map; ours arrives.
maps = st.dictionaries(st.text(min_size=1, max_size=8), scalars, max_size=3)
values = scalars | st.lists(scalars, max_size=3) | maps
messages = st.one_of(
    st.tuples(texts, st.just(())),
    st.tuples(st.just("%s and %d"), st.tuples(texts, st.integers())),
    st.tuples(st.just("%s, %r, %5.1f"), st.tuples(scalars, scalars, st.floats())),
    st.tuples(st.just("too few %s %s"), st.tuples(scalars)),
    st.tuples(st.just("%(a)s"), st.tuples(st.fixed_dictionaries({"a": scalars}))),
    st.tuples(values, st.just(())),
)
names = st.sampled_from(
    ["k", "code.line.number", "event.name", "otel.event.name", "api_key", "", "otelTraceID", "extra"]
)
records = st.fixed_dictionaries(
    {
        "message": messages,
        "extras": st.just({}) | st.dictionaries(names, values, max_size=3),
        "bound": st.just({})
        | st.dictionaries(st.sampled_from(["user_id", "k", "event.name", "code.line.number"]), texts),
        "level": st.sampled_from([1, 5, 10, 13, 20, 30, 40, 50, 99]),
        "fails": st.booleans(),
        "span": st.booleans(),
    }
)


def emit(log: logging.Logger, of: dict[str, Any]) -> None:
    (message, arguments), error = of["message"], None
    if of["fails"]:
        try:
            raise ValueError(f"no {message!r:.40} password={CANARY}")
        except ValueError as caught:
            error = (type(caught), caught, None)
    record = log.makeRecord(log.name, of["level"], "/app/shop.py", 7, message, arguments, error, "buy", of["extras"])
    record.created = 1.5e9
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, False, TraceFlags(1)))
    token = otel.attach(set_span_in_context(span) if of["span"] else otel.Context())
    bind(**of["bound"])
    log.handle(record)
    unbind(*of["bound"])
    otel.detach(token)


@settings(deadline=None, max_examples=300)
@given(st.lists(records, min_size=1, max_size=4))
def test_the_records_are_those_of_the_sdk(given: list[dict[str, Any]]) -> None:
    log = logging.Logger("shop.orders", 1)  # noqa: LOG001 - hypothesis outlives the fixtures
    log.addHandler(logging.NullHandler())
    with exporting() as (direct, _):
        for of in [*given, *given]:  # the first of a logger goes through the SDK
            emit(log, of)
    with exporting(Nothing()) as (by_sdk, _):
        for of in [*given, *given]:
            emit(log, of)
    assert repr(direct.records) == repr(by_sdk.records)  # as text: NaN differs from itself
    assert direct.losses == by_sdk.losses
    assert CANARY.encode() not in b"".join(item for _, item in direct.pairs)


def test_no_object_of_the_sdk_is_made(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    with exporting() as (items, _):
        log.info("first")
        monkeypatch.setattr(ReadWriteLogRecord, "__init__", lambda *_, **__: pytest.fail("made a record of the SDK"))
        log.info("second %d", 2)
        log.warning("third", extra={"site": "a"})
    assert [record.body for record in items.records] == ["first", "second 2", "third"]


def test_a_processor_that_is_added_gets_the_records_that_follow(log: logging.Logger) -> None:
    with exporting() as (items, provider):
        log.info("one")
        log.info("two")
        processor = Nothing()
        provider.add_log_record_processor(processor)
        log.info("three")
    assert processor.seen == ["three"]
    assert [record.body for record in items.records] == ["one", "two", "three"]


def test_a_record_that_nobody_gets_is_not_read(log: logging.Logger) -> None:
    read: list[str] = []

    class Lazy:
        def __str__(self) -> str:
            read.append("value")
            return "lazy"

    with exporting(logs_exporter="none") as (items, provider):
        log.info("unread", extra={"order": Lazy()})
        assert read == []
        added = Nothing()
        provider.add_log_record_processor(added)
        log.info("read", extra={"order": Lazy()})
    assert (added.seen, read) == (["read"], ["value"])
    assert items.records == []


def test_limits_of_attributes_are_those_of_the_sdk(log: logging.Logger) -> None:
    many = {f"k{number}": number for number in range(200)}
    for options in ({}, {"max_log_attributes": 5}):
        with exporting(**options) as (direct, _):
            for _ in range(2):
                log.info("many", extra=many)
            log.info("few", extra={"k": "v"})
        with exporting(Nothing(), **options) as (by_sdk, _):
            for _ in range(2):
                log.info("many", extra=many)
            log.info("few", extra={"k": "v"})
        assert [r.attributes.keys() for r in direct.records] == [r.attributes.keys() for r in by_sdk.records]


@pytest.mark.needs("opentelemetry-sdk>=1.41")  # the first whose loggers can be disabled
def test_a_disabled_logger_exports_nothing(log: logging.Logger) -> None:
    with exporting() as (items, provider):
        set_configurator = provider._set_logger_configurator
        log.info("one")
        log.info("two")
        kind = type(cast("Any", provider.get_logger("shop.orders"))._logger_config)
        set_configurator(logger_configurator=lambda _: kind(is_enabled=False))
        log.info("three")
        log.info("four")
        set_configurator(logger_configurator=lambda _: kind(is_enabled=True))
        log.info("five")
    assert [record.body for record in items.records] == ["one", "two", "five"]


def test_records_of_a_request_carry_its_values_as_they_change(log: logging.Logger) -> None:
    with exporting() as (items, _):
        log.info("before")
        token = begin_request("r-1")
        log.info("unknown")
        bind(user_id="42")
        log.info("known")
        end_request(token)
        log.info("after")
    assert [
        {key: value for key, value in record.attributes.items() if not key.startswith("code.")}
        for record in items.records
    ] == [{}, {"request.id": "r-1"}, {"request.id": "r-1", "user.id": "42"}, {}]


def test_a_body_that_comes_again_is_the_same_and_a_secret_in_one_is_not_kept(log: logging.Logger) -> None:
    with exporting() as (items, provider):
        for _ in range(3):
            for argument in ("shop", f"password={CANARY}", "x" * 5000, "7"):
                log.info("reading %s", argument)
        encoder = provider.direct.encoder
        kept = [key for memo in vars(encoder).values() if isinstance(memo, dict) for key in memo]
    bodies = [record.body for record in items.records]
    assert bodies[:4] == bodies[4:8] == bodies[8:]
    assert bodies[0] == "reading shop"
    assert CANARY not in str(bodies)
    assert CANARY not in str(kept)


def test_many_bodies_and_places_keep_to_the_bounds_of_the_caches(log: logging.Logger) -> None:
    with exporting() as (items, provider):
        for number in range(6000):
            record = log.makeRecord(log.name, 20, f"/app/{number}.py", number, f"message {number}", (), None, "f")
            log.handle(record)
        encoder = provider.direct.encoder
        sizes = [len(memo) for memo in vars(encoder).values() if isinstance(memo, dict)]
    assert max(sizes) <= 4096
    assert items.records[-1].body == "message 5999"
