"""Chaos: a Collector that fails in ten ways in turn, and a server that is restarted, reloaded and loses workers."""

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
from testkit.console import read_lines
from testkit.processes import Process, running
from testkit.receiver import Receiver
from testkit.servers import Command, gunicorn, uvicorn

APP = "benchmarks.soak.application:app"

# Two workers that live as long as the soak, and two that are replaced after so many requests and by `ServerChaos`.
STEADY = uvicorn(APP, "--workers", "2")
RESTARTED = gunicorn(APP, "-w", "2", "--max-requests", "3000", "--max-requests-jitter", "1000")


# --- the Collector ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _stopped(receiver: Receiver) -> Iterator[None]:
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
        rng = random.Random(len(answers))
        receiver.answer(lambda _: rng.choice(answers))
        try:
            yield
        finally:
            receiver.answer(peer.ok())

    return answering


FAULTS: Mapping[str, Callable[[Receiver], AbstractContextManager[None]]] = MappingProxyType(
    {
        "stopped": _stopped,
        "frozen": _frozen,
        "silent": _answering(peer.silence()),
        "503": _answering(peer.status(503)),
        "429": _answering(peer.status(429, retry_after=3)),
        "flapping": _answering(*[peer.status(503)] * 7, *[peer.ok()] * 3),
        "slow": _answering(peer.delay(1.5)),
        "resets": _answering(peer.reset("reading"), peer.reset("read"), peer.reset("answering"), peer.ok()),
        "closing": _answering(peer.closing()),
        "lost acks": _answering(peer.lost_acknowledgement(), peer.ok(), peer.ok()),
    }
)
HEALTHY = "healthy"


class EventLog:
    """What happened when, to find the cause of a loss."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.entries: list[tuple[float, str]] = []

    def add(self, text: str) -> None:
        """Note it with the time."""
        self.entries.append((time.monotonic(), text))

    def around(self, at: float, seconds: float = 15.0) -> list[str]:
        """The entries within so many seconds of that time."""
        return [f"{when - self.began:.1f} s {text}" for when, text in self.entries if abs(when - at) < seconds]


class CollectorChaos:
    """The Collector is healthy, then has a fault, in an order that the seed decides; each fault is equally frequent."""

    def __init__(self, receiver: Receiver, event_log: EventLog, rng: random.Random) -> None:
        self.now = HEALTHY
        self.seconds: dict[str, float] = dict.fromkeys((HEALTHY, *FAULTS), 0.0)
        self._receiver = receiver
        self._event_log = event_log
        self._rng = rng

    def run(self, stop: threading.Event) -> None:
        """Inject faults until `stop` is set; then the Collector is healthy."""
        while not stop.is_set():
            for name in self._rng.sample(list(FAULTS), len(FAULTS)):
                self._stay(HEALTHY, self._rng.uniform(4.0, 12.0), stop)
                if stop.is_set():
                    break
                with FAULTS[name](self._receiver):
                    self._stay(name, 3.0 + min(40.0, self._rng.expovariate(1 / 7)), stop)
        self._stay(HEALTHY, 0.0, stop)

    def _stay(self, name: str, seconds: float, stop: threading.Event) -> None:
        self._event_log.add(f"Collector: {name}")
        self.now = name
        began = time.monotonic()
        stop.wait(seconds)
        self.seconds[name] += time.monotonic() - began


# --- the servers ------------------------------------------------------------------------------------------------------


class Server:
    """The application under a server with workers, which can be restarted."""

    def __init__(self, name: str, command: Command, port: int, folder: Path, variables: Mapping[str, str]):
        self.name = name
        self.port = port
        self.exits: list[float] = []  # seconds that each exit took
        self.lines: Counter[str] = Counter()  # what the package logged, by pattern
        self.errors: list[str] = []  # exceptions on the console
        self._command = command(port)
        self._folder = folder
        self._variables = variables
        self._starts = 0
        self._child: Process | None = None
        self._running: AbstractContextManager[Process] | None = None

    @property
    def pid(self) -> int:
        """Of the process that has the workers; 0 when it does not run."""
        child = self._child
        return 0 if child is None else child.pid

    @property
    def longest_exit(self) -> float:
        """Seconds."""
        return max(self.exits, default=0.0)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._starts += 1
        log = self._folder / f"{self.name}-{self._starts}.log"
        self._running = running(self._command, log, port=self.port, **self._variables)
        child = self._running.__enter__()
        child.wait_until_it_answers("/ready")
        self._child = child

    def end(self) -> None:
        """Terminate it and read its output; does nothing when it does not run."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            self.exits.append(child.terminate())
        finally:
            self.kill()
        with child.log.open(errors="replace") as output:
            for text in output:
                self._read(text)

    def kill(self) -> None:
        """Kill its process group."""
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None

    def _read(self, text: str) -> None:
        for line in read_lines(text):
            if line.is_error:
                self.errors.append(line.text)
            elif line.is_own:
                self.lines[line.pattern] += 1

    # -- chaos

    def reload(self) -> None:
        """SIGHUP: every worker is replaced."""
        os.kill(self.pid, signal.SIGHUP)

    def terminate_worker(self) -> None:
        """SIGTERM to one worker; the server starts another."""
        workers = psutil.Process(self.pid).children()
        if workers:
            workers[0].send_signal(signal.SIGTERM)

    def restart(self) -> None:
        """As a deployment does."""
        self.end()
        self.start()


ACTIONS: Mapping[str, Callable[[Server], None]] = MappingProxyType(
    {"reload": Server.reload, "terminate a worker": Server.terminate_worker, "restart": Server.restart}
)


class ServerChaos:
    """One of the actions every 5 to 20 seconds."""

    def __init__(self, server: Server, event_log: EventLog, rng: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self._server = server
        self._event_log = event_log
        self._rng = rng

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set."""
        while not stop.wait(self._rng.uniform(5.0, 20.0)):
            name = self._rng.choice(list(ACTIONS))
            self._event_log.add(f"{name}: {self._server.name}")
            ACTIONS[name](self._server)
            self.counts[name] += 1
