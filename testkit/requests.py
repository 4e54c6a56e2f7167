"""Requests to an ASGI application, in this process or through uvicorn in a thread, and their telemetry."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from blogauto_otel.instrumentation import Report, server
from blogauto_otel.redaction import build_redactor
from testkit.recording import Recording

LOCAL = ("127.0.0.1", 50_000)
PUBLIC = ("203.0.113.7", 50_000)

TIMEOUT = 30.0


@dataclasses.dataclass(frozen=True)
class WrittenSpan:
    """The arguments of one `write_deferred_span`."""

    name: str
    context: Any
    parent: Any
    kind: Any
    attributes: Mapping[str, Any]
    start_time: int
    end_time: int
    status: Any
    scope: Any
    events: tuple[Any, ...] = ()
    links: tuple[Any, ...] = ()

    @property
    def seconds(self) -> float:
        return (self.end_time - self.start_time) / 1e9


class Watched(Recording):
    """A recording with the server instrumentation installed; with our tracer provider, unless `deferred` is False."""

    report: Report

    def __init__(self, *, instrument: bool = True, deferred: bool = True, **settings: Any) -> None:
        super().__init__(deferred=deferred, **settings)
        self.deferred: list[WrittenSpan] = []
        self.context = dataclasses.replace(
            self.context,
            redactor=build_redactor(self.context.settings),
            write_deferred_span=lambda **fields: self.deferred.append(WrittenSpan(**fields)),
        )
        if instrument:
            self.instrument()

    def instrument(self) -> Report:
        self.report = server.instrument(self.context)
        return self.report

    def requests(self) -> dict[tuple[str, str, str], float]:
        """Finished requests by method, endpoint and status."""
        return self._by("blogauto.api.requests", "method", "endpoint", "status")

    def in_progress(self) -> dict[tuple[str, str], float]:
        return self._by("blogauto.api.requests.in_progress", "method", "endpoint")

    def errors(self) -> dict[tuple[str, str], float]:
        return self._by("blogauto.errors", "type", "endpoint")

    def durations(self) -> dict[tuple[str, str], float]:
        """Seconds in total by method and endpoint."""
        metric = self.metrics.get("blogauto.api.request.duration")
        points: Any = metric.data.data_points if metric else ()
        return {(point.attributes["method"], point.attributes["endpoint"]): point.sum for point in points}

    def _by(self, name: str, *labels: str) -> dict[Any, float]:
        return {tuple(dict(key).get(label) for label in labels): value for key, value in self.points(name).items()}


@contextlib.asynccontextmanager
async def client_of(
    app: Any, client: tuple[str, int] | None = LOCAL, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application in this process."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client, **options)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


async def ask(
    app: Any, path: str, method: str = "GET", client: tuple[str, int] | None = LOCAL, **options: Any
) -> httpx.Response:
    """One request in this process."""
    async with client_of(app, client) as http:
        return await http.request(method, path, **options)


@contextlib.contextmanager
def served(app: Any, **options: Any) -> Iterator[str]:
    """The application behind a real uvicorn on loopback, in a thread; the URL."""
    with _serving(uvicorn.Config(app, port=0, log_config=None, access_log=False, **options)) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def served_on(socket: Path, app: Any, **options: Any) -> Iterator[None]:
    """The same on a Unix socket."""
    with _serving(uvicorn.Config(app, uds=str(socket), log_config=None, access_log=False, **options)):
        yield


@contextlib.contextmanager
def _serving(config: uvicorn.Config) -> Iterator[uvicorn.Server]:
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        assert server.started, "uvicorn did not start"
        yield server
    finally:
        server.should_exit = True
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "uvicorn does not end"


def wait_until(condition: Any, timeout: float = TIMEOUT) -> None:
    """Wait until the condition is true, or fail."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.005)
