"""The commands of docs/sentry-walk.md, as they stand there: one error from Sentry to Jaeger to Loki and back.

kent, the Collector and Jaeger are real. Loki is not to be had: what the Collector would give it is answered from here,
in the form that Loki has.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from stack.processes import start_collector, start_jaeger
from testkit.example import example
from testkit.ports import free_port
from testkit.processes import ROOT, environment
from testkit.receiver import LogRecord, Receiver
from testkit.requests import wait_until
from tests.sentry import sentry_servers

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@contextlib.contextmanager
def loki(arrived: Receiver) -> Iterator[str]:
    """Answers the one query of the walk from the records sent to Loki's OTLP endpoint; returns host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (query,) = parse_qs(urlsplit(self.path).query)["query"]
            service, name, value = re.fullmatch(r'{service_name="([^"]+)"} \| (\w+)="([^"]+)"', query).groups()  # type: ignore[union-attr]
            found = [
                {"stream": labels, "values": [[str(record.time), record.body]]}
                for record in arrived.logs
                if (labels := _labels(record)).get(name) == value and labels["service_name"] == service
            ]
            body = json.dumps({"status": "success", "data": {"resultType": "streams", "result": found}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _labels(record: LogRecord) -> dict[str, str]:
    """As Loki names attributes: https://grafana.com/docs/loki/latest/send-data/otel/."""
    attributes = {**record.resource, **record.attributes, "trace_id": record.trace_id, "span_id": record.span_id}
    return {re.sub(r"\W", "_", key): str(value) for key, value in attributes.items()}


def walk() -> list[str]:
    """The commands of the page, without those that start the programs."""
    blocks: list[str] = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "sentry-walk.md").read_text(), re.DOTALL)
    (block,) = (found for found in blocks if "kent-server" in found)
    install, serve, *rest = block.splitlines()
    assert "kent-server run --port 5000" in install
    assert "SENTRY_DSN=http://public@localhost:5000/1 uvicorn examples.blog.main:app --port 8000" in serve
    return rest


def test_one_error_is_followed_from_sentry_to_jaeger_to_loki_and_back(tmp_path: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as running:
        kent = running.enter_context(sentry_servers.kent(tmp_path))
        arrived = running.enter_context(Receiver())
        asked = running.enter_context(loki(arrived))
        jaeger = start_jaeger(tmp=tmp_path)
        running.callback(jaeger.kill)
        addresses = {"JAEGER_OTLP_ENDPOINT": jaeger.otlp_endpoint, "LOKI_OTLP_ENDPOINT": f"{arrived.url}/otlp"}
        overlays = ("process-redact", "export-jaeger", "export-loki")
        collector = start_collector(overlays, tmp=tmp_path, env=addresses)
        running.callback(collector.kill)
        variables = {"SENTRY_DSN": kent.dsn, "BLOGAUTO_OTEL_SENTRY_PROFILES_RATE": "0"}
        running.enter_context(example(tmp_path, collector.endpoint, port=port, launcher=False, **variables))

        places = {
            "localhost:8000": f"127.0.0.1:{port}",
            "localhost:5000": kent.url.partition("://")[2],
            "localhost:16686": jaeger.url.partition("://")[2],
            "localhost:3100": asked,
        }
        text = "\n".join(walk()).replace("python -m", f"{sys.executable} -m")
        for shown, actual in places.items():
            text = text.replace(shown, actual)
        traffic, _, following = text.partition("\n\n")
        bash(traffic)
        wait_until(lambda: kent.events)
        event = kent.events[-1]
        wait_until(lambda: any("sentry.event_id" in span.attributes for span in jaeger.trace(event.trace_id)), 60.0)
        wait_until(lambda: any(record.attributes.get("sentry.event_id") == event.id for record in arrived.logs), 60.0)
        output = bash(following)
    decoder = json.JSONDecoder()
    printed, end = decoder.raw_decode(output)
    assert printed == {
        "event_id": event.id,
        "transaction": "GET /api/content/saved",
        "trace": {"trace_id": event.trace_id, "span_id": event.span_id},
    }
    lines = output[end:].split("\n")
    assert json.dumps(["GET /api/content/saved", event.id], separators=(",", ":")) in lines
    assert any(line.startswith(f"{event.id} Exception in ASGI application") for line in lines)
    assert lines[-2] == event.trace_id


def bash(commands: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
