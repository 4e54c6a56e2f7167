"""httpx and httpx2 in one process: both are recorded, in whatever order they are imported."""

from __future__ import annotations

import itertools
import json
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from blogauto_otel.instrumentation import State, clients
from testkit.processes import ROOT, environment, python
from testkit.recording import Recording

SCRIPT = """
import json, sys, http.server, threading
from testkit.recording import Recording
from blogauto_otel.instrumentation import clients

recording = Recording()

def instrument():
    clients.instrument(recording.context)

def client(name):
    __import__(name)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass

for step in sys.argv[1:]:
    instrument() if step == "instrument" else client(step)

import httpx, httpx2
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    httpx.get(url)
    httpx2.get(url)
    server.shutdown()
print(json.dumps([len(recording.spans), clients.report().detail]))
"""


@pytest.mark.needs("opentelemetry-instrumentation-httpx>=0.66b0")  # before, it does not know httpx2
@pytest.mark.parametrize("order", list(itertools.permutations(["httpx", "httpx2", "instrument"])), ids="-".join)
def test_both_are_recorded_in_any_order(order: tuple[str, ...]) -> None:
    done = subprocess.run(python("-c", SCRIPT, *order), capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 0, done.stderr
    spans, detail = json.loads(done.stdout)
    assert spans == 2, done.stderr
    assert "httpx, httpx2" in detail.partition(";")[0]


def test_a_library_that_fails_when_it_is_imported_is_reported_as_broken(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> Any:
        raise OSError("no such file")

    (tmp_path / "imported_later.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    dist = SimpleNamespace(requires=[])
    later = SimpleNamespace(name="imported_later", load=load, dist=dist)
    monkeypatch.setattr(clients, "_entry_points", lambda: {"imported_later": later})
    monkeypatch.setattr(clients, "EXPECTED", {})
    assert clients.instrument(Recording().context).state is State.ON
    __import__("imported_later")
    report = clients.report()
    clients.uninstrument()
    assert report is not None
    assert (report.state, report.detail) == (State.BROKEN, "broken: imported_later (OSError: no such file)")
    assert "the instrumentation of imported_later fails: OSError: no such file" in caplog.text


def test_httpx2_without_its_instrumentation_is_named_with_the_extra_of_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_entry_points", dict)
    monkeypatch.setattr(clients, "EXPECTED", {"httpx2": "httpx2"})
    report = clients.instrument(Recording().context)
    clients.uninstrument()
    assert report.detail == 'missing: httpx2 (pip install "blogauto_otel[httpx]")'
