"""Names and attributes that the application sets on its request stay; suppressed requests are not recorded."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from blogauto_otel.testing import Captured, capture_telemetry


@pytest.fixture
def telemetry() -> Iterator[Captured]:
    with capture_telemetry() as captured:
        yield captured


async def ask(app: FastAPI, path: str) -> int:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return (await client.get(path)).status_code


def shop(**settings: str) -> FastAPI:
    app = FastAPI(**settings)  # type: ignore[arg-type]

    @app.get("/orders/{number}")
    async def order(number: str) -> str:
        return number

    @app.get("/named")
    async def named() -> None:
        span = trace.get_current_span()
        span.update_name("checkout")
        span.set_attribute("http.route", "/by/hand")

    @app.get("/fails")
    async def fails() -> None:
        raise LookupError("no such order")

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return app


async def test_a_name_and_a_route_that_the_application_gave_stay(telemetry: Captured) -> None:
    await ask(shop(), "/named")
    attributes = telemetry.span("checkout").attributes or {}
    assert attributes["http.route"] == "/by/hand"
    assert attributes["http.response.status_code"] == 200


@pytest.mark.parametrize("depth", [0, 1])
async def test_the_route_has_the_root_path_once(depth: int, telemetry: Captured) -> None:
    app, prefix = shop(root_path="/api"), ""
    if depth:
        outer = FastAPI(root_path="/api")
        outer.mount("/shop", shop())
        app, prefix = outer, "/shop"
    await ask(app, f"/api{prefix}/orders/7")
    [span] = telemetry.spans
    assert (span.attributes or {})["http.route"] == f"/api{prefix}/orders/{{number}}"
    assert span.name == f"GET /api{prefix}/orders/{{number}}"


async def test_the_path_stays_as_it_was_sent(telemetry: Captured) -> None:
    await ask(shop(), "/orders/%ED%95%9C%20a%2Fb")
    [span] = telemetry.spans
    assert (span.attributes or {})["url.path"] == "/orders/%ED%95%9C%20a%2Fb"


async def test_a_secret_cannot_hide_behind_its_encoding(telemetry: Captured) -> None:
    await ask(shop(), "/orders/password%3Dhunter2")
    [span] = telemetry.spans
    assert (span.attributes or {})["url.path"] == "/orders/password=hunter2"  # which the redactor sees


async def test_an_encoded_path_of_an_untraced_route_is_untraced() -> None:
    with capture_telemetry(untraced_routes=("/orders/new",)) as telemetry:
        await ask(shop(), "/orders/%6Eew")
    assert [span.name for span in telemetry.spans] == []


async def test_the_status_description_names_the_exception(telemetry: Captured) -> None:
    assert await ask(shop(), "/fails") == 500
    assert telemetry.span("GET /fails").status.description == "LookupError: no such order"


async def test_a_deferred_span_has_it_too() -> None:
    with capture_telemetry(sample_rate=0.0) as telemetry:
        await ask(shop(), "/fails")
    assert telemetry.span("GET /fails").status.description == "LookupError: no such order"


def test_a_websocket_session_has_a_method(telemetry: Captured) -> None:
    with TestClient(shop()).websocket_connect("/live"):
        pass
    [span] = telemetry.spans
    assert (span.attributes or {})["http.request.method"] == "GET"


@pytest.mark.parametrize("suppress", [suppress_instrumentation, suppress_http_instrumentation])
async def test_a_suppressed_request_is_answered_and_not_recorded(suppress: object, telemetry: Captured) -> None:
    with suppress():  # type: ignore[operator]
        assert await ask(shop(), "/orders/7") == 200
    assert telemetry.spans == ()
    assert not telemetry.points("blogauto.api.requests")


def test_a_suppressed_statement_is_not_recorded(telemetry: Captured) -> None:
    with create_engine("sqlite://").connect() as connection, trace.get_tracer("shop").start_as_current_span("work"):
        with suppress_instrumentation():
            connection.execute(text("SELECT 1"))
        with suppress_http_instrumentation():
            connection.execute(text("SELECT 2"))
    assert [span.name for span in telemetry.spans] == ["SELECT", "work"]
