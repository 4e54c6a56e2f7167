"""What the application has to live through: the weather at the Collector, and servers whose workers come and go."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType

import psutil

from testkit import receiver as peer
from testkit.children import Child, python, running
from testkit.receiver import Receiver
from tests.faults.lab import read_lines

APP = "benchmarks.soak.application:app"

# Two that live as long as the soak, and two that are replaced after so many requests, and whenever `Unrest` wants it.
STEADY = ("-m", "uvicorn", APP, "--workers", "2", "--log-level", "warning", "--port")
RESTLESS = (
    "-m", "gunicorn", APP, "-k", "uvicorn_worker.UvicornWorker", "-w", "2",
    "--max-requests", "3000", "--max-requests-jitter", "1000", "-b",
)  # fmt: skip


# --- the Collector ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _away(receiver: Receiver) -> Iterator[None]:
    receiver.stop()
    try:
        yield
    finally:
        receiver.start()


@contextlib.contextmanager
def _frozen(receiver: Receiver) -> Iterator[None]:
    receiver.freeze()
    try:
        yield
    finally:
        receiver.thaw()


def _answering(*answers: peer.Answer) -> Callable[[Receiver], AbstractContextManager[None]]:
    @contextlib.contextmanager
    def answering(receiver: Receiver) -> Iterator[None]:
        dice = random.Random(len(answers))
        receiver.answer(lambda _: dice.choice(answers))
        try:
            yield
        finally:
            receiver.answer(peer.ok())

    return answering


WEATHERS: Mapping[str, Callable[[Receiver], AbstractContextManager[None]]] = MappingProxyType(
    {
        "away": _away,
        "frozen": _frozen,
        "silent": _answering(peer.silence()),
        "503": _answering(peer.status(503)),
        "429, wait": _answering(peer.status(429, retry_after=3)),
        "flapping": _answering(*[peer.status(503)] * 7, *[peer.ok()] * 3),
        "slow": _answering(peer.delay(1.5)),
        "resets": _answering(peer.reset("reading"), peer.reset("read"), peer.reset("answering"), peer.ok()),
        "closing": _answering(peer.closing()),
        "unheard": _answering(peer.lost_acknowledgement(), peer.ok(), peer.ok()),
    }
)
FAIR = "fair"


class Journal:
    """What happened when, for whoever looks for the cause of something."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.entries: list[tuple[float, str]] = []

    def note(self, text: str) -> None:
        self.entries.append((time.monotonic(), text))

    def around(self, at: float, seconds: float = 15.0) -> list[str]:
        return [f"{when - self.began:.1f} s {text}" for when, text in self.entries if abs(when - at) < seconds]


class Weather:
    """Fair, then foul, in an order that the seed decides; each kind of foul weather comes as often as the others."""

    def __init__(self, receiver: Receiver, journal: Journal, dice: random.Random) -> None:
        self.now = FAIR
        self.seconds: dict[str, float] = dict.fromkeys((FAIR, *WEATHERS), 0.0)
        self._receiver = receiver
        self._journal = journal
        self._dice = dice

    def run(self, stop: threading.Event) -> None:
        """Change until told to stop; then it is fair."""
        while not stop.is_set():
            for name in self._dice.sample(list(WEATHERS), len(WEATHERS)):
                self._last(FAIR, self._dice.uniform(4.0, 12.0), stop)
                if stop.is_set():
                    break
                with WEATHERS[name](self._receiver):
                    self._last(name, 3.0 + min(40.0, self._dice.expovariate(1 / 7)), stop)
        self._last(FAIR, 0.0, stop)

    def _last(self, name: str, seconds: float, stop: threading.Event) -> None:
        self._journal.note(f"weather: {name}")
        self.now = name
        began = time.monotonic()
        stop.wait(seconds)
        self.seconds[name] += time.monotonic() - began


# --- the servers ------------------------------------------------------------------------------------------------------


class Server:
    """The application under a server with workers, started and ended as often as one likes."""

    def __init__(self, place: str, command: tuple[str, ...], port: int, folder: Path, variables: Mapping[str, str]):
        self.place = place
        self.port = port
        self.ends: list[float] = []  # seconds that each end took
        self.lines: Counter[str] = Counter()  # what telemetry said, by kind
        self.troubles: list[str] = []  # exceptions that got to the terminal
        self._command = python(*command, f"127.0.0.1:{port}" if "gunicorn" in command else str(port))
        self._folder = folder
        self._variables = variables
        self._starts = 0
        self._child: Child | None = None
        self._running: AbstractContextManager[Child] | None = None

    @property
    def pid(self) -> int:
        """Of the one that has the workers; 0 while it is not there."""
        child = self._child
        return 0 if child is None else child.process.pid

    @property
    def longest_end(self) -> float:
        """Seconds."""
        return max(self.ends, default=0.0)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._starts += 1
        log = self._folder / f"{self.place}-{self._starts}.log"
        self._running = running(self._command, log, port=self.port, **self._variables)
        child = self._running.__enter__()
        child.wait_until_it_answers("/ready")
        self._child = child

    def end(self) -> None:
        """Tell it to, wait, and read what it had to say; nothing when it could not be started anew."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            self.ends.append(child.end())
        finally:
            self.kill()
        with child.log.open(errors="replace") as output:
            for text in output:
                self._read(text)

    def kill(self) -> None:
        """See to it that nothing of it is left."""
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None

    def _read(self, text: str) -> None:
        for line in read_lines(text):
            if line.is_trouble:
                self.troubles.append(line.text)
            elif line.logger.partition(".")[0] == "blogauto_otel":
                self.lines[line.kind] += 1

    # -- what may happen to it

    def hang_up(self) -> None:
        """Every worker is replaced."""
        os.kill(self.pid, signal.SIGHUP)

    def end_a_worker(self) -> None:
        """Somebody ends one of the workers; the server starts another."""
        workers = psutil.Process(self.pid).children()
        if workers:
            workers[0].send_signal(signal.SIGTERM)

    def restart(self) -> None:
        """As a new release does."""
        self.end()
        self.start()


DEEDS: Mapping[str, Callable[[Server], None]] = MappingProxyType(
    {"hang up": Server.hang_up, "end a worker": Server.end_a_worker, "restart": Server.restart}
)


class Unrest:
    """Something happens to a server every so often."""

    def __init__(self, server: Server, journal: Journal, dice: random.Random) -> None:
        self.deeds: Counter[str] = Counter()
        self._server = server
        self._journal = journal
        self._dice = dice

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.wait(self._dice.uniform(5.0, 20.0)):
            name = self._dice.choice(list(DEEDS))
            self._journal.note(f"{name}: {self._server.place}")
            DEEDS[name](self._server)
            self.deeds[name] += 1
