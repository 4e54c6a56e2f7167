from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability

from blogauto_otel.config import Settings
from blogauto_otel.instrumentation import State, clients
from testkit.recording import Recording


class Instrumentor:
    """A class like `BaseInstrumentor`."""

    is_instrumented_by_opentelemetry = False

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def instrument(self, **kwargs: Any) -> None:
        self.calls.append(kwargs)

    def uninstrument(self, **kwargs: Any) -> None:
        self.calls.append("uninstrument")


def point(name: str, load: Any, requires: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(name=name, load=load, dist=SimpleNamespace(requires=list(requires)))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Entry points that are installed, instead of those of this environment; no library is expected."""
    points: dict[str, Any] = {}
    monkeypatch.setattr(clients, "_entry_points", lambda: points)
    monkeypatch.setattr(clients, "EXPECTED", {})
    yield points
    clients.uninstrument()


@pytest.fixture
def server() -> Iterator[str]:
    """An HTTP server that returns the traceparent it was sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.headers.get("traceparent", "").encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()


def test_httpx_and_requests_are_recorded_by_stable_conventions_and_carry_the_trace(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Read once per process: another test may have had it read without ours.
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
    recording = Recording()
    report = clients.instrument(recording.context)
    try:
        assert report.state is State.ON
        assert "httpx" in report.detail.partition(";")[0]
        assert "requests" in report.detail.partition(";")[0]
        with recording.tracer.start_as_current_span("request") as parent:
            answers = [httpx.get(server).text, requests.get(server, timeout=10).text]
        trace_id = f"{parent.get_span_context().trace_id:032x}"
        assert [answer.split("-")[1] for answer in answers] == [trace_id, trace_id]
        for span in recording.spans:
            assert span.parent is not None
            assert span.parent.span_id == parent.get_span_context().span_id
            assert (span.attributes or {})["http.request.method"] == "GET"
        assert len(recording.spans) == 2
    finally:
        clients.uninstrument()
    recording.forget()
    with recording.tracer.start_as_current_span("request"):
        httpx.get(server)
    assert recording.spans == []


@pytest.mark.parametrize("name", [*clients.REPLACED, "asyncpg", "sqlite3"])
def test_a_library_with_an_instrumentation_of_ours_is_skipped(name: str, installed: dict[str, Any]) -> None:
    installed[name] = point(name, lambda: pytest.fail("it must not even be imported"))
    (report,) = clients.reports(Recording().context)
    assert report.state is State.SKIPPED
    assert report.detail


def test_a_driver_is_recorded_where_sqlalchemy_is_not() -> None:
    assert clients.decide("asyncpg", Settings()) is not None
    assert clients.decide("asyncpg", Settings(sqlalchemy="off")) is None
    assert clients.decide("asyncpg", Settings(disabled_instrumentations=("sqlalchemy",))) is None


@pytest.mark.parametrize("disabled", [("redis",), ("*",)])
def test_the_user_can_keep_one_or_all_off(disabled: tuple[str, ...], installed: dict[str, Any]) -> None:
    installed["redis"] = point("redis", lambda: pytest.fail("it must not even be imported"))
    (report,) = clients.reports(Recording(disabled_instrumentations=disabled).context)
    assert (report.state, report.detail) == (State.OFF, "by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")


def test_when_all_are_disabled_no_library_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_entry_points", lambda: pytest.fail("nobody asked"))
    assert clients.instrument(Recording(clients=False).context).state is State.OFF


def raising(error: BaseException) -> Any:
    def load() -> Any:
        raise error

    return load


@pytest.mark.parametrize(
    ("load", "state", "detail"),
    [
        (
            raising(ModuleNotFoundError("No module named 'redis'", name="redis")),
            State.MISSING,
            "redis is not installed",
        ),
        (raising(ImportError("libfoo.so.1")), State.BROKEN, "ImportError: libfoo.so.1"),
        (raising(AttributeError("pkgutil.ImpImporter")), State.BROKEN, "AttributeError: pkgutil.ImpImporter"),
        (lambda: object, State.BROKEN, "AttributeError: 'object' object has no attribute 'instrument'"),
    ],
)
def test_a_broken_instrumentation_does_not_affect_the_others(
    load: Any, state: State, detail: str, installed: dict[str, Any]
) -> None:
    good = Instrumentor()
    installed["broken"] = point("broken", load)
    installed["good"] = point("good", lambda: lambda: good)
    broken, working = clients.reports(Recording().context)
    assert (broken.state, broken.detail) == (state, detail)
    assert (working.state, len(good.calls)) == (State.ON, 1)


def test_a_library_of_the_wrong_version_or_none_is_reported_from_metadata(installed: dict[str, Any]) -> None:
    not_loaded = lambda: pytest.fail("it must not even be imported")  # noqa: E731
    installed["old"] = point("old", not_loaded, ('httpx<0.1; extra == "instruments"',))
    installed["gone"] = point("gone", not_loaded, ('no-such-library>=1; extra == "instruments"',))
    gone, old = clients.reports(Recording().context)
    assert (gone.state, gone.detail) == (State.MISSING, "no-such-library>=1 is not installed")
    assert old.state is State.WRONG_VERSION
    assert old.detail.startswith("httpx 0.")
    assert old.detail.endswith("it takes httpx<0.1")


def test_a_library_without_its_instrumentation_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_entry_points", dict)
    monkeypatch.setattr(clients, "EXPECTED", {"json": "json-client", "no_such_library": "no-such"})
    report = clients.instrument(Recording().context)
    assert report.state is State.MISSING
    assert report.detail == 'missing: json-client (pip install "blogauto_otel[json]")'


def test_the_report_is_one_line_that_names_each(installed: dict[str, Any]) -> None:
    installed["good"] = point("good", lambda: Instrumentor)
    installed["other"] = point("other", lambda: Instrumentor)
    installed["bad"] = point("bad", raising(OSError("no such file")))
    installed["fastapi"] = point("fastapi", Instrumentor)
    installed["gone"] = point("gone", raising(ModuleNotFoundError("httpx2 is missing")))
    report = clients.instrument(Recording().context)
    assert report.state is State.ON
    assert report.detail == "good, other; broken: bad (OSError: no such file); missing: gone; skipped: fastapi"


def test_an_instrumentation_that_was_active_before_is_left_alone(installed: dict[str, Any]) -> None:
    theirs = Instrumentor()
    theirs.is_instrumented_by_opentelemetry = True
    installed["theirs"] = point("theirs", lambda: lambda: theirs)
    (report,) = clients.reports(Recording().context)
    clients.uninstrument()
    assert (report.state, report.detail, theirs.calls) == (State.ON, "already", [])


def test_uninstrument_continues_after_one_that_fails(
    installed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from blogauto_otel import _guard

    _guard.set_reraise(False)
    bad, good = Instrumentor(), Instrumentor()
    monkeypatch.setattr(bad, "uninstrument", raising(RuntimeError("no")))
    installed["a"] = point("a", lambda: lambda: good)
    installed["b"] = point("b", lambda: lambda: bad)
    clients.reports(Recording().context)
    clients.uninstrument()
    assert good.calls[-1] == "uninstrument"


def test_nothing_is_imported_for_a_library_that_the_application_does_not_have(installed: dict[str, Any]) -> None:
    before = set(sys.modules)
    clients.reports(Recording().context)
    assert set(sys.modules) - before == set()


def test_a_library_that_nobody_has_imported_yet_is_instrumented_when_it_is(
    installed: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing clients that the application never uses would double the time it takes to start."""
    (tmp_path / "rarely_used.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    instrumentor = Instrumentor()
    installed["rarely_used"] = point("rarely_used", lambda: lambda: instrumentor)
    report = clients.instrument(Recording().context)
    assert report.state is State.ON
    assert "rarely_used" not in sys.modules
    assert instrumentor.calls == []
    __import__("rarely_used")
    assert len(instrumentor.calls) == 1


def test_after_uninstrument_a_library_imported_later_stays_as_it_is(
    installed: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "never_used.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    instrumentor = Instrumentor()
    installed["never_used"] = point("never_used", lambda: lambda: instrumentor)
    clients.instrument(Recording().context)
    clients.uninstrument()
    __import__("never_used")
    assert instrumentor.calls == []
