"""Who asks: a process of its own, so that what it measures is the application and not the accounts of the soak."""

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

REQUESTS = 50  # over one connection: then another, and perhaps another worker
IDLE = 3.0  # seconds; uvicorn closes a connection that nothing came over for five
NOBODY_THERE = 0.1  # seconds until the next attempt, while a service is started anew
TIMEOUT = 40.0  # seconds; a child that hangs is given up earlier


class Answer(NamedTuple):
    """What a request came to; without spans when it was answered with anything but success, or not at all."""

    place: str
    number: int
    at: float  # `time.monotonic`, which all processes of a machine share
    seconds: float
    forked: bool
    pid: int = 0  # of the process that recorded; when it was forked, its parent recorded the server's span
    spans: tuple[str, ...] = ()
    trouble: str = ""  # why it is no success; a connection that ends with its worker is none


class Load:
    """Requests from now on, to several places; `answers` is to be called often."""

    def __init__(self, ports: Mapping[str, int], *, rate: float, fork_every: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._inlet, outlet = context.Pipe(duplex=False)
        self._stop = context.Event()
        self._process = context.Process(
            target=_ask, args=(outlet, self._stop, dict(ports), rate, fork_every), daemon=True
        )
        self._process.start()
        outlet.close()

    def answers(self) -> Iterator[Answer]:
        """Those that came since the last call."""
        with contextlib.suppress(EOFError):
            while self._inlet.poll():
                yield from map(Answer._make, self._inlet.recv())

    def end(self) -> Iterator[Answer]:
        """Ask no more, and wait for what is under way; the last answers."""
        self._stop.set()
        with contextlib.suppress(EOFError):
            while self._inlet.poll(2 * TIMEOUT):
                yield from map(Answer._make, self._inlet.recv())
        self._process.join(TIMEOUT)


def _ask(outlet: Connection, stop: Any, ports: dict[str, int], rate: float, fork_every: float) -> None:
    answers: deque[Answer] = deque()
    numbers = itertools.count(1)
    askers = [
        # Daemons: when whoever reads the answers is gone, `send` fails, and nobody asks any more.
        threading.Thread(target=_Asker(place, port, numbers, answers).ask, args=(path, pause, stop), daemon=True)
        for place, port in ports.items()
        for path, pause in (("hit", len(ports) / rate), ("fork", fork_every))
    ]
    for asker in askers:
        asker.start()
    while any(asker.is_alive() for asker in askers) or answers:
        outlet.send([tuple(answers.popleft()) for _ in range(len(answers))])
        time.sleep(0.2)
    outlet.close()


class _Asker:
    def __init__(self, place: str, port: int, numbers: Iterator[int], answers: deque[Answer]) -> None:
        self._place = place
        self._numbers = numbers
        self._answers = answers
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def ask(self, path: str, pause: float, stop: Any) -> None:
        """One request after the other, so many a second; what was missed is not made up for."""
        due = time.monotonic()
        asked_at = 0.0
        for turn in itertools.count():
            if stop.wait(max(0.0, due - time.monotonic())) if due > time.monotonic() else stop.is_set():
                break
            if turn % REQUESTS == 0 or time.monotonic() - asked_at > IDLE:
                self._connection.close()
            asked_at = time.monotonic()
            due = max(due + pause, asked_at if self._exchange(path) else asked_at + NOBODY_THERE)
        self._connection.close()

    def _exchange(self, path: str) -> bool:
        """False when nobody was there to be asked."""
        number, at = next(self._numbers), time.monotonic()
        answer = Answer(self._place, number, at, 0.0, path == "fork")
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
                answer = answer._replace(trouble=repr(error))
        else:
            answer = _read(answer, response.status, body)
        self._answers.append(answer._replace(seconds=time.monotonic() - at))
        return True


def _read(answer: Answer, status: int, body: bytes) -> Answer:
    if status != 200:
        return answer._replace(trouble=f"{status} {body!r}")
    made = json.loads(body)
    trouble = "" if made["ended"] else "a forked child did not end well"
    return answer._replace(pid=made["pid"], spans=tuple(made["spans"]), trouble=trouble)
