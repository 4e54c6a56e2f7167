"""Private members of Sentry's SDK: without one, errors are still linked, and a warning says what is missing."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk
from fastapi import FastAPI
from opentelemetry import trace

from blogauto_otel.integrations.sentry import linking
from testkit.environments import environment as made_with
from testkit.processes import ROOT, environment
from testkit.requests import ask
from tests.sentry.conftest import Link
from tests.versions.test_bounds import OLDEST, tools

Remove = Callable[[pytest.MonkeyPatch], None]


def without(module: Any, name: str) -> Remove:
    return lambda monkeypatch: monkeypatch.delattr(module, name)


DETAILS: dict[str, tuple[Remove, str]] = {
    "scopes in context variables": (without(sentry_sdk.Scope, "fork"), "keeps its scopes in another way"),
    "building an event": (without(sentry_sdk.utils, "event_from_exception"), ""),
    "propagation from outside": (without(sentry_sdk.scope, "register_external_propagation_context"), ""),
    "the list of ignored loggers": (
        without(sentry_sdk.integrations.logging._BaseHandler, "COMMON_RECORD_ATTRS"),
        "",
    ),
    "the profiler": (without(sentry_sdk.profiler, "start_profiler"), ""),
    "sending in a thread": (without(sentry_sdk.transport.BaseHttpTransport, "_send_envelope"), ""),
}


@pytest.mark.parametrize("detail", [name for name in DETAILS if name != "sending in a thread"])
async def test_without_a_private_detail_errors_are_linked_all_the_same(
    link: Link, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, detail: str
) -> None:
    remove, warning = DETAILS[detail]
    remove(monkeypatch)
    app = FastAPI()

    @app.get("/crash")
    async def crash() -> None:
        with trace.get_tracer("shop").start_as_current_span("inner"):
            raise ValueError("x")

    with link(sentry_profiles_rate=1.0 if detail == "the profiler" else 0.0) as linked:
        await ask(app, "/crash")
        event, report = linked.event, linked.report
        inner = linked.telemetry.span("inner").context
    assert inner is not None
    assert int(event.span_id, 16) == inner.span_id
    assert warning in caplog.text
    assert report.startswith("on (errors")


def test_a_version_that_cannot_be_linked_is_reported(
    link: Link, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As if a module that we import were missing."""
    monkeypatch.setitem(sys.modules, linking.__name__, None)
    with link() as linked:
        assert linked.report.startswith("wrong version (this version of sentry_sdk cannot be linked")
        logging.getLogger("shop").error("x")
        assert linked.events == []
    assert "cannot be linked" in caplog.text


LOWEST = "sentry-sdk==2.48.0"


# Without those of the extra `dev`: the tests' servers use an option of a later uvicorn.
SERVICE = (*(one for one in OLDEST if not one.startswith(("uvicorn", "mcp", "sqlparse"))), "uvicorn[standard]>=0.35")


@pytest.mark.long
@pytest.mark.xdist_group("versions")
def test_the_lowest_version_that_the_extra_allows() -> None:
    """All of these tests but those with other servers, in an environment of its own with the package installed."""
    assert f'"{LOWEST.replace("==2.48.0", ">=2.48")},<3"' in (ROOT / "pyproject.toml").read_text()
    python = made_with("sentry", *SERVICE, LOWEST, *tools(), str(ROOT))
    chosen = "not lowest and not bugsink and not kent"
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/sentry", "-k", chosen]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
