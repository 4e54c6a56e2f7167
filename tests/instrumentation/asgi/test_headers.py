"""What a request brings along: its id, and the trace it belongs to if its sender is trusted."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry import baggage, propagate
from opentelemetry.trace import SpanContext
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response

from blogauto_otel.instrumentation.asgi.headers import MAX_PEERS, Peers
from blogauto_otel.signals import bind, bound
from blogauto_otel.signals.context import current_request_id
from tests.support.requests import LOCAL, PUBLIC, Watched, ask, client_of

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

NETWORKS: dict[str, dict[tuple[str, int] | None, bool]] = {
    "private": {
        LOCAL: True,
        None: True,
        ("", 0): True,
        ("10.1.2.3", 1): True,
        ("172.31.255.1", 1): True,
        ("172.32.0.1", 1): False,
        ("192.168.0.9", 1): True,
        ("::1", 1): True,
        ("fe80::1%eth0", 1): True,
        ("fd00::1", 1): True,
        ("::ffff:10.0.0.1", 1): True,
        ("::ffff:203.0.113.7", 1): False,
        ("100.64.0.1", 1): False,
        ("2001:db8::1", 1): False,
        ("unknown", 0): False,
        ("127.0.0.1.evil.example", 0): False,
        PUBLIC: False,
    },
    "always": {PUBLIC: True, ("unknown", 0): True, None: True},
    "never": {LOCAL: False, None: False},
    "203.0.113.0/24": {PUBLIC: True, LOCAL: False, ("203.0.114.1", 1): False},
}


@pytest.mark.parametrize(
    ("setting", "client", "trusted"),
    [(setting, client, trusted) for setting, clients in NETWORKS.items() for client, trusted in clients.items()],
    ids=str,
)
def test_a_peer_is_trusted_by_its_address(setting: str, client: tuple[str, int] | None, *, trusted: bool) -> None:
    assert Peers((setting,)).trusts(client) is trusted


def test_a_flood_of_addresses_does_not_grow_us() -> None:
    peers = Peers(("private",))
    for number in range(MAX_PEERS + 100):
        assert not peers.trusts((f"2001:db8::{number:x}", 1))
    assert len(peers._known) <= MAX_PEERS


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


async def test_an_untrusted_peer_begins_a_trace_of_ours(watched: Watched) -> None:
    response = await ask(application(), "/baggage", client=PUBLIC, headers=INCOMING)
    assert response.json() == "None"
    assert watched.span.parent is None
    assert _trace_id(watched.span.context) != TRACE


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
