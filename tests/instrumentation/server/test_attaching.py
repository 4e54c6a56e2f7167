"""Requests are instrumented whatever was imported first, once, and no longer after `uninstrument`."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import fastapi
import fastapi.applications
import fastapi.routing
import pytest
import starlette
import starlette.applications
import starlette.background
import starlette.routing
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette import _exception_handler
from starlette.applications import Starlette
from starlette.routing import Mount

from blogauto_otel.errors import ConfigurationError
from blogauto_otel.instrumentation import Report, State, server
from blogauto_otel.instrumentation.starlette import patches
from testkit.processes import ROOT
from testkit.requests import Watched, ask


def application(kind: Any = FastAPI) -> FastAPI:
    app: FastAPI = kind()

    @app.get("/x")
    async def x() -> str:
        return "x"

    return app


def functions() -> list[Any]:
    return [
        vars(importlib.import_module(patch.module) if patch.owner is None else _owner(patch)).get(patch.function)
        for patch in patches.PATCHES
    ]


def _owner(patch: patches.Patch) -> Any:
    return getattr(importlib.import_module(patch.module), str(patch.owner))


async def test_applications_made_before_are_instrumented(watch: Callable[..., Watched]) -> None:
    app = application()
    await ask(app, "/x")  # its middleware stack is built
    watched = watch()
    await ask(app, "/x")
    assert watched.names == ["GET /x"]


async def test_applications_made_after_are_instrumented(watched: Watched) -> None:
    await ask(application(), "/x")
    assert watched.names == ["GET /x"]


async def test_subclasses_are_instrumented_also_those_with_a_call_of_their_own(watched: Watched) -> None:
    class Plain(FastAPI):
        pass

    class Calling(FastAPI):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)

    await ask(application(Plain), "/x")
    await ask(application(Calling), "/x")
    assert watched.names == ["GET /x", "GET /x"]


async def test_a_request_through_several_applications_is_one_request(watched: Watched) -> None:
    inner = application()
    middle = Starlette(routes=[Mount("/middle", inner)])
    outer = FastAPI()
    outer.mount("/outer", middle)
    await ask(outer, "/outer/middle/x")
    assert watched.names == ["GET /outer/middle/x"]
    assert watched.requests() == {("GET", "/outer/middle/x", "200"): 1}


async def test_switched_on_twice_it_reports_once(watched: Watched) -> None:
    watched.instrument()
    await ask(application(), "/x")
    assert watched.names == ["GET /x"]


async def test_after_uninstrument_everything_is_as_it_was(watch: Callable[..., Watched]) -> None:
    server.uninstrument()
    before = functions()
    watched = watch()
    assert not any(now is was for now, was in zip(functions(), before, strict=True) if was is not None)
    server.uninstrument()
    server.uninstrument()
    assert functions() == before
    await ask(application(), "/x")
    assert not watched.spans
    assert watched.metrics == {}


async def test_a_function_that_others_wrapped_after_us_stays_wrapped_and_passes_through(
    watch: Callable[..., Watched],
) -> None:
    watched = watch()
    ours = FastAPI.__call__
    calls: list[str] = []

    async def theirs(self: Any, scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        await ours(self, scope, receive, send)

    FastAPI.__call__ = theirs  # type: ignore[method-assign]
    try:
        server.uninstrument()
        assert (await ask(application(), "/x")).json() == "x"
        assert not watched.spans
        again = watch()
        assert (await ask(application(), "/x")).json() == "x"
        assert again.names == ["GET /x"]
        assert calls == ["/x", "/x"]
    finally:
        FastAPI.__call__ = ours  # type: ignore[method-assign]


def test_servers_still_see_an_asgi_3_application(watched: Watched) -> None:
    for app in (FastAPI(), Starlette()):
        assert inspect.iscoroutinefunction(type(app).__call__)
        assert list(inspect.signature(app).parameters) == ["scope", "receive", "send"]


async def test_other_kinds_of_scope_pass_through(watched: Watched) -> None:
    seen: list[str] = []

    class Odd(Starlette):
        def build_middleware_stack(self) -> Any:
            async def note(scope: Any, receive: Any, send: Any) -> None:
                seen.append(scope["type"])

            return note

    async def nothing(*_: Any) -> Any: ...

    await Odd()({"type": "odd"}, nothing, nothing)
    assert seen == ["odd"]


def test_the_report_names_the_frameworks(watched: Watched) -> None:
    assert watched.report.state is State.ON
    assert watched.report.detail == f"FastAPI {fastapi.__version__}, Starlette {starlette.__version__}"


def test_switched_off_the_report_says_so(watch: Callable[..., Watched]) -> None:
    assert watch(requests="off").report == Report("asgi", State.OFF, "by BLOGAUTO_OTEL_REQUESTS")


async def test_switched_off_requests_pass_through(watch: Callable[..., Watched]) -> None:
    watched = watch(requests="off")
    response = await ask(application(), "/x")
    assert response.json() == "x"
    assert "x-request-id" not in response.headers
    assert not watched.spans
    assert watched.metrics == {}


def test_without_starlette_it_is_missing(watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert watch().report == Report("asgi", State.MISSING, "starlette is not installed")


SCRIPT = """
import sys
from testkit.requests import Watched, ask  # imports neither framework
assert "starlette.applications" not in sys.modules, "imported for the test"
watched = Watched()
assert "starlette.applications" not in sys.modules, "imported by us"
import asyncio
from fastapi import FastAPI
from fastapi.routing import APIRoute
app = FastAPI()
app.get("/x")(lambda: 1)
asyncio.run(ask(app, "/x"))
assert watched.names == ["GET /x"], watched.names
print("watched")
"""


def test_it_imports_no_framework_and_instruments_one_that_is_imported_later() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "watched\n", done.stderr


# --- contrib ----------------------------------------------------------------------------------------------------------


def test_contrib_takes_over_when_it_is_installed(watch: Callable[..., Watched]) -> None:
    assert watch(requests="contrib").report == Report("asgi", State.ON, "contrib")


async def test_contrib_reports_with_stable_conventions_and_without_a_span_per_message(
    watch: Callable[..., Watched],
) -> None:
    watched = watch(requests="contrib")
    app = fastapi.applications.FastAPI()
    fast = fastapi.FastAPI()  # contrib replaces the name, so applications made after it are its own
    for made in (app, fast):
        made.get("/x")(lambda: "x")
    await ask(fast, "/x")
    assert watched.names == ["GET /x"]
    assert watched.span.instrumentation_scope is not None
    assert watched.span.instrumentation_scope.name == "opentelemetry.instrumentation.fastapi"
    assert set(watched.metrics) >= {"http.server.request.duration"}
    assert not any(name.startswith("blogauto.") for name in watched.metrics)


def test_without_contrib_our_own_is_used_and_the_report_says_why(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from blogauto_otel.instrumentation.starlette import other_telemetry

    monkeypatch.setattr(other_telemetry, "is_contrib_installed", lambda: False)
    assert watch(requests="contrib").report == Report("asgi", State.ON, "own, because contrib is not installed")
    assert 'pip install "blogauto_otel[fastapi]"' in caplog.text


def test_without_contrib_strict_settings_are_an_error(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    from blogauto_otel.instrumentation.starlette import other_telemetry

    monkeypatch.setattr(other_telemetry, "is_contrib_installed", lambda: False)
    with pytest.raises(ConfigurationError):
        watch(requests="contrib", strict=True)


# --- a framework that is not as we know it ----------------------------------------------------------------------------


@pytest.mark.parametrize("patch", patches.PATCHES, ids=lambda patch: f"{patch.module}.{patch.owner}.{patch.function}")
async def test_a_framework_without_one_of_the_patched_functions_still_works(
    watch: Callable[..., Watched],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    patch: patches.Patch,
) -> None:
    import dataclasses

    unknown = dataclasses.replace(patch, function="no_such_function")
    monkeypatch.setattr(patches, "PATCHES", (*(other for other in patches.PATCHES if other != patch), unknown))
    monkeypatch.setattr(patches.apply, "__defaults__", (patches.PATCHES,))
    watch()
    assert (await ask(application(), "/x")).json() == "x"
    needs_no_word = patch.owner == "APIRoute" or patch.module.startswith("uvicorn.")
    assert ("no_such_function" in caplog.text) is not needs_no_word


def test_the_functions_that_we_patch_exist(watched: Watched) -> None:
    for module in (
        _exception_handler,
        fastapi.routing,
        starlette.routing,
        starlette.background,
        starlette.applications,
    ):
        assert module.__name__ in {patch.module for patch in patches.PATCHES}
    inherited = {patch for patch in patches.PATCHES if patch.owner == "APIRoute" and "handle" not in vars(APIRoute)}
    assert set(patches._state.originals) - set(patches.OTHERS) == set(patches.PATCHES) - inherited
