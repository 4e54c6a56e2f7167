"""The page that Prometheus fetches: read in a thread of its own, and once for all who ask at the same time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gzip
import hmac
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricsData

from blogauto_otel._guard import swallow
from blogauto_otel._threads import start_thread
from blogauto_otel.instrumentation.server.peers import Peers
from blogauto_otel.integrations.prometheus import text
from blogauto_otel.integrations.prometheus.families import families_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Collect = Callable[[], MetricsData | None]

PATIENCE: Final = 15.0  # seconds; Prometheus gives up after 10
LOOK_EVERY: Final = 0.005  # seconds, where the event loop is not asyncio's

# Whoever scrapes without end waits for his turn, so that the others do not: a page costs the event loop its sleep.
BURST: Final = 0.25  # seconds of work that may be asked for at once
SHARE: Final = 0.005  # of the time that goes by; beyond the burst, pages are that far between
CHEAP: Final = 0.015  # seconds; what takes less work is not noticed by others, however often it is asked for
LONGEST_WAIT: Final = 5.0  # seconds; Prometheus itself comes every 15
PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    content_type: str = PLAIN
    headers: tuple[tuple[bytes, bytes], ...] = ()


NOT_ALLOWED: Final = Answer(405, b"use GET\n", headers=((b"allow", b"GET, HEAD"),))
WHO_ARE_YOU: Final = Answer(401, b"bearer token required\n", headers=((b"www-authenticate", b"Bearer"),))
NOT_FOR_YOU: Final = Answer(403, b"for clients on private networks, or with BLOGAUTO_OTEL_METRICS_TOKEN set\n")
BROKEN: Final = Answer(500, b"metrics cannot be shown; the application's log says why\n")
TOO_SLOW: Final = Answer(503, b"metrics cannot be collected in time; the application's log says why\n")


class MetricsEndpoint:
    """Answers GET and HEAD with the metrics as they are now.

    Args:
        collect: The reader's `collect_now`; called in a thread of ours, never by two at once.
        token: What a scrape must carry as `Authorization: Bearer ...`.
        peers: Who may read without a token; None lets everybody.
    """

    def __init__(self, collect: Collect, token: str | None = None, peers: Peers | None = None) -> None:
        self._collect = collect
        self._peers = peers
        self._token = token.encode() if token else None
        self._renderings = _Renderings(self._render)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application; whatever goes wrong in here is an answer, never an exception."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = await self._answer(scope)
        try:
            await _send(send, answer, with_body=scope["method"] != "HEAD")
        except Exception as error:
            if not swallow("answering a scrape", error):
                raise

    async def _answer(self, scope: Scope) -> Answer:
        try:
            headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if self._token is None and not self._is_near(scope):
                return NOT_FOR_YOU
            if not self._may_read(headers):
                return WHO_ARE_YOU
            if scope["method"] not in {"GET", "HEAD"}:
                return NOT_ALLOWED
            wanted = text.chosen_format(headers.get(b"accept", ""))
            return await self._renderings.of(wanted, text.accepts_gzip(headers.get(b"accept-encoding", "")))
        except (asyncio.TimeoutError, TimeoutError):
            return TOO_SLOW
        except Exception as error:
            if not swallow("answering a scrape", error):
                raise
            return BROKEN

    def _is_near(self, scope: Scope) -> bool:
        return self._peers is None or self._peers.trust(scope.get("client"), scope["headers"])

    def _may_read(self, headers: Mapping[bytes, str]) -> bool:
        if self._token is None:
            return True
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return is_right and scheme.lower() == "bearer"

    def _render(self, content_type: str, compress: bool) -> Answer:
        body = text.render(families_of(self._collect()), content_type)
        if not compress:
            return Answer(200, body, content_type)
        packed = gzip.compress(body, compresslevel=1)
        return Answer(200, packed, content_type, ((b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")))


class _Renderings:
    """Renderings in flight: who asks while one is under way waits for that one, and nobody gets more than his share."""

    def __init__(self, render: Callable[[str, bool], Answer]) -> None:
        self._render = render
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._in_flight: dict[tuple[str, bool], concurrent.futures.Future[Answer]] = {}
        self._price = _Price()

    async def of(self, content_type: str, compress: bool) -> Answer:
        wait = self._price.wait()
        if not _is_asyncio():
            return await self._of_any_loop(content_type, compress, wait)
        if wait > 0:
            await asyncio.sleep(wait)
        future = self._join((content_type, compress))
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), PATIENCE)

    async def _of_any_loop(self, content_type: str, compress: bool, wait: float) -> Answer:
        """The same under trio: a thread cannot wake it but through its own token, so the result is looked for."""
        import anyio  # Starlette needs it, so it is there

        await anyio.sleep(wait)
        future = self._join((content_type, compress))
        with anyio.fail_after(PATIENCE):
            while not future.done():  # noqa: ASYNC110 - anyio 3 has no event that a foreign thread may set
                await anyio.sleep(LOOK_EVERY)
        return future.result()

    def _join(self, key: tuple[str, bool]) -> concurrent.futures.Future[Answer]:
        if self._pid != os.getpid():  # a forked child: the thread that would have answered is not here
            self._lock, self._pid, self._in_flight = threading.RLock(), os.getpid(), {}
        with self._lock:
            future = self._in_flight.get(key)
            if future is None:
                future = self._in_flight[key] = concurrent.futures.Future()
                self._start(key, future)
            return future

    def _start(self, key: tuple[str, bool], future: concurrent.futures.Future[Answer]) -> None:
        # A thread of its own and a daemon: a pool's would be waited for when the process ends.
        if start_thread(self._run, "blogauto_otel-metrics", key, future) is None:  # slow is better than blind
            self._run(key, future)

    def _run(self, key: tuple[str, bool], future: concurrent.futures.Future[Answer]) -> None:
        began = time.thread_time()
        try:
            answer = self._render(*key)
            self._price.paid(time.thread_time() - began)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._in_flight.pop(key, None)
            future.set_exception(error)
        else:
            self._in_flight.pop(key, None)
            future.set_result(answer)


class _Price:
    """What renderings have cost, forgotten as time goes by."""

    def __init__(self) -> None:
        self._spent = self._last = 0.0  # seconds of work: of all, and of the last
        self._at = time.monotonic()  # its end

    def paid(self, seconds: float) -> None:
        """Note a rendering that has just ended."""
        if seconds < CHEAP:
            return
        now = time.monotonic()
        self._spent = max(0.0, self._spent - (now - self._at) * SHARE) + seconds
        self._last, self._at = seconds, now

    def wait(self) -> float:
        """Seconds until the next one may begin."""
        since = time.monotonic() - self._at
        if self._spent - since * SHARE <= BURST:
            return 0.0
        return min(LONGEST_WAIT, self._last / SHARE) - since


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _send(send: Send, answer: Answer, *, with_body: bool) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})
