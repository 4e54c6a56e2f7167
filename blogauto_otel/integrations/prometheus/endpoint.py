"""The ASGI application that Prometheus scrapes: rendered in a thread, and once for all concurrent requests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hmac
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricsData

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import swallow
from blogauto_otel._threads import start_thread
from blogauto_otel.instrumentation.server.peers import Peers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Collect = Callable[[], MetricsData | None]

POLL_INTERVAL: Final = 0.005  # seconds, under an event loop other than asyncio's
PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class ScrapeTiming:
    """The delays of scrapes, in seconds. A client that scrapes without pause is delayed: rendering takes the GIL."""

    timeout: float = 15.0  # Prometheus' own is 10
    burst: float = 0.25  # of CPU time, not delayed
    max_cpu_share: float = 0.005  # of rendering, beyond the burst
    cheap: float = 0.015  # of CPU time; a rendering below that is not counted
    max_delay: float = 5.0  # Prometheus' scrape interval is 15


@dataclass(frozen=True)
class ScrapeResponse:
    """A whole response."""

    status: int
    body: bytes
    content_type: str = PLAIN
    headers: tuple[tuple[bytes, bytes], ...] = ()


METHOD_NOT_ALLOWED: Final = ScrapeResponse(405, b"use GET\n", headers=((b"allow", b"GET, HEAD"),))
UNAUTHORIZED: Final = ScrapeResponse(401, b"bearer token required\n", headers=((b"www-authenticate", b"Bearer"),))
FORBIDDEN: Final = ScrapeResponse(403, b"for clients on private networks, or with BLOGAUTO_OTEL_METRICS_TOKEN set\n")
INTERNAL_ERROR: Final = ScrapeResponse(500, b"metrics cannot be shown; the application's log says why\n")
TIMED_OUT: Final = ScrapeResponse(503, b"metrics cannot be collected in time; the application's log says why\n")


class MetricsEndpoint:
    """Answers GET and HEAD with the current metrics.

    Args:
        collect: the reader's `collect_now`; called in one thread of ours at a time.
        token: the token that a scrape must send as `Authorization: Bearer ...`.
        peers: the clients that may read without a token; None for all.
        timing: how long a scrape may take, and how soon the next may follow.
    """

    def __init__(
        self,
        collect: Collect,
        token: str | None = None,
        peers: Peers | None = None,
        *,
        timing: ScrapeTiming | None = None,
    ) -> None:
        self._collect = collect
        self._peers = peers
        self._token = token.encode() if token else None
        self._renderings = _Renderings(self._render, timing or ScrapeTiming())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application; every error of it is a response."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        response = await self._respond(scope)
        try:
            await _send(send, response, with_body=scope["method"] != "HEAD")
        except Exception as error:
            if not swallow("answering a scrape", error):
                raise

    async def _respond(self, scope: Scope) -> ScrapeResponse:
        try:
            headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if self._token is None and not self._is_trusted(scope):
                return FORBIDDEN
            if not self._may_read(headers):
                return UNAUTHORIZED
            if scope["method"] not in {"GET", "HEAD"}:
                return METHOD_NOT_ALLOWED
            from blogauto_otel.integrations.prometheus import text  # at the first scrape

            wanted = text.chosen_format(headers.get(b"accept", ""))
            return await self._renderings.of(wanted, text.accepts_gzip(headers.get(b"accept-encoding", "")))
        except (asyncio.TimeoutError, TimeoutError):
            return TIMED_OUT
        except Exception as error:
            if not swallow("answering a scrape", error):
                raise
            return INTERNAL_ERROR

    def _is_trusted(self, scope: Scope) -> bool:
        return self._peers is None or self._peers.trust(scope.get("client"), scope["headers"])

    def _may_read(self, headers: Mapping[bytes, str]) -> bool:
        if self._token is None:
            return True
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return is_right and scheme.lower() == "bearer"

    def _render(self, content_type: str, compress: bool) -> ScrapeResponse:
        from blogauto_otel.integrations.prometheus import text
        from blogauto_otel.integrations.prometheus.families import families_of

        body = text.render(families_of(self._collect()), content_type)
        if not compress:
            return ScrapeResponse(200, body, content_type)
        import gzip  # at the first scrape

        packed = gzip.compress(body, compresslevel=1)
        return ScrapeResponse(
            200, packed, content_type, ((b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding"))
        )


class _Renderings:
    """Renderings in flight; a request in the meantime waits for that rendering, and too frequent ones are delayed."""

    def __init__(self, render: Callable[[str, bool], ScrapeResponse], timing: ScrapeTiming) -> None:
        self._render = render
        self._timeout = timing.timeout
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._in_flight: dict[tuple[str, bool], concurrent.futures.Future[ScrapeResponse]] = {}
        self._cost = _Cost(timing)

    async def of(self, content_type: str, compress: bool) -> ScrapeResponse:
        wait = self._cost.wait()
        if not _is_asyncio():
            return await self._of_any_loop(content_type, compress, wait)
        if wait > 0:
            await asyncio.sleep(wait)
        future = self._join((content_type, compress))
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self._timeout)

    async def _of_any_loop(self, content_type: str, compress: bool, wait: float) -> ScrapeResponse:
        """The same under trio, which a thread can wake only by trio's own token: the result is polled."""
        import anyio  # Starlette needs it, so it is there

        await anyio.sleep(wait)
        future = self._join((content_type, compress))
        with anyio.fail_after(self._timeout):
            while not future.done():  # noqa: ASYNC110 - anyio 3 has no event that a foreign thread may set
                await anyio.sleep(POLL_INTERVAL)
        return future.result()

    def _join(self, key: tuple[str, bool]) -> concurrent.futures.Future[ScrapeResponse]:
        if self._pid != os.getpid():  # a forked child does not have the thread that renders
            self._lock, self._pid, self._in_flight = threading.RLock(), os.getpid(), {}
        with self._lock:
            future = self._in_flight.get(key)
            if future is None:
                future = self._in_flight[key] = concurrent.futures.Future()
                self._start(key, future)
            return future

    def _start(self, key: tuple[str, bool], future: concurrent.futures.Future[ScrapeResponse]) -> None:
        # A daemon thread, because the interpreter waits for the threads of a pool at its end.
        if start_thread(self._run, "blogauto_otel-metrics", key, future) is None:  # block the event loop instead
            self._run(key, future)

    def _run(self, key: tuple[str, bool], future: concurrent.futures.Future[ScrapeResponse]) -> None:
        started = time.thread_time()
        try:
            response = self._render(*key)
            self._cost.add(time.thread_time() - started)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._in_flight.pop(key, None)
            future.set_exception(error)
        else:
            self._in_flight.pop(key, None)
            future.set_result(response)


class _Cost:
    """The CPU time of renderings, less the share that is allowed since."""

    def __init__(self, timing: ScrapeTiming) -> None:
        self._timing = timing
        self._spent = self._last = 0.0  # seconds of work: of all, and of the last
        self._at = time.monotonic()  # its end

    def add(self, seconds: float) -> None:
        """Count a rendering that has just ended."""
        if seconds < self._timing.cheap:
            return
        now = time.monotonic()
        self._spent = max(0.0, self._spent - (now - self._at) * self._timing.max_cpu_share) + seconds
        self._last, self._at = seconds, now

    def wait(self) -> float:
        """Seconds until the next rendering may start."""
        timing, since = self._timing, time.monotonic() - self._at
        if self._spent - since * timing.max_cpu_share <= timing.burst:
            return 0.0
        return min(timing.max_delay, self._last / timing.max_cpu_share) - since


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _send(send: Send, response: ScrapeResponse, *, with_body: bool) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body if with_body else b""})
