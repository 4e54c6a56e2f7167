"""`blogauto-otel doctor` ends within its time, whatever the servers do, and says what it waits for."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from testkit.processes import environment, python
from tests.doctor.scenarios import answering

pytestmark = pytest.mark.slow


class _Dripping(BaseHTTPRequestHandler):
    """An answer that never ends: one byte after the other, so that no single read times out."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def dripping() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Dripping)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_run_takes_thirty_seconds_at_most_however_slowly_everyone_answers(dripping: str) -> None:
    names = ("app", "collector-metrics", "jaeger", "prometheus", "loki", "grafana")
    options = [part for name in names for part in (f"--{name}", dripping)]
    options += ["--sentry-dsn", dripping.replace("//", "//key@") + "/7"]
    command = python("-m", "blogauto_otel", "doctor", *options)
    variables = environment(OTEL_EXPORTER_OTLP_ENDPOINT=dripping, OTEL_SERVICE_NAME="shop")
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True, bufsize=1) as doctor:
        assert doctor.stdout is not None
        assert doctor.stdout.readline().startswith("ok ")  # the first hop needs no server
        began = time.monotonic()
        report = doctor.stdout.read()
        seconds = time.monotonic() - began
    assert doctor.returncode == 1
    assert "broken: collector traces." in report.splitlines()[-1]
    for hop in (
        "collector logs",
        "collector queues",
        "application",
        "jaeger",
        "prometheus",
        "loki",
        "sentry",
        "grafana",
    ):
        assert f"broken       {hop}" in report
    assert 15 < seconds < 33


def test_what_it_waits_for_is_said_before_it_waits() -> None:
    def respond(request: BaseHTTPRequestHandler) -> tuple[int, object, Mapping[str, str]]:
        return 200, {"data": []}, {"X-Request-ID": "1"}

    with answering(respond) as url:
        command = python("-m", "blogauto_otel", "doctor", "--app", url, "--jaeger", url)
        variables = environment(OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none", OTEL_SERVICE_NAME="shop")
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert "waiting      jaeger               at most 10 s\n" in done.stderr
    assert "broken: jaeger." not in done.stderr
