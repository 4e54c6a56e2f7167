"""Hooks of the application for client spans: the span has what they set, and their exceptions are caught."""

from __future__ import annotations

import asyncio
import http.server
import logging
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import httpx2
import pytest
import redis
import requests
from fakeredis import TcpFakeServer

from blogauto_otel import _guard
from blogauto_otel.instrumentation import Context, client_hooks, clients
from testkit.ports import free_port
from testkit.recording import Recording


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()


@pytest.fixture
def recording() -> Iterator[Recording]:
    yield Recording()
    clients.uninstrument()


def context_with(recording: Recording, request: dict[str, Any], response: dict[str, Any] | None = None) -> Context:
    hooks = SimpleNamespace(client_request=request, client_response=response or {})
    return cast("Context", SimpleNamespace(**{**vars(recording.context), "hooks": hooks}))


def get_async(library: Any, url: str) -> int:
    async def get() -> int:
        async with library.AsyncClient() as client:
            return int((await client.get(url)).status_code)

    return asyncio.run(get())


def mark(name: str) -> Any:
    return lambda span, *_: span.set_attribute(name, True)


async def mark_later(span: Any, *_: Any) -> None:
    span.set_attribute("later", True)


def test_hooks_of_requests_see_the_span_before_and_after(server: str, recording: Recording) -> None:
    clients.instrument(context_with(recording, {"requests": mark("before")}, {"requests": mark("after")}))
    requests.get(server, timeout=10)
    attributes = recording.span.attributes or {}
    assert attributes["before"]
    assert attributes["after"]


def test_an_attribute_is_added_to_spans_of_redis(recording: Recording) -> None:
    def name_tenant(span: Any, _: Any, args: tuple[Any, ...], __: Any) -> None:
        span.set_attribute("shop.tenant", str(args[1]).partition(":")[0])

    def count(span: Any, _: Any, response: Any) -> None:
        if isinstance(response, bytes):  # not the answer to SET
            span.set_attribute("shop.length", len(response))

    clients.instrument(context_with(recording, {"redis": name_tenant}, {"redis": count}))
    with TcpFakeServer(("127.0.0.1", free_port())) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with redis.Redis(*server.server_address) as client:
            client.set("acme:1", "x")
            recording.forget()
            client.get("acme:1")
        server.shutdown()
    attributes = recording.span.attributes or {}
    assert (attributes["shop.tenant"], attributes["shop.length"]) == ("acme", 1)


@pytest.mark.parametrize(
    "library",
    [httpx, pytest.param(httpx2, marks=pytest.mark.needs("opentelemetry-instrumentation-httpx>=0.66b0"))],
    ids=["httpx", "httpx2"],
)
def test_one_hook_serves_clients_of_both_kinds(library: Any, server: str, recording: Recording) -> None:
    clients.instrument(context_with(recording, {library.__name__: mark("hooked")}))
    library.get(server)
    get_async(library, server)
    assert [(span.attributes or {})["hooked"] for span in recording.spans] == [True, True]


def test_a_coroutine_function_serves_the_async_client_alone(server: str, recording: Recording) -> None:
    clients.instrument(context_with(recording, {"httpx": mark_later}))
    httpx.get(server)
    get_async(httpx, server)
    assert ["later" in (span.attributes or {}) for span in recording.spans] == [False, True]


def test_a_hook_that_raises_does_not_affect_the_call(server: str, recording: Recording) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    _guard.set_reraise(False)
    clients.instrument(context_with(recording, {"httpx": fail, "requests": fail}))
    answers = [httpx.get(server).status_code, get_async(httpx, server), requests.get(server, timeout=10).status_code]
    assert answers == [204, 204, 204]
    assert len(recording.spans) == 3
    assert _guard.swallowed()["the application's hook for httpx"] == 2


@pytest.mark.parametrize(
    ("entry_point", "library", "expected"),
    [
        ("redis", "redis", {"request_hook", "response_hook"}),
        ("aiohttp-client", "aiohttp", {"request_hook", "response_hook"}),
        ("aiohttp-client", "aiohttp-client", {"request_hook", "response_hook"}),
        ("kafka", "kafka", {"produce_hook", "consume_hook"}),
        ("aiokafka", "aiokafka", {"async_produce_hook", "async_consume_hook"}),
        ("pika", "pika", {"publish_hook", "consume_hook"}),
        ("celery", "celery", set()),
    ],
)
def test_hooks_have_the_names_that_the_instrumentor_takes(
    entry_point: str, library: str, expected: set[str], recording: Recording
) -> None:
    context = context_with(recording, {library: mark("x")}, {library: mark("x")})
    assert set(client_hooks.arguments(entry_point, context)) == expected


def test_an_unused_hook_is_named(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "blogauto_otel"):
        clients.instrument(context_with(recording, {"reddis": mark("x"), "celery": mark("x"), "httpx": mark("x")}))
    assert "hooks for celery, reddis are not used" in caplog.text
