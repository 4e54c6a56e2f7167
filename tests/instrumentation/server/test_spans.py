"""Attributes, names, status and times of a server span."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from testkit.requests import Watched, ask


async def answer(request: Request) -> Response:
    return PlainTextResponse("yes", int(request.query_params.get("status", 200)))


APP = Starlette(routes=[Route("/things/{thing}", answer)])


async def test_a_span_has_the_attributes_of_the_stable_conventions(watched: Watched) -> None:
    headers = {"user-agent": "curl/8", "host": "shop.example:8443", "x-request-id": "abc-1"}
    await ask(APP, "/things/7?a=1", headers=headers)
    span = watched.span
    assert span.kind is SpanKind.SERVER
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "blogauto_otel.http"
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/things/{thing}",
        "url.scheme": "http",
        "url.path": "/things/7",
        "url.query": "a=1",
        "server.address": "shop.example",
        "server.port": 8443,
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "request.id": "abc-1",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert not span.events


HOSTS = {
    "shop.example": ("shop.example", 80),
    "shop.example:8000": ("shop.example", 8000),
    "[2001:db8::1]:8443": ("2001:db8::1", 8443),
    "[2001:db8::1]": ("2001:db8::1", 80),
    "": ("server", 1234),
    "shop.example:http": ("server", 1234),
    "shop.example:" + "9" * 5000: ("server", 1234),
    ":80": ("server", 1234),
}


@pytest.mark.parametrize(("host", "said"), HOSTS.items(), ids=lambda value: str(value)[:20])
async def test_the_server_is_the_one_the_client_named(watched: Watched, host: str, said: tuple[str, int]) -> None:
    scope = _scope("/things/7", headers=[(b"host", host.encode())])
    await _call(APP, scope)
    assert watched.span.attributes is not None
    assert (watched.span.attributes["server.address"], watched.span.attributes["server.port"]) == said


async def test_a_scope_with_only_what_asgi_demands_is_enough(watched: Watched) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/things/7",
        "query_string": b"",
        "headers": [],
    }
    await _call(APP, scope)
    assert watched.span.attributes is not None
    assert "client.address" not in watched.span.attributes
    assert watched.requests() == {("GET", "/things/{thing}", "200"): 1}


async def test_headers_that_can_be_read_only_once_reach_the_application(watched: Watched) -> None:
    async def echo(request: Request) -> Response:
        return PlainTextResponse(request.headers["x-mine"])

    scope = _scope("/")
    scope["headers"] = iter([(b"x-mine", b"1"), (b"x-request-id", b"abc")])
    sent = await _call(Starlette(routes=[Route("/", echo)]), scope)
    assert sent[1]["body"] == b"1"
    assert watched.span.attributes is not None
    assert watched.span.attributes["request.id"] == "abc"


async def test_a_status_may_be_a_member_of_the_enumeration(watched: Watched) -> None:
    async def teapot(request: Request) -> Response:
        return PlainTextResponse("", HTTPStatus.IM_A_TEAPOT)

    await ask(Starlette(routes=[Route("/", teapot)]), "/")
    assert watched.requests() == {("GET", "/", "418"): 1}
    assert watched.span.attributes is not None
    assert type(watched.span.attributes["http.response.status_code"]) is int


async def test_secrets_of_the_query_are_redacted(watched: Watched) -> None:
    await ask(APP, "/things/7?token=abcdefgh12345678&page=2")
    assert watched.span.attributes is not None
    query = str(watched.span.attributes["url.query"])
    assert "abcdefgh12345678" not in query
    assert "page=2" in query


@pytest.mark.parametrize(
    ("status", "failed"), [(200, False), (302, False), (404, False), (499, False), (500, True), (503, True)]
)
async def test_only_our_own_failures_make_a_span_fail(watched: Watched, status: int, *, failed: bool) -> None:
    await ask(APP, f"/things/7?status={status}")
    span = watched.span
    assert span.attributes is not None
    assert span.status.status_code is (StatusCode.ERROR if failed else StatusCode.UNSET)
    assert span.attributes.get("error.type") == (str(status) if failed else None)
    assert not span.events


async def test_a_crash_is_recorded_with_its_exception_and_raised_as_it_is(watched: Watched) -> None:
    error = KeyError("x")
    app = FastAPI()

    @app.get("/crash")
    async def crash() -> None:
        raise error

    with pytest.raises(KeyError) as raised:
        await _call(app, _scope("/crash"))
    assert raised.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    span = watched.span
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "KeyError"
    assert span.attributes["http.response.status_code"] == 500
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "KeyError"
    assert "raise error" in str(event.attributes["exception.stacktrace"])


async def test_the_class_of_an_exception_is_recorded_with_its_module(watched: Watched) -> None:
    class UpstreamError(Exception):
        pass

    app = FastAPI()

    @app.exception_handler(UpstreamError)
    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("busy", 503)

    @app.get("/handled")
    async def handled() -> None:
        raise UpstreamError

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(503)

    await ask(app, "/handled")
    await ask(app, "/refused")
    handled_span, refused_span = watched.spans
    assert handled_span.attributes is not None
    assert refused_span.attributes is not None
    assert handled_span.attributes["error.type"] == f"{__name__}.{UpstreamError.__qualname__}"
    assert refused_span.attributes["error.type"] == "503"


async def test_the_span_is_current_in_the_endpoint_in_its_thread_and_gone_afterwards(watched: Watched) -> None:
    seen = []
    app = FastAPI()

    @app.get("/async")
    async def asynchronous() -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    @app.get("/thread")
    def threaded() -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)
        watched.tracer.start_span("child").end()

    await ask(app, "/async")
    await ask(app, "/thread")
    assert seen == [span.context.span_id for span in watched.spans if span.context]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_attributes_of_the_application_stand_beside_ours(watched: Watched) -> None:
    async def put(request: Request) -> Response:
        trace.get_current_span().set_attribute("app.tenant", "acme")
        return PlainTextResponse("yes")

    await ask(Starlette(routes=[Route("/", put)]), "/")
    assert watched.span.attributes is not None
    assert watched.span.attributes["app.tenant"] == "acme"


async def test_a_span_begins_with_the_request_and_ends_with_the_last_byte(watched: Watched) -> None:
    await ask(APP, "/things/7")
    span = watched.span
    assert span.start_time is not None
    assert span.end_time is not None
    total = watched.durations()["GET", "/things/{thing}"]
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(total, abs=2e-9)  # it is in whole nanoseconds


async def test_the_duration_has_the_trace_as_its_exemplar(watched: Watched) -> None:
    await ask(APP, "/things/7")
    (point,) = watched.metrics["blogauto.api.request.duration"].data.data_points
    (exemplar,) = point.exemplars
    assert watched.span.context is not None
    assert (exemplar.trace_id, exemplar.span_id) == (watched.span.context.trace_id, watched.span.context.span_id)
    assert 2.0 in point.explicit_bounds  # type: ignore[union-attr]


async def test_the_semantic_conventions_metrics_come_when_they_are_switched_on(watch: Any) -> None:
    watched = watch(http_semconv_metrics=True)
    await ask(APP, "/things/7")
    await ask(APP, "/nothing")
    assert watched.points("http.server.request.duration") == {
        (
            ("http.request.method", "GET"),
            ("http.response.status_code", 200),
            ("http.route", "/things/{thing}"),
            ("network.protocol.version", "1.1"),
            ("url.scheme", "http"),
        ): 1,
        (
            ("http.request.method", "GET"),
            ("http.response.status_code", 404),
            ("network.protocol.version", "1.1"),
            ("url.scheme", "http"),
        ): 1,
    }
    assert watched.points("http.server.active_requests") == {}


async def test_semantic_conventions_metrics_are_off_by_default(watched: Watched) -> None:
    await ask(APP, "/things/7")
    assert set(watched.metrics) == {
        "blogauto.api.requests",
        "blogauto.api.request.duration",
        "blogauto.api.requests.in_progress",
    }


async def test_the_namespace_is_a_setting(watch: Any) -> None:
    watched = watch(namespace="shop")
    await ask(APP, "/things/7")
    assert "shop.api.requests" in watched.metrics


def _scope(path: str, headers: Any = ()) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("server", 1234),
    }


async def _call(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
