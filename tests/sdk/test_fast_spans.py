"""The calls beyond the API, of our own instrumentations: what arrives is what the API's calls would have sent."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
    use_span,
)

from blogauto_otel.otlp.spans import SpanEvent, SpanTemplate
from blogauto_otel.sdk.span import RecordingSpan
from blogauto_otel.sdk.tracer import BlogautoTracer, own_tracer
from testkit.receiver import Receiver, Span
from tests.sdk.providers import Providers, providing

ROUTE = SpanTemplate("GET /posts/{id}", SpanKind.SERVER, {"http.route": "/posts/{id}", "server.port": 443})
STATEMENT = SpanTemplate("SELECT posts", SpanKind.CLIENT, {"db.system.name": "postgresql"})
REMOTE = set_span_in_context(NonRecordingSpan(SpanContext(0xAB, 0xCD, True, TraceFlags(1))), Context())


MANY = {f"k{index}": index for index in range(50)}


def tracer_of(providers: Providers) -> BlogautoTracer:
    return providers.tracing.get_tracer("tests", "1.0")


def start(providers: Providers, **attributes: Any) -> Any:
    return tracer_of(providers).start_server_span("GET", REMOTE, {"url.path": "/posts/7", **attributes}, start_time=5)


def the_span(receiver: Receiver, providers: Providers) -> Span:
    providers.flush()
    [span] = receiver.spans
    return span


def test_a_finished_span_has_the_name_and_the_attributes_of_its_template(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        start(providers).finish(ROUTE, {"client.address": "203.0.113.7"}, end_time=9)
        span = the_span(receiver, providers)
    assert (span.name, span.kind, span.start, span.end, span.scope) == ("GET /posts/{id}", "SERVER", 5, 9, "tests")
    assert (int(span.trace_id, 16), int(span.parent_id, 16)) == (0xAB, 0xCD)
    assert span.attributes == {
        "url.path": "/posts/7", "http.route": "/posts/{id}", "server.port": 443, "client.address": "203.0.113.7"
    }  # fmt: skip


def test_what_the_application_has_set_wins_over_the_template_and_the_end_over_both(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        span = start(providers)
        span.update_name("the posts")
        span.set_attributes({"http.route": "mine", "client.address": "mine", "further": [1, 2]})
        span.finish(ROUTE, {"client.address": "203.0.113.7"})
        arrived = the_span(receiver, providers)
    assert arrived.name == "the posts"
    assert arrived.attributes == {
        "url.path": "/posts/7", "http.route": "mine", "server.port": 443, "client.address": "203.0.113.7",
        "further": [1, 2],
    }  # fmt: skip


START = SpanTemplate("GET", SpanKind.SERVER, {"http.request.method": "GET", "url.scheme": "https"})
ROUTE_OF_REQUEST = SpanTemplate("GET /posts/{id}", SpanKind.SERVER, {"http.route": "/posts/{id}"}, base=START)


def start_request(providers: Providers, context: Context = REMOTE, **attributes: Any) -> Any:
    tracer = tracer_of(providers)
    span = tracer.start_request("GET", context, "/posts/7", 5)
    tracer.started(span, context, START, {"url.path": "/posts/7", **attributes}, ())
    return span


@pytest.mark.parametrize("context", [Context(), REMOTE], ids=["root", "remote parent"])
def test_a_request_starts_with_the_attributes_of_a_template(receiver: Receiver, context: Context) -> None:
    with providing(receiver) as providers:
        span = start_request(providers, context)
        started = dict(span.attributes)
        span.finish(ROUTE_OF_REQUEST, end_time=9)
        arrived = the_span(receiver, providers)
    assert started == {"http.request.method": "GET", "url.scheme": "https", "url.path": "/posts/7"}
    assert arrived.attributes == {**started, "http.route": "/posts/{id}"}
    assert (arrived.name, arrived.start, arrived.end) == ("GET /posts/{id}", 5, 9)
    assert (arrived.parent_id == "") is (context is not REMOTE)


@pytest.mark.parametrize("end", ["finish", "finish with another template", "end"])
def test_an_attribute_of_the_start_that_is_set_again_arrives_once(receiver: Receiver, end: str) -> None:
    with providing(receiver) as providers:
        span = start_request(providers)
        span.set_attribute("http.request.method", "mine")
        if end == "end":
            span.end()
        else:
            span.finish(ROUTE_OF_REQUEST if end == "finish" else ROUTE)
        providers.flush()
    [request] = receiver.requests
    [sent] = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans
    keys = [attribute.key for attribute in sent.attributes]
    assert len(keys) == len(set(keys))
    assert {"url.scheme", "url.path"} < set(keys)
    [method] = [attribute.value.string_value for attribute in sent.attributes if attribute.key == "http.request.method"]
    assert method == "mine"


@pytest.mark.parametrize("template", [ROUTE, ROUTE_OF_REQUEST], ids=["of another base", "of the same base"])
def test_another_template_at_the_end_keeps_the_attributes_of_the_start(
    receiver: Receiver, template: SpanTemplate
) -> None:
    with providing(receiver) as providers:
        start_request(providers).finish(template)
        span = the_span(receiver, providers)
    assert span.attributes.items() >= {"http.request.method": "GET", "url.scheme": "https"}.items()


@pytest.mark.parametrize(("limit", "kept", "dropped"), [(128, 5, 0), (5, 5, 0), (4, 4, 1), (2, 2, 3), (0, 0, 5)])
def test_the_template_of_the_start_counts_against_the_limit(
    receiver: Receiver, limit: int, kept: int, dropped: int
) -> None:
    with providing(receiver, max_attributes=limit) as providers:
        span = start_request(providers)
        span.set_attribute("mine", 1)
        span.finish(ROUTE_OF_REQUEST)
        arrived = the_span(receiver, providers)
    assert (len(arrived.attributes), arrived.dropped_attributes) == (kept, dropped)


def test_a_processor_of_the_application_sees_them_all(receiver: Receiver) -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    seen = InMemorySpanExporter()
    with providing(receiver, span_processors=[SimpleSpanProcessor(seen)]) as providers:
        start(providers).finish(ROUTE)
    [span] = seen.get_finished_spans()
    assert (span.name, dict(span.attributes or {})) == (
        "GET /posts/{id}", {"url.path": "/posts/7", "http.route": "/posts/{id}", "server.port": 443}
    )  # fmt: skip


def test_the_template_counts_against_the_limit(receiver: Receiver) -> None:
    with providing(receiver, max_attributes=2) as providers:
        start(providers).finish(ROUTE, {"client.address": "203.0.113.7"})
        span = the_span(receiver, providers)
    assert (len(span.attributes), span.dropped_attributes) == (2, 2)


def test_a_statement_is_one_call(receiver: Receiver) -> None:
    failed = Status(StatusCode.ERROR, "no such table")
    with providing(receiver) as providers:
        tracer = tracer_of(providers)
        parent = start(providers)
        with use_span(parent, end_on_exit=True):
            tracer.record_span(STATEMENT, start_time=6, end_time=8, attributes={"error.type": "X"}, status=failed)
        providers.flush()
    statement, server = receiver.spans
    assert (statement.name, statement.kind, statement.start, statement.end) == ("SELECT posts", "CLIENT", 6, 8)
    assert (statement.trace_id, statement.parent_id) == (server.trace_id, server.span_id)
    assert statement.attributes == {"db.system.name": "postgresql", "error.type": "X"}
    assert (statement.status, statement.status_message) == ("ERROR", "no such table")


@pytest.mark.parametrize("sampler", [None, "always_off"])
def test_the_sampler_decides_about_them_too(receiver: Receiver, sampler: str | None) -> None:
    unsampled = {"sample_rate": 0.0} if sampler is None else {"sampler": sampler}
    with providing(receiver, **unsampled) as providers:
        tracer = tracer_of(providers)
        span = tracer.start_server_span("GET", Context(), {"url.path": "/"}, start_time=5)
        assert (span.is_sampled, span.is_recording()) == (False, False)
        assert span.get_span_context().is_valid
        assert span.get_span_context() is span.get_span_context()
        span.finish(ROUTE)
        tracer.record_span(STATEMENT, start_time=1, end_time=2, parent_context=Context())
        providers.flush()
    assert receiver.requests == []


def test_a_deferred_span_is_sampled_whatever_its_flags_say(receiver: Receiver) -> None:
    event = SpanEvent("exception", {"exception.type": "ValueError"}, 7)
    with providing(receiver) as providers:
        tracer_of(providers).record_deferred(
            ROUTE, context=SpanContext(1, 2, False), parent=None, start_time=5, end_time=9,
            attributes={"odd": object()}, status=Status(StatusCode.ERROR), events=[event],
        )  # fmt: skip
        span = the_span(receiver, providers)
    assert (int(span.trace_id, 16), int(span.span_id, 16), span.status) == (1, 2, "ERROR")
    assert span.flags & TraceFlags.SAMPLED
    assert [(it.name, it.time) for it in span.events] == [("exception", 7)]


SECRET = "hunter2"
WAYS: dict[str, Callable[[BlogautoTracer], None]] = {
    "in a template": lambda tracer: tracer.record_span(
        SpanTemplate(f"password={SECRET}", SpanKind.CLIENT, {"password": SECRET, "note": f"password={SECRET}"}),
        start_time=1, end_time=2,
    ),
    "at the end": lambda tracer: tracer.start_server_span(
        "GET", Context(), {"url.path": f"/?password={SECRET}"}, start_time=1
    ).finish(ROUTE, {"password": SECRET, "url.query": f"password={SECRET}"}),
    "as a status": lambda tracer: tracer.record_span(
        STATEMENT, start_time=1, end_time=2, status=Status(StatusCode.ERROR, f"password={SECRET}")
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_secrets_do_not_leave_on_the_fast_way(receiver: Receiver, way: str) -> None:
    with providing(receiver) as providers:
        for _ in range(3):  # what is cached is redacted
            WAYS[way](tracer_of(providers))
        providers.flush()
    assert len(receiver.spans) == 3
    assert not any(SECRET.encode() in request.body for request in receiver.requests)


def test_a_span_that_two_threads_end_arrives_once(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        tracer = tracer_of(providers)
        for _ in range(50):
            span, barrier = tracer.start_span("work"), threading.Barrier(4)

            def end(span: Any = span, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                span.add_event("seen")
                span.end()

            threads = [threading.Thread(target=end) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        providers.flush()
    assert len(receiver.spans) == 50
    assert all(1 <= len(span.events) <= 4 for span in receiver.spans)


def test_attributes_set_while_it_is_encoded_break_nothing(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        tracer, stop = tracer_of(providers), threading.Event()
        spans: list[Any] = [tracer.start_span("work", attributes=MANY)]

        def set_always() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                spans[0]._attributes[f"late {number % 100}"] = number  # past the check for the end

        thread = threading.Thread(target=set_always)
        thread.start()
        for _ in range(200):
            ended, spans[0] = (
                spans[0],
                tracer.start_span("work", attributes=MANY),
            )
            ended.end()
        stop.set()
        thread.join()
        providers.flush()
    assert len(receiver.spans) == 200


def test_nothing_of_a_span_that_the_collector_tracks_outlives_it(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        tracer = tracer_of(providers)

        def request() -> None:
            span = start_request(providers, Context())
            with use_span(span):
                get_current_span().add_event("seen", {"k": 1})
                tracer.record_span(STATEMENT, start_time=6, end_time=7)
            span.finish(ROUTE_OF_REQUEST, {"client.address": "203.0.113.7"})

        def grown() -> int:
            gc.collect()
            before = len(gc.get_objects())
            for _ in range(100):
                request()
            return len(gc.get_objects()) - before

        request()
        fewest = min(grown() for _ in range(3))  # the delivery thread makes objects too
    assert fewest < 20


def test_only_tracers_of_ours_have_these_calls(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        assert own_tracer(tracer_of(providers)) is not None
    assert own_tracer(TracerProvider(shutdown_on_exit=False).get_tracer("tests")) is None


@pytest.mark.quiet_guard
def test_a_start_that_fails_gives_a_span_on_which_everything_can_be_called(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        broken: Any = object()
        span = tracer_of(providers).start_server_span("GET", broken, {}, start_time=1)
        assert not isinstance(span, RecordingSpan)
        assert span.get_span_context() == INVALID_SPAN.get_span_context()
        span.finish(ROUTE)
