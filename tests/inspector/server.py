"""The inspector in this process: a receiver and a page on free ports, asked over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from blogauto_otel.inspector import decoding
from blogauto_otel.inspector.explain import Explainer
from blogauto_otel.inspector.ingest import Ingest
from blogauto_otel.inspector.running import Running, running
from blogauto_otel.inspector.state import Inspector
from blogauto_otel.inspector.store import Limits, Store
from testkit import otlp
from testkit.otlp import CLIENT, Message

SIGNALS = {decoding.REQUESTS[signal]: signal for signal in decoding.REQUESTS}


@dataclass(frozen=True)
class Page:
    """A running inspector, and a client that has its token."""

    running: Running
    client: httpx.Client

    @property
    def endpoint(self) -> str:
        return self.running.inspector.http_endpoint

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    def send(self, *messages: Message) -> None:
        """Send requests, and wait until they are stored."""
        for message in messages:
            assert otlp.post(self.endpoint, message) == 200
        assert self.running.inspector.ingest.drain(10.0)

    def get(self, path: str, **parameters: Any) -> Any:
        response = self.client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()


@contextlib.contextmanager
def page(*, folder: Path | None = None, limits: Limits | None = None, database: str | None = None) -> Iterator[Page]:
    store = Store(folder, limits)
    inspector = Inspector(store, Ingest(store), Explainer(database))
    try:
        with running(inspector, port=0, folder=folder) as served:
            headers = {"Authorization": f"Bearer {served.token}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", headers=headers, timeout=30) as client:
                yield Page(served, client)
    finally:
        store.close()


def stored(*messages: Message, limits: Limits | None = None) -> Store:
    """A store that holds what these requests carry."""
    store = Store(limits=limits)
    for message in messages:
        decoding.store(store, SIGNALS[type(message)], message)
    store.refresh()
    return store


def get(
    route: str = "/posts", attributes: Mapping[str, Any] | None = None, *, status: int = 200, seconds: float = 0.1
) -> Span:
    """A server span of a GET request."""
    found = {"http.request.method": "GET", "http.route": route, "url.path": route, "http.response.status_code": status}
    return otlp.span(f"GET {route}", attributes={**found, **(attributes or {})}, seconds=seconds)


def below(parent: Span, span: Span) -> Span:
    """The span as a child of another."""
    span.trace_id, span.parent_span_id = parent.trace_id, parent.span_id
    return span


def select(
    parent: Span, text: str = "SELECT id FROM posts WHERE id = ?", attributes: Mapping[str, Any] | None = None
) -> Span:
    """A statement in a request."""
    found = {
        "db.system.name": "sqlite", "db.namespace": "blog.db", "db.query.text": text,
        "db.query.summary": "SELECT posts", **(attributes or {}),
    }  # fmt: skip
    return below(parent, otlp.span("SELECT posts", kind=CLIENT, attributes=found, seconds=0.01))
