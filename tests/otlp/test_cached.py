"""Cached pieces of encoded spans: redacted once, bounded, and never taken for another value."""

from __future__ import annotations

import re
import tracemalloc

from opentelemetry.trace import SpanKind

from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import TextLimits
from blogauto_otel.otlp.spans import SpanData, SpanEncoder, SpanTemplate
from blogauto_otel.redaction import Redactor
from tests.export.redactors import SECRET, Nothing, Word
from tests.otlp.decoding import finished, the_span


class Counting(Nothing):
    """How often the redactor is asked about a value."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def value(self, key: str, value: object) -> object:
        self.asked.append(value)
        return value


def test_a_repeating_value_is_redacted_once() -> None:
    redactor = Counting()
    encoder = Encoder(redactor)
    spans = {encoder.span(finished(attributes={"http.route": "/posts", "http.response.status_code": 200}))
             for _ in range(3)}  # fmt: skip
    assert redactor.asked == ["/posts", 0]  # of a number, whether any may leave under its name
    assert len(spans) == 1


def test_values_that_a_client_makes_up_evict_none_of_another_key() -> None:
    redactor = Counting()
    encoder = Encoder(redactor)
    encoder.span(finished(attributes={"http.route": "/posts"}))
    for number in range(10_000):
        encoder.span(finished(attributes={"url.path": f"/posts/{number}", "user_agent.original": f"agent {number}"}))
    redactor.asked.clear()
    encoder.span(finished(attributes={"http.route": "/posts"}))
    assert redactor.asked == []


def test_values_of_any_number_take_little_memory() -> None:
    clients = ("url.path", "url.query", "user_agent.original", "client.address", "server.address", "request.id")
    encoder = Encoder(Nothing())
    tracemalloc.start()
    try:
        for number in range(20_000):
            encoder.span(finished(attributes={key: f"{key} of the client {number:>60}" for key in clients}))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 2 * 2**20


def test_a_random_id_is_looked_through_by_its_name_alone() -> None:
    encoder, ids = Encoder(Redactor(keys=["ticket"])), [f"{number:032x}" for number in range(300)]
    for each in ids:
        found = the_span(encoder.span(finished(attributes={"request.id": each, "ticket": each}))).attributes
        assert found == {"request.id": each, "ticket": "[redacted:custom]"}
    found = the_span(encoder.span(finished(attributes={"request.id": f"password={ids[0]}"}))).attributes
    assert ids[0] not in str(found)


def test_patterns_of_the_application_look_through_random_ids_too() -> None:
    encoder = Encoder(Redactor(patterns=[re.compile("7{8}[0-9a-f]{24}")]))
    for each in ("0" * 32, "7" * 8 + "0" * 24):
        found = the_span(encoder.span(finished(attributes={"request.id": each}))).attributes["request.id"]
        assert (found == each) == each.startswith("0")


def test_truth_is_not_taken_for_the_number_one() -> None:
    encoder = Encoder(Nothing())
    for value in (1, True, 1.0, "1", 0, False, -1, 2**63 - 1, -(2**63), float("-inf")):
        for _ in range(2):
            decoded = the_span(encoder.span(finished(attributes={"k": value}))).attributes["k"]
            assert (decoded, type(decoded)) == (value, type(value))


def test_a_number_under_the_name_of_a_secret_does_not_leave() -> None:
    encoder = Encoder(Redactor())
    for value in (123456, 1.5, 2**70):
        for _ in range(2):
            attributes = the_span(encoder.span(finished(attributes={"password": value, "k": value}))).attributes
            assert attributes == {"password": "[redacted:password]", "k": value if value != 2**70 else str(2**70)}


def test_a_template_is_redacted_and_encoded_once_and_its_attributes_can_be_overridden() -> None:
    redactor = Counting()
    encoder = SpanEncoder(redactor, TextLimits())
    template = SpanTemplate("GET /posts", SpanKind.SERVER, {"http.route": "/posts", "password": "hunter2"})
    for number in range(2):
        data = SpanData(5, 7, 1, None, None, template.name, template.kind, 1)
        data.end_time, data.template, data._attributes = 3, template, {"url.path": f"/posts?{number}"}
        span = the_span(encoder.encode(data))
        assert (span.name, span.kind, span.start, span.end) == ("GET /posts", "SERVER", 1, 3)
        assert span.attributes == {"http.route": "/posts", "password": "hunter2", "url.path": f"/posts?{number}"}
    assert redactor.asked == ["/posts", "hunter2", "/posts?0", "/posts?1"]


def test_a_secret_of_a_template_does_not_leave() -> None:
    encoder = SpanEncoder(Word(), TextLimits())
    template = SpanTemplate(f"GET {SECRET}", SpanKind.SERVER, {"a": SECRET, "password": "x"})
    for _ in range(2):
        data = SpanData(5, 7, 1, None, None, template.name, template.kind, 1)
        data.end_time, data.template = 3, template
        item = encoder.encode(data)
        assert SECRET.encode() not in item
        assert the_span(item).attributes == {"a": "***", "password": "***"}
