"""Runs `failing_app.py` on a real uvicorn: each case is requested in a sampled and in an unsampled trace."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from testkit.envelope_receiver import EnvelopeReceiver, Event
from testkit.ports import free_port
from testkit.processes import TIMEOUT, Process, running
from testkit.receiver import LogRecord, Receiver, Span
from tests.sentry.failure_cases import BACKGROUND, CASES, NONE, SERVER, SQL, Case

SCRIPTS = Path(sys.executable).parent
UVICORN = [str(SCRIPTS / "uvicorn"), "tests.sentry.failing_app:app", "--ws", "websockets-sansio"]

VARIANTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "plain": (UVICORN, {}),
    "BaseHTTPMiddleware": (UVICORN, {"FAILING_APP_MIDDLEWARE": "yes"}),
    "launcher": ([str(SCRIPTS / "opentelemetry-instrument"), *UVICORN], {"FAILING_APP_CONFIGURES": "no"}),
}
SAMPLED = {"sampled": True, "not sampled": False}


def trace_of(case: Case, *, sampled: bool) -> str:
    """The trace id in the `traceparent` of a case's request."""
    return hashlib.sha256(f"{case.path} {sampled}".encode()).hexdigest()[:32]


@dataclass
class Run:
    """The outcome of one server: everything that it sent."""

    events: list[Event]
    spans: list[Span]
    logs: list[LogRecord]
    output: str
    server_spans: dict[str, str] = field(default_factory=dict)  # ids by trace, from the response headers
    sink: EnvelopeReceiver | None = None

    def events_of(self, case: Case, *, sampled: bool) -> list[Event]:
        """The events of a case in its own trace."""
        trace_id = trace_of(case, sampled=sampled)
        return [event for event in self._all_of(case) if event.trace_id == trace_id]

    def misplaced_events_of(self, case: Case) -> list[Event]:
        """The events of a case in other traces."""
        its_own = {trace_of(case, sampled=sampled) for sampled in (True, False)}
        return [event for event in self._all_of(case) if event.trace_id not in its_own]

    def _all_of(self, case: Case) -> list[Event]:
        return [event for event in self.events if re.search(rf"case:{case.path}(?![\w-])", event.text)]

    def failed_span(self, case: Case, *, sampled: bool) -> str | None:
        """The id of the span that the table names; None where the response had no such header."""
        trace_id = trace_of(case, sampled=sampled)
        wanted = case.span if sampled else case.kept
        if wanted == NONE or not (sampled or case.written):
            return self.server_spans.get(trace_id)
        found = [span for span in self.spans if span.trace_id == trace_id and _is(span, wanted)]
        assert len(found) == 1, f"{wanted}: {[span.name for span in self.spans if span.trace_id == trace_id]}"
        return found[0].span_id


def _is(span: Span, wanted: str) -> bool:
    return {
        SERVER: span.kind == "SERVER",
        SQL: span.scope == "blogauto_otel.sql",
        BACKGROUND: span.name.startswith("background "),
    }.get(wanted, span.name == wanted)


def run(variant: str, folder: Path, **variables: str) -> Run:
    """Start the server, request every case, and stop it; `SENTRY_DSN` may be overridden."""
    command, own = VARIANTS[variant]
    port = free_port()
    with EnvelopeReceiver() as sink, Receiver() as receiver:
        environment = {
            "SENTRY_DSN": sink.dsn,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "BLOGAUTO_OTEL_SENTRY_PROFILES_RATE": "0",
            "BLOGAUTO_OTEL_SENTRY_EVENTS_PER_MINUTE": "100",
            **own,
            **variables,
        }
        with running([*command, "--port", str(port)], folder / f"{variant}.log", port=port, **environment) as child:
            child.wait_until_it_answers("/ready")
            server_spans: dict[str, str] = {}
            for case in CASES:
                for sampled in (True, False):
                    server_spans.update(ask(child, case, sampled=sampled))
            _collect(child)
            time.sleep(0.5)  # what is logged after its response
            _collect(child)
            child.terminate()
            return Run(sink.events, list(receiver.spans), list(receiver.logs), child.output, server_spans, sink)


def _collect(child: Process) -> None:
    for _ in range(2):
        child.get("/collect", {"traceparent": f"00-{'c' * 32}-{'1' * 16}-01"})


def ask(child: Process, case: Case, *, sampled: bool) -> dict[str, str]:
    """Request one case, whatever the answer; returns the span id of its response header by trace id."""
    trace_id = trace_of(case, sampled=sampled)
    headers = {"traceparent": f"00-{trace_id}-{'2' * 16}-{'01' if sampled else '00'}"}
    if case.path == "websocket":
        with (
            contextlib.suppress(ConnectionClosed),
            connect(f"ws://127.0.0.1:{child.port}/websocket", additional_headers=headers) as socket,
        ):
            socket.send("fail")
            socket.recv(TIMEOUT)
        return {}
    connection = http.client.HTTPConnection("127.0.0.1", child.port, timeout=TIMEOUT)
    try:
        connection.request("GET", f"/{case.path}", headers=headers)
        response = connection.getresponse()
        with contextlib.suppress(http.client.IncompleteRead):
            response.read()
        span_id = response.headers.get("x-span")
        return {trace_id: span_id} if span_id else {}
    finally:
        connection.close()
