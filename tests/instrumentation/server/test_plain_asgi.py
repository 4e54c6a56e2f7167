"""ASGI applications of no framework that we know are instrumented by `instrument_app`."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from blogauto_otel.api.context import current_request_id
from blogauto_otel.instrumentation import server
from blogauto_otel.instrumentation.server import instrument_app
from blogauto_otel.instrumentation.server.middleware import InstrumentedApp
from testkit.processes import ROOT
from testkit.requests import Watched, ask


class Shop:
    """A framework in miniature; it puts the template into the scope as Litestar does."""

    name = "shop"

    def __init__(self, template: str | None = "/items/{item:int}") -> None:
        self.template = template

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if self.template is not None:
            scope["path_template"] = self.template
        if scope["path"].endswith("/0"):
            raise ZeroDivisionError
        body = str(current_request_id()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})


async def test_requests_have_span_metrics_and_id(watched: Watched) -> None:
    response = await ask(instrument_app(Shop()), "/items/1")
    assert response.headers["x-request-id"] == response.text
    assert watched.names == ["GET /items/{item}"]
    assert watched.requests() == {("GET", "/items/{item}", "200"): 1}


async def test_a_failure_is_recorded_and_raised(watched: Watched) -> None:
    await ask(instrument_app(Shop()), "/items/0")
    assert watched.errors() == {("ZeroDivisionError", "/items/{item}"): 1}


async def test_a_route_object_in_the_scope_names_the_template(watched: Watched) -> None:
    shop = Shop(None)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = SimpleNamespace(path="/things/{thing}")
        await shop(scope, receive, send)

    await ask(instrument_app(app), "/things/1")
    assert watched.names == ["GET /things/{thing}"]


async def test_without_a_template_the_path_is_no_name(watched: Watched) -> None:
    await ask(instrument_app(Shop(None)), "/items/1")
    assert watched.names == ["GET"]
    assert watched.requests() == {("GET", "unmatched", "200"): 1}


async def test_wrapped_before_it_is_switched_on(watch: Callable[..., Watched]) -> None:
    server.uninstrument()
    app = instrument_app(Shop())
    assert (await ask(app, "/items/1")).text == "None"
    watched = watch()
    await ask(app, "/items/1")
    assert watched.names == ["GET /items/{item}"]


async def test_wrapped_twice_or_around_fastapi_it_is_one_request(watched: Watched) -> None:
    app = FastAPI()
    app.get("/x")(lambda: 1)
    once = instrument_app(app)
    assert instrument_app(once) is once
    await ask(once, "/x")
    assert watched.names == ["GET /x"]


def test_the_wrapper_has_the_attributes_of_the_application() -> None:
    app: Any = instrument_app(Shop())
    assert app.name == "shop"
    assert pickle.loads(pickle.dumps(app)).app.name == "shop"
    with pytest.raises(AttributeError):
        _ = InstrumentedApp.__new__(InstrumentedApp).nothing


async def test_pages_and_lifespan_callbacks_work(watched: Watched) -> None:
    calls: list[str] = []
    server.on_lifespan_startup(lambda: calls.append("startup"))
    server.on_lifespan_shutdown(lambda: calls.append("shutdown"))
    server.serve("/ours", Shop(None))
    app = instrument_app(Shop())
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, send, send)  # type: ignore[arg-type]
    assert calls == ["startup", "shutdown"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (await ask(app, "/ours")).status_code == 200
    assert watched.requests() == {}


WITHOUT_STARLETTE = """
import sys
from importlib import util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name.partition(".")[0] in ("starlette", "fastapi") else find(name, *rest)
from blogauto_otel.instrumentation import server
from testkit.recording import Recording
recording = Recording()
print(server.instrument(recording.context).detail)
import asyncio
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
async def nothing(*_): ...
scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
asyncio.run(server.instrument_app(app)(scope, nothing, nothing))
print([span.name for span in recording.spans], "starlette" in sys.modules)
"""


def test_without_starlette_other_applications_are_instrumented() -> None:
    command = [sys.executable, "-c", WITHOUT_STARLETTE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "starlette is not installed\n['GET'] False\n", done.stderr


def test_the_neutral_part_imports_no_framework_and_nothing_of_ours_for_one() -> None:
    folder = ROOT / "blogauto_otel" / "instrumentation" / "server"
    lines = [line.strip() for path in folder.glob("*.py") for line in path.read_text().splitlines()]
    imports = [line for line in lines if line.startswith(("import ", "from ")) and "starlette" in line]
    assert imports == ["from blogauto_otel.instrumentation import starlette"]
    assert not any(line.startswith(("import fastapi", "from fastapi")) for line in lines)
