"""The load generator: a process of its own, so that its latencies do not include the work of the soak."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

REQUESTS = 50  # over one connection; the next one may reach another worker
KEEP_ALIVE = 3.0  # seconds; uvicorn closes a connection that is idle for five
RECONNECT = 0.1  # seconds until the next attempt, while a server is restarted
TIMEOUT = 40.0  # seconds; the application kills a child that hangs earlier


class LoadResponse(NamedTuple):
    """The result of a request; it has spans when the status was 200."""

    server: str
    number: int
    at: float  # `time.monotonic`, which all processes of a machine share
    seconds: float
    forked: bool
    pid: int = 0  # of the process that recorded; the parent of a forked child recorded the server span
    spans: tuple[str, ...] = ()
    error: str = ""  # a connection that ends with its worker is none


class Load:
    """Requests to several servers from now on; call `answers` often."""

    def __init__(self, ports: Mapping[str, int], *, rate: float, fork_every: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._answers, sender = context.Pipe(duplex=False)
        self._stop = context.Event()
        self._process = context.Process(
            target=_generate, args=(sender, self._stop, dict(ports), rate, fork_every), daemon=True
        )
        self._process.start()
        sender.close()

    def answers(self) -> Iterator[LoadResponse]:
        """Those since the last call."""
        with contextlib.suppress(EOFError):
            while self._answers.poll():
                yield from map(LoadResponse._make, self._answers.recv())

    def end(self) -> Iterator[LoadResponse]:
        """Send no more, and wait for requests in flight; the last answers."""
        self._stop.set()
        with contextlib.suppress(EOFError):
            while self._answers.poll(2 * TIMEOUT):
                yield from map(LoadResponse._make, self._answers.recv())
        self._process.join(TIMEOUT)


def _generate(sender: Connection, stop: Any, ports: dict[str, int], rate: float, fork_every: float) -> None:
    answers: deque[LoadResponse] = deque()
    numbers = itertools.count(1)
    clients = [
        # Daemons: when the reader is gone, `send` fails and the process ends.
        threading.Thread(target=_Client(server, port, numbers, answers).run, args=(path, pause, stop), daemon=True)
        for server, port in ports.items()
        for path, pause in (("hit", len(ports) / rate), ("fork", fork_every))
    ]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients) or answers:
        sender.send([tuple(answers.popleft()) for _ in range(len(answers))])
        time.sleep(0.2)
    sender.close()


class _Client:
    def __init__(self, server: str, port: int, numbers: Iterator[int], answers: deque[LoadResponse]) -> None:
        self._server = server
        self._numbers = numbers
        self._answers = answers
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def run(self, path: str, pause: float, stop: Any) -> None:
        """One request after the other at a fixed rate; a missed request is not caught up."""
        due = time.monotonic()
        last_request = 0.0
        for count in itertools.count():
            if stop.wait(max(0.0, due - time.monotonic())) if due > time.monotonic() else stop.is_set():
                break
            if count % REQUESTS == 0 or time.monotonic() - last_request > KEEP_ALIVE:
                self._connection.close()
            last_request = time.monotonic()
            due = max(due + pause, last_request if self._exchange(path) else last_request + RECONNECT)
        self._connection.close()

    def _exchange(self, path: str) -> bool:
        """False when the connection was refused."""
        number, at = next(self._numbers), time.monotonic()
        answer = LoadResponse(self._server, number, at, 0.0, path == "fork")
        try:
            self._connection.request("GET", f"/{path}/{number}")
            response = self._connection.getresponse()
            body = response.read()
        except ConnectionRefusedError:
            self._connection.close()
            return False
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            if not isinstance(error, ConnectionError):
                answer = answer._replace(error=repr(error))
        else:
            answer = _read(answer, response.status, body)
        self._answers.append(answer._replace(seconds=time.monotonic() - at))
        return True


def _read(answer: LoadResponse, status: int, body: bytes) -> LoadResponse:
    if status != 200:
        return answer._replace(error=f"{status} {body!r}")
    made = json.loads(body)
    error = "" if made["ended"] else "a forked child did not exit with 0"
    return answer._replace(pid=made["pid"], spans=tuple(made["spans"]), error=error)
