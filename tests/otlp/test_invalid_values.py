"""A value that cannot be encoded affects its attribute, or its item, never another one or the application."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import Metric, NumberDataPoint, Sum
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from blogauto_otel import semconv
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import STACKTRACE, UNSERIALISABLE, TextLimits, shorten
from tests.export.redactors import SECRET, Nothing, Word
from tests.otlp import otlp_strategies as shapes
from tests.otlp.decoding import CONTEXT, finished, the_points, the_record, the_span


class Raises:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    def __repr__(self) -> str:
        return "Raises()"  # Hypothesis prints its examples


class Recurses:
    def __str__(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return "Recurses()"


class NoMap(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys for you")

    def __len__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return "NoMap()"


class Shout(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("not even I")

    def __repr__(self) -> str:
        return "Shout()"

    def encode(self, *_: Any) -> bytes:
        raise RuntimeError("nor I")


class Level(enum.IntEnum):
    HIGH = 3


def cyclic() -> list[object]:
    made: list[object] = []
    made.append(made)
    return made


def deep() -> object:
    made: object = "bottom"
    for _ in range(100_000):
        made = [made]
    return made


POISON: Mapping[str, Callable[[], tuple[object, object]]] = {
    "a __str__ that raises": lambda: (Raises(), UNSERIALISABLE),
    "a __str__ without end": lambda: (Recurses(), UNSERIALISABLE),
    "a map that cannot be read": lambda: (NoMap(), UNSERIALISABLE),
    "text that raises": lambda: (Shout("loud"), "loud"),
    "a lone surrogate": lambda: ("a\ud800b", "a\\ud800b"),
    "a lone surrogate inside": lambda: ({"k\udfff": ["\ud800"]}, {"k\\udfff": ["\\ud800"]}),
    "a number beyond 64 bits": lambda: (2**64, str(2**64)),
    "a number of a million bits": lambda: (1 << 1_000_000, UNSERIALISABLE),
    "a number that is an enum": lambda: (Level.HIGH, 3),
    "infinity": lambda: (float("inf"), float("inf")),
    "nothing": lambda: (None, None),
    "nothing inside": lambda: ([None, {"k": None}], [None, {"k": None}]),
    "a set": lambda: (frozenset({1}), [1]),
    "bytes": lambda: (b"\xff\x00", b"\xff\x00"),
    "a date": lambda: (dt.date(2026, 11, 23), "2026-11-23"),
    "a decimal": lambda: (decimal.Decimal("1.10"), "1.10"),
    "an id": lambda: (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    "keys that are no text": lambda: ({1: 2, None: 3}, {"1": 2, "None": 3}),
    "a range": lambda: (range(3), [0, 1, 2]),
    "a generator": lambda: ((x for x in "ab").__class__, "<class 'generator'>"),
}


@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_attribute_affects_no_other(poison: str) -> None:
    value: Any
    value, expected = POISON[poison]()
    for _ in range(2):  # remembered values too
        span = the_span(Encoder(Nothing()).span(finished(attributes={"bad": value, "good": "here"})))
        assert span.attributes == {"bad": expected, "good": "here"}
    record = the_record(Encoder(Nothing()).log_record(LogRecord(body="b", attributes={"bad": value, "good": "here"})))
    assert record.attributes == {"bad": expected, "good": "here"}


@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_body_affects_no_attribute(poison: str) -> None:
    value: Any
    value, expected = POISON[poison]()
    decoded = the_record(Encoder(Nothing()).log_record(LogRecord(body=value, attributes={"good": "here"})))
    assert (decoded.body, decoded.attributes) == (expected, {"good": "here"})


def test_not_a_number_stays_not_a_number() -> None:
    value = the_span(Encoder(Nothing()).span(finished(attributes={"k": float("nan")}))).attributes["k"]
    assert value != value


@pytest.mark.parametrize("make", [cyclic, deep], ids=["cyclic", "deep"])
def test_endless_nesting_is_cut(make: Callable[[], object]) -> None:
    value = make()
    span = the_span(Encoder(Nothing()).span(finished(attributes={"bad": value, "good": "here"})))
    assert UNSERIALISABLE in str(span.attributes["bad"])
    assert span.attributes[semconv.TRUNCATED] is True
    assert span.attributes["good"] == "here"


def test_a_huge_structure_is_cut_in_little_time() -> None:
    value = {f"k{i}": list(range(1000)) for i in range(1000)}
    encoder = Encoder(Nothing())
    fastest = min(_seconds(lambda: encoder.span(finished(attributes={"k": value}))) for _ in range(5))
    assert fastest < 0.1  # a hundred times what it takes
    assert the_span(encoder.span(finished(attributes={"k": value}))).attributes[semconv.TRUNCATED] is True


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.parametrize("key", ["", None, 7, "k" * 5000, "\ud800"])
def test_a_poisoned_key_affects_nothing_else(key: Any) -> None:
    attributes = the_span(Encoder(Nothing()).span(finished(attributes={key: 1, "good": "here"}))).attributes
    assert attributes["good"] == "here"
    assert len(attributes) == (1 if key == "" else 2)


@pytest.mark.parametrize("name", [None, 7, b"bytes", Raises(), "\ud800", "n" * 100_000])
def test_a_poisoned_name_affects_nothing_else(name: Any) -> None:
    span = finished(name, attributes={"good": "here"}, events=[Event(name, {"e": 1}, 3)])
    decoded = the_span(Encoder(Nothing()).span(span))
    assert decoded.attributes == {"good": "here"}
    assert decoded.events[0].attributes == {"e": 1}
    assert len(decoded.name) <= 1024


@pytest.mark.parametrize("moment", [None, -1, 2**64, "now", 1.5, float("nan")])
def test_a_poisoned_time_affects_nothing_else(moment: Any) -> None:
    expected = {2**64: 2**64 - 1, 1.5: 1}.get(moment, 0)
    span = the_span(
        Encoder(Nothing()).span(finished(start_time=moment, end_time=5, events=[Event("e", None, moment or 0)]))
    )
    assert (span.start, span.end) == (expected, 5)
    assert the_span(Encoder(Nothing()).span(finished(start_time=5, end_time=moment))).end == (expected or 5)
    record = LogRecord(timestamp=moment, observed_timestamp=moment)
    decoded = the_record(Encoder(Nothing()).log_record(record))
    assert decoded.time == expected


@pytest.mark.quiet_guard
def test_a_poisoned_event_or_link_affects_nothing_else() -> None:
    bad_event: Any = SimpleNamespace(name="bad", timestamp=1, attributes=NoMap(), dropped_attributes=0)
    bad_link: Any = SimpleNamespace(context=SpanContext(2**128, 1, False), attributes={}, dropped_attributes=0)
    span = finished(events=[bad_event, Event("good", None, 1)], links=[bad_link, Link(CONTEXT)])
    decoded = the_span(Encoder(Nothing()).span(span))
    assert [event.name for event in decoded.events] == ["good"]
    assert len(decoded.links) == 1


@pytest.mark.quiet_guard
@pytest.mark.parametrize("poison", [None, "text", Raises(), 1j])
def test_a_poisoned_data_point_affects_nothing_else(poison: Any) -> None:
    points = [NumberDataPoint({"which": "bad"}, 1, 2, poison), NumberDataPoint({"which": "good"}, 1, 2, 3)]
    metrics = [Metric("bad", "", "", SimpleNamespace()), Metric("m", "", "", Sum(points, 2, True))]  # type: ignore[arg-type]
    pairs = Encoder(Nothing()).metrics(shapes.metrics_data(InstrumentationScope("s"), metrics))
    assert [(point.name, point.attributes, point.value) for point in the_points(pairs)] == [("m", {"which": "good"}, 3)]


def test_a_number_beyond_64_bits_is_a_double_in_a_data_point() -> None:
    metric = Metric("m", "", "", Sum([NumberDataPoint({}, 1, 2, 2**70)], 2, True))  # type: ignore[arg-type]
    [point] = the_points(Encoder(Nothing()).metrics(shapes.metrics_data(InstrumentationScope("s"), [metric])))
    assert point.value == float(2**70)


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_long_values_are_cut_and_the_item_is_flagged() -> None:
    megabytes = "x" * 10_000_000
    encoder = Encoder(Nothing())
    span = the_span(encoder.span(finished(attributes={"k": megabytes, "list": ["y" * 5000, b"z" * 5000]})))
    assert len(span.attributes["k"]) == 4096
    assert list(map(len, span.attributes["list"])) == [4096, 4096]
    assert span.attributes[semconv.TRUNCATED] is True
    record = the_record(encoder.log_record(LogRecord(body=megabytes)))
    assert len(record.body) == 4096
    assert record.attributes == {semconv.TRUNCATED: True}
    status = the_span(encoder.span(finished(status=Status(StatusCode.ERROR, megabytes))))
    assert len(status.status_message) == 4096
    assert status.attributes == {semconv.TRUNCATED: True}


def test_a_value_at_the_limit_is_neither_cut_nor_flagged() -> None:
    span = the_span(Encoder(Nothing()).span(finished(attributes={"k": "x" * 4096})))
    assert span.attributes == {"k": "x" * 4096}


def test_limits_are_those_of_the_settings() -> None:
    span = the_span(Encoder(Nothing(), TextLimits.of_attributes(100)).span(finished(attributes={"k": "x" * 101})))
    assert span.attributes == {"k": "x" * 100, semconv.TRUNCATED: True}


def test_a_long_stack_trace_keeps_its_beginning_and_its_end() -> None:
    lines = [f"  File {index}, in function\n    call()\n" for index in range(5000)]
    trace = "Traceback (most recent call last):\n" + "".join(lines) + "ValueError: this is what happened"
    event = Event("exception", {STACKTRACE: trace}, 1)
    trace = the_span(Encoder(Nothing()).span(finished(events=[event]))).events[0].attributes[STACKTRACE]
    assert len(trace) <= 16_384
    assert len(trace) > 16_000
    assert trace.startswith("Traceback (most recent call last):\n  File 0")
    assert trace.endswith("ValueError: this is what happened")
    assert "characters cut ..." in trace


def test_a_stack_trace_of_one_endless_line_is_cut() -> None:
    assert len(shorten("x" * 100_000, 16_384, key=STACKTRACE)) == 16_384


# --- secrets --------------------------------------------------------------------------------------------------------

EXITS: Mapping[str, Callable[[Encoder, str], bytes]] = {
    "span name": lambda e, text: e.span(finished(text)),
    "span attribute": lambda e, text: e.span(finished(attributes={"k": text})),
    "span attribute by its key": lambda e, text: e.span(finished(attributes={"password": text})),
    "span attribute in bytes": lambda e, text: e.span(finished(attributes={"k": text.encode()})),
    "span attribute in an object": lambda e, text: e.span(finished(attributes={"k": SimpleNamespace(inner=text)})),
    "nested attribute": lambda e, text: e.span(finished(attributes={"k": [{"a": [text]}, text.encode()]})),
    "status text": lambda e, text: e.span(finished(status=Status(StatusCode.ERROR, text))),
    "event name": lambda e, text: e.span(finished(events=[Event(text, None, 1)])),
    "event attribute": lambda e, text: e.span(finished(events=[Event("e", {STACKTRACE: text}, 1)])),
    "link attribute": lambda e, text: e.span(finished(links=[Link(CONTEXT, {"k": text})])),
    "log body": lambda e, text: e.log_record(LogRecord(body=text)),
    "long log body": lambda e, text: e.log_record(LogRecord(body="x" * 4080 + text + "x" * 9000)),
    "structured log body": lambda e, text: e.log_record(LogRecord(body={"k": [text], "password": 7})),
    "log attribute": lambda e, text: e.log_record(LogRecord(attributes={"k": text})),
    "severity text": lambda e, text: e.log_record(LogRecord(severity_text=text)),
    "log event name": lambda e, text: e.log_record(LogRecord(event_name=text)),
    "metric attribute": lambda e, text: _metric(e, NumberDataPoint({"k": text}, 1, 2, 3)),
    "exemplar attribute": lambda e, text: _metric(e, NumberDataPoint({}, 1, 2, 3, [Exemplar({"k": text}, 1, 2)])),
    "metric description": lambda e, text: _metric(e, NumberDataPoint({}, 1, 2, 3), description=text),
}


def _metric(encoder: Encoder, point: NumberDataPoint, description: str = "") -> bytes:
    metric = Metric("m", description, "", Sum([point], 2, True))  # type: ignore[arg-type]
    [(_, item)] = encoder.metrics(shapes.metrics_data(InstrumentationScope("s"), [metric]))
    return item


@pytest.mark.parametrize("exit_", EXITS)
def test_no_part_of_an_item_contains_a_secret(exit_: str) -> None:
    encoder = Encoder(Word())
    for _ in range(2):  # a remembered value is a redacted one
        item = EXITS[exit_](encoder, f"before {SECRET} after")
        assert SECRET.encode() not in item
        assert b"***" in item


def test_half_a_secret_at_the_limit_is_not_exported() -> None:
    for start in range(4096 - len(SECRET), 4097):
        item = Encoder(Word()).span(finished(attributes={"k": "x" * start + SECRET + "y" * 50_000}))
        assert SECRET[:3].encode() not in item


def test_half_a_secret_at_the_limit_of_a_name_is_not_exported() -> None:
    for start in range(256 - len(SECRET), 257):
        name = "x" * start + SECRET
        item = Encoder(Word()).span(finished(attributes={name: 1, "map": {name: 1}, "list": [{name: 1}]}))
        assert SECRET[:3].encode() not in item


def test_field_names_of_a_named_tuple_mark_secrets() -> None:
    class Login(NamedTuple):
        user: str
        password: str

    login = Login("bob", SECRET[::-1])
    span = the_span(Encoder(Word()).span(finished(attributes={"login": login, "rows": [login]})))
    assert span.attributes["login"] == {"user": "bob", "password": "***"}
    assert span.attributes["rows"] == [{"user": "bob", "password": "***"}]


@pytest.mark.quiet_guard
def test_a_redactor_that_fails_exports_no_value() -> None:
    class Broken(Nothing):
        def value(self, key: str, value: object) -> object:
            raise RuntimeError("broken")

    span = the_span(Encoder(Broken()).span(finished(attributes={"k": "v"})))
    assert span.attributes == {}


hostile = st.recursive(
    st.builds(Raises) | st.builds(Recurses) | st.builds(NoMap) | st.builds(Shout, st.text())
    | st.sampled_from([object(), object, len, ..., 1j, "\ud800", -(2**70), Level.HIGH]) | shapes.scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(shapes.keys, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(hostile, hostile, hostile)
def test_encoding_any_value_raises_nothing_and_can_be_decoded(one: Any, two: Any, three: Any) -> None:
    encoder = Encoder(Nothing())
    event = Event(two, {"k": one}, three)
    span = the_span(encoder.span(finished(two, attributes={"a": one, "b": two}, events=[event], end_time=three)))
    assert {"a", "b"} <= set(span.attributes)
    assert len(span.events) == 1
    record = LogRecord(timestamp=three, body=one, attributes={"k": two}, event_name=three, severity_text=two)
    the_record(encoder.log_record(record))
