"""A soak: load for twenty minutes while the Collector flaps, workers come and go, and children fork; nothing is lost.

    python -m benchmarks soak --minutes 20 [--seed 4]

Two servers share a spool: uvicorn with two workers that live through all of it, gunicorn with two that are recycled,
ended, hung up and started anew. What each answer says was made is held against what the receiver got. Nobody is killed
with SIGKILL: what that may cost is rows 22 and 23 of the fault matrix. Exit status 1 when anything is missing, or one
of the limits below is passed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.soak.accounts import COUNTED, DROPPED, SWALLOWED, Books, Made
from benchmarks.soak.load import Answer, Load
from benchmarks.soak.report import Lines, print_results
from benchmarks.soak.unrest import RESTLESS, STEADY, Journal, Server, Unrest, Weather
from benchmarks.soak.watch import MEBIBYTE, Life, Watch, waiting
from testkit.child import free_port
from testkit.children import python, running
from testkit.receiver import Receiver
from tests.faults.rule import LOSS_BEGINS

RATE = 300.0  # requests a second, all in all
FORK_EVERY = 3.0  # seconds, at each server
METRICS_EVERY = 5_000  # milliseconds
DRAIN = 120.0  # seconds in which everything has to arrive once the weather is fair for good

# The limits. Those of growth are for processes that live through the whole soak.
WARM_UP = 0.2  # of the soak; what a process takes then is where it starts from
GROWTH = 64 * MEBIBYTE  # of memory, however short the soak
LONG = 600.0  # seconds of samples; fewer say more about the allocator, and the weather, than about leaks
SLOPE = 16 * MEBIBYTE  # of memory, an hour
THREADS_GROWTH = 0
FILES_GROWTH = 2  # the connections to the Collector stand, or do not
END = 10.0  # seconds that the end of a server may take: 5, once the request is answered that waits for a child to end


class Soak:
    """Everybody who takes part, and what is known so far."""

    def __init__(self, folder: Path, receiver: Receiver, dice: random.Random) -> None:
        self.spool = folder / "spool"
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_METRIC_EXPORT_INTERVAL": str(METRICS_EVERY),
            "BLOGAUTO_OTEL_SPOOL_DIR": str(self.spool),
            "BLOGAUTO_OTEL_CONSOLE": "json",
            "BLOGAUTO_OTEL_UNTRACED_ROUTES": "/ready",
        }
        self.servers = [
            Server(place, command, free_port(), folder, variables)
            for place, command in (("steady", STEADY), ("restless", RESTLESS))
        ]
        self.folder = folder
        self.receiver = receiver
        self.variables = variables
        self.journal = Journal()
        self.books = Books()
        self.watch = Watch()
        self.weather = Weather(receiver, self.journal, dice)
        self.unrest = Unrest(self.servers[1], self.journal, random.Random(dice.random()))
        self.wrong: list[str] = []
        self.seconds: dict[str, array[float]] = defaultdict(lambda: array("f"))  # of requests, by weather
        self.drained_in = 0.0

    # -- while it lasts

    def run(self, seconds: float) -> None:
        """The soak, and the calm after it."""
        try:
            for server in self.servers:
                server.start()
            self._soak(seconds)
            self._drain()
        finally:
            for server in self.servers:
                server.kill()

    def _soak(self, seconds: float) -> None:
        load = Load({s.place: s.port for s in self.servers}, rate=RATE, fork_every=FORK_EVERY)
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._caught, args=(run, stop)) for run in (self.weather.run, self.unrest.run)
        ]
        for thread in threads:
            thread.start()
        try:
            self._go_on(load, seconds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.journal.note("the load ends")
        for answer in load.end():
            self.books.answer(answer)

    def _caught(self, run: Callable[[threading.Event], None], stop: threading.Event) -> None:
        try:
            run(stop)
        except Exception as error:
            self.wrong.append(f"{run.__qualname__}: {error!r}")

    def _go_on(self, load: Load, seconds: float) -> None:
        every = min(60.0, seconds / 6)
        lines = Lines(self)
        began, lined = self.journal.began, 1
        while (now := time.monotonic()) < began + seconds:
            for answer in load.answers():
                self._note(answer, lines)
            self.books.receive(self.receiver)
            self.watch.look(now, {server.place: server.pid for server in self.servers if server.pid})
            if now >= began + lined * every:
                lines.write(now - began)
                lined += 1
            time.sleep(max(0.0, now + 1.0 - time.monotonic()))
        lines.write(now - began)

    def _note(self, answer: Answer, lines: Lines) -> None:
        self.books.answer(answer)
        if answer.spans and not answer.forked:
            self.seconds[self.weather.now].append(answer.seconds)
            lines.seconds.append(answer.seconds)

    # -- afterwards

    def _drain(self) -> None:
        """The weather is fair: all that is in memory or on disk arrives; the next start brings what the end leaves."""
        began = time.monotonic()
        self._receive_until(lambda: not any(self.books.missing()), DRAIN)
        self.drained_in = time.monotonic() - began
        for server in self.servers:
            server.end()
        self.books.receive(self.receiver)
        if waiting(self.spool).files:
            self.journal.note("the next start")
            command = python("-m", "tests.faults.programs.next_start")
            with running(command, self.folder / "next_start.log", port=0, **self.variables) as child:
                child.wait()
        self.books.receive(self.receiver)

    def _receive_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self.books.receive(self.receiver)
            if done() or time.monotonic() > deadline:
                break
            time.sleep(0.5)

    # -- what is wrong

    def complaints(self, seconds: float) -> list[str]:
        """All of it; nothing when all is well."""
        return [
            *self.wrong,
            *self._items(),
            *self._counts(),
            *self._servers(),
            *(words for life in self.long_lives(seconds) for words in _growth(life, self.measured_from(seconds))),
        ]  # fmt: skip

    def _items(self) -> Iterator[str]:
        missing = list(self.books.missing())
        if missing:
            yield f"{len(missing)} items are missing"
        for kind, made in missing[:5]:
            yield f"a {kind} {self._of(made)}"
        left = waiting(self.spool)
        if left.files:
            yield f"{left.files} files are left on disk, {left.damaged} of them damaged"
        for trouble, count in self.books.troubles.items():
            yield f"{count} x {trouble}"

    def _of(self, made: Made) -> str:
        """Whose it is, and what happened at that time."""
        by = f"{made.place}, process {made.pid}{', forked' if made.forked else ''}"
        return f"of {made.at - self.journal.began:.1f} s ({by}); around that: {'; '.join(self.journal.around(made.at))}"

    def _counts(self) -> Iterator[str]:
        for by in self.books.uncounted():
            yield f"metrics counted {by.counted} requests of {by.answered}, the last one {self._of(by.last)}"
        counted, possible = sum(self.books.figure(COUNTED).values()), self.books.logs.made + self.books.unanswered
        if counted > possible:
            yield f"metrics counted {counted} requests, and there were {possible}"
        for name, what in ((DROPPED, "counted as lost"), (SWALLOWED, "swallowed")):
            if found := self.books.figure(name):
                yield f"{what}: {found}"

    def _servers(self) -> Iterator[str]:
        for server in self.servers:
            if server.longest_end > END:
                yield f"{server.place} took {server.longest_end:.1f} s to end"
            for trouble in server.troubles[:5]:
                yield f"{server.place} said: {trouble}"
            for line, count in server.lines.items():
                if any(words in line for words in LOSS_BEGINS):
                    yield f"{server.place} told {count} times: {line}"

    def measured_from(self, seconds: float) -> float:
        """When the warm-up was over."""
        return self.journal.began + seconds * WARM_UP

    def long_lives(self, seconds: float) -> list[Life]:
        """Processes that were there from the end of the warm-up to that of the soak."""
        first, last = self.measured_from(seconds), self.journal.began + seconds - 5.0
        return [
            life
            for life in self.watch.lives.values()
            if life.samples and life.samples[0].at <= first and life.samples[-1].at >= last
        ]


def _growth(life: Life, since: float) -> Iterator[str]:
    who = f"{life.place}, process {life.pid}"
    samples = life.since(since)
    if (grown := max(sample.rss for sample in samples) - samples[0].rss) > GROWTH:
        yield f"{who} grew by {grown / MEBIBYTE:.0f} MiB"
    if samples[-1].at - samples[0].at < LONG:
        return
    if life.slope(since) > SLOPE:
        yield f"{who} grows by {life.slope(since) / MEBIBYTE:.1f} MiB an hour"
    for what, limit in (("threads", THREADS_GROWTH), ("files", FILES_GROWTH)):
        if (more := life.growth(since, what)) > limit:
            yield f"{who} has {more} {what} more than before"


def main(arguments: Sequence[str] = ()) -> int:
    """Soak, print the figures, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=4)
    given = parser.parse_args(arguments)
    dice, seconds = random.Random(given.seed), given.minutes * 60
    folder = Path(tempfile.mkdtemp(prefix="blogauto-otel-soak-"))
    with Receiver(port=free_port()) as receiver:
        soak = Soak(folder, receiver, dice)
        soak.run(seconds)
    print_results(soak, seconds)
    complaints = soak.complaints(seconds)
    for complaint in complaints:
        print(f"! {complaint}")
    print(f"\n{'not as it should be; the logs are in ' + str(folder) if complaints else 'nothing lost, nothing grows'}")
    if not complaints:
        shutil.rmtree(folder)
    return 1 if complaints else 0
