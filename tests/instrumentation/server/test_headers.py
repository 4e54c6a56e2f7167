"""The request id, and the trace context of a trusted sender."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import baggage, propagate
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response

from blogauto_otel.api import bind, bound
from blogauto_otel.api.context import current_request_id
from blogauto_otel.instrumentation.server.headers import MAX_BAGGAGE_BYTES
from testkit.requests import PUBLIC, Watched, ask, client_of, served_on

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
INCOMING = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=x", "baggage": "tenant=acme"}


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/id")
    async def request_id() -> str | None:
        return current_request_id()

    @app.get("/thread")
    def request_id_in_a_thread() -> str | None:
        return current_request_id()

    @app.get("/bind/{user}")
    async def bind_user(user: str) -> str | None:
        bind(user_id=user)
        await asyncio.sleep(0.01)
        return str(bound().get("user.id"))

    @app.get("/bound")
    async def bound_user() -> str | None:
        return str(bound().get("user.id"))

    @app.get("/baggage")
    async def tenant() -> str:
        return str(baggage.get_baggage("tenant"))

    @app.get("/own")
    async def own_header(response: Response) -> None:
        response.headers["X-Request-ID"] = "made-by-the-application"

    return app


# --- request ids ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128, "0af7651916cd43dd8448eb211c80319c"])
async def test_a_well_formed_request_id_is_taken_over(watched: Watched, given: str) -> None:
    response = await ask(application(), "/id", headers={"X-Request-ID": given})
    assert response.json() == given
    assert response.headers["x-request-id"] == given
    assert watched.span.attributes is not None
    assert watched.span.attributes["request.id"] == given


@pytest.mark.parametrize(
    "given",
    [b"", b"x" * 129, b"a b", b"a\n", b"a\r\nSet-Cookie: x=1", b"\x1b[31m", b"a\x00", b"\xe4", b"<script>", b"a;b"],
)
async def test_any_other_is_replaced(watched: Watched, given: bytes) -> None:
    app = application()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/id", "query_string": b"", "headers": [(b"x-request-id", given)]}
    await app(scope, receive, send)
    (returned,) = (value for name, value in sent[0]["headers"] if name == b"x-request-id")
    assert returned != given
    assert re.fullmatch(rb"[0-9a-f]{32}", returned)


async def test_every_request_without_one_gets_its_own(watched: Watched) -> None:
    app = application()
    assert len({(await ask(app, "/id")).json() for _ in range(20)}) == 20


async def test_it_is_known_in_threads_and_under_a_base_http_middleware_and_gone_afterwards(watched: Watched) -> None:
    app = application()
    seen: list[str | None] = []

    async def dispatch(request: Request, call_next: Any) -> Response:
        seen.append(current_request_id())
        response: Response = await call_next(request)
        seen.append(current_request_id())
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    for path in ("/id", "/thread"):
        response = await ask(app, path)
        assert seen[-2:] == [response.headers["x-request-id"]] * 2
        assert response.json() == response.headers["x-request-id"]
    assert current_request_id() is None


async def test_an_application_that_sets_the_header_keeps_its_own(watched: Watched) -> None:
    response = await ask(application(), "/own")
    assert response.headers.get_list("x-request-id") == ["made-by-the-application"]


async def test_what_is_bound_in_one_request_is_not_known_in_another(watched: Watched) -> None:
    app = application()
    async with client_of(app) as asking:
        users = await asyncio.gather(*(asking.get(f"/bind/{user}") for user in range(10)))
        assert [user.json() for user in users] == [str(user) for user in range(10)]
        assert (await asking.get("/bound")).json() == "None"
    assert not bound()


# --- trace context ----------------------------------------------------------------------------------------------------


async def test_a_trusted_peer_continues_its_trace(watched: Watched) -> None:
    response = await ask(application(), "/baggage", headers=INCOMING)
    assert response.json() == "acme"
    span = watched.span
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.context.trace_state.get("vendor") == "x"
    assert not baggage.get_all()


async def test_the_trace_of_an_untrusted_sender_is_linked_and_not_joined(watched: Watched) -> None:
    response = await ask(application(), "/baggage", client=PUBLIC, headers=INCOMING)
    assert response.json() == "None"
    assert watched.span.parent is None
    assert _trace_id(watched.span.context) != TRACE
    (link,) = watched.span.links
    assert (_trace_id(link.context), f"{link.context.span_id:016x}") == (TRACE, PARENT)
    assert not link.context.trace_state, "it can be long"


async def test_a_trace_that_is_joined_is_not_linked_too(watched: Watched) -> None:
    await ask(application(), "/baggage", headers=INCOMING)
    assert not watched.span.links


async def test_the_span_written_for_a_failed_unsampled_request_has_the_link_too(watch: Any) -> None:
    watched = watch(sampler=ALWAYS_OFF)
    app = application()

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError

    await ask(app, "/broken", client=PUBLIC, headers=INCOMING)
    (deferred,) = watched.deferred
    assert [_trace_id(link.context) for link in deferred.links] == [TRACE]


async def test_clients_behind_a_proxy_on_a_private_network_control_neither_sampling_nor_baggage(watch: Any) -> None:
    """Fifty requests that ask to be sampled, and bring 7 KB of baggage."""
    watched = watch(sampler=ParentBased(TraceIdRatioBased(0.0)))
    app, outgoing = application(), list[dict[str, str]]()

    @app.get("/calls")
    async def calls() -> None:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        outgoing.append(carrier)

    through_a_proxy = {**INCOMING, "baggage": f"tenant=acme,big={'x' * 7000}", "x-forwarded-for": PUBLIC[0]}
    async with client_of(app, ("10.0.0.2", 4711)) as asking:
        for _ in range(50):
            assert (await asking.get("/calls", headers=through_a_proxy)).status_code == 200
    assert watched.spans == []
    assert len(outgoing) == 50
    assert not any("baggage" in carrier or TRACE in carrier["traceparent"] for carrier in outgoing)


def test_an_untrusted_sender_on_a_unix_socket_is_linked(watched: Watched, tmp_path: Path) -> None:
    """A real uvicorn, whose scope has no client then."""
    socket = tmp_path / "app.sock"
    with served_on(socket, application()), httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as client:
        assert client.get("http://app/baggage", headers=INCOMING).json() == "None"
    assert watched.span.parent is None
    assert [_trace_id(link.context) for link in watched.span.links] == [TRACE]


@pytest.mark.parametrize("setting", [("unix",), ("always",)])
def test_a_proxy_on_a_unix_socket_is_trusted_by_setting(watch: Any, tmp_path: Path, setting: tuple[str, ...]) -> None:
    watched, socket = watch(trust_incoming=setting), tmp_path / "app.sock"
    with served_on(socket, application()), httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as client:
        assert client.get("http://app/baggage", headers=INCOMING).json() == "acme"
    assert _trace_id(watched.span.context) == TRACE


async def test_starlettes_test_client_is_trusted_by_setting(watch: Any) -> None:
    for setting, seen in ((("private",), "None"), (("private", "testclient"), "acme")):
        watch(trust_incoming=setting)
        response = await ask(application(), "/baggage", client=("testclient", 50_000), headers=INCOMING)
        assert response.json() == seen


async def test_a_request_id_is_refused_by_setting(watch: Any) -> None:
    watch(incoming_request_id=False)
    response = await ask(application(), "/id", headers={"X-Request-ID": "theirs"})
    assert response.json() != "theirs"
    assert response.headers["x-request-id"] == response.json()


# --- baggage ----------------------------------------------------------------------------------------------------------


async def baggage_taken_from(header: str) -> dict[str, str]:
    app = FastAPI()

    @app.get("/all")
    async def everything() -> dict[str, str]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        assert len(carrier.get("baggage", "")) <= MAX_BAGGAGE_BYTES
        return {key: str(value) for key, value in baggage.get_all().items()}

    response = await ask(app, "/all", headers={"baggage": header})
    assert response.status_code == 200
    return dict(response.json())


async def test_baggage_is_taken_as_far_as_it_fits(watched: Watched) -> None:
    assert await baggage_taken_from(f"a=1,big={'x' * 2000},b=2") == {"a": "1", "b": "2"}
    assert await baggage_taken_from(f"a={'%2F' * 300},b={'%2C' * 500}") == {"a": "/" * 300}, "bytes as sent"
    many = await baggage_taken_from(",".join(f"k{number}=v" for number in range(180)))
    assert 100 < len(many) < 180


async def test_baggage_is_taken_as_far_as_it_is_allowed(watch: Any) -> None:
    watch(baggage_keys=("tenant",))
    assert await baggage_taken_from("tenant=acme,session=1") == {"tenant": "acme"}
    watch(baggage_keys=("none",))
    assert await baggage_taken_from("tenant=acme,session=1") == {}


# --- what is malformed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
        {"tracestate": "=,=,=" * 100},
        {"baggage": ";;;,=,%%%" * 1000},
        [("traceparent", INCOMING["traceparent"]), ("traceparent", INCOMING["traceparent"])],
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_malformed_context_is_no_context(watched: Watched, broken: Any) -> None:
    response = await ask(application(), "/baggage", headers=broken)
    assert response.status_code == 200
    assert watched.span.parent is None


async def test_baggage_in_two_headers_is_one_list(watched: Watched) -> None:
    response = await ask(application(), "/baggage", headers=[("baggage", "a=1"), ("baggage", "tenant=acme")])
    assert response.json() == "acme"


async def test_the_propagators_that_are_configured_decide(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.propagators.composite import CompositePropagator

    before = propagate.get_global_textmap()
    propagate.set_global_textmap(CompositePropagator([]))
    try:
        watched = watch()
        await ask(application(), "/baggage", headers=INCOMING)
    finally:
        propagate.set_global_textmap(before)
    assert watched.span.parent is None


async def test_a_call_within_a_request_is_its_child(watched: Watched) -> None:
    inner, outer = application(), FastAPI()

    @outer.get("/outer")
    async def call() -> str:
        return str((await ask(inner, "/id")).json())

    response = await ask(outer, "/outer")
    inner_span, outer_span = watched.spans
    assert inner_span.parent == outer_span.context
    assert response.json() != response.headers["x-request-id"]
    assert watched.requests() == {("GET", "/id", "200"): 1, ("GET", "/outer", "200"): 1}


def _trace_id(context: SpanContext | None) -> str:
    assert context is not None
    return f"{context.trace_id:032x}"
