"""A soak: twenty minutes of load while the Collector fails, workers restart and children fork; nothing may be lost.

    python -m benchmarks soak --minutes 20 [--seed 4]

Two servers share a spool: uvicorn with two workers that run throughout, gunicorn with two that are recycled,
terminated, reloaded and restarted. What each response says was recorded is compared with what the receiver got.
No process gets SIGKILL: rows 22 and 23 of the fault matrix say what that may cost. Exit status 1 when an item is
missing or a limit below is exceeded.
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

from benchmarks.soak.chaos import RESTARTED, STEADY, CollectorChaos, EventLog, Server, ServerChaos
from benchmarks.soak.load import Load, LoadResponse
from benchmarks.soak.processes import MEBIBYTE, ProcessHistory, ProcessMonitor, spool_size
from benchmarks.soak.reconciliation import COUNTED, DROPPED, SWALLOWED, Origin, Reconciliation
from benchmarks.soak.report import ProgressLines, print_results
from testkit.console import LOSS_MESSAGES
from testkit.ports import free_port
from testkit.processes import python, running
from testkit.receiver import Receiver

RATE = 300.0  # requests a second, in total
FORK_EVERY = 3.0  # seconds, on each server
METRICS_EVERY = 5_000  # milliseconds
DRAIN = 120.0  # seconds in which everything has to arrive once the Collector stays healthy

# The limits. Those of growth are for processes that run throughout.
WARM_UP = 0.2  # of the soak; growth counts from its end
GROWTH = 64 * MEBIBYTE  # of memory, however short the soak
LONG = 600.0  # seconds of samples; fewer show the allocator and the faults rather than leaks
SLOPE = 16 * MEBIBYTE  # of memory, an hour
THREADS_GROWTH = 0
FILES_GROWTH = 2  # connections to the Collector
EXIT = 10.0  # seconds for the exit of a server: 5, and the time of a request that waits for its child


class Soak:
    """The parts of a soak, and its results so far."""

    def __init__(self, folder: Path, receiver: Receiver, rng: random.Random) -> None:
        self.spool = folder / "spool"
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_METRIC_EXPORT_INTERVAL": str(METRICS_EVERY),
            "BLOGAUTO_OTEL_SPOOL_DIR": str(self.spool),
            "BLOGAUTO_OTEL_CONSOLE": "json",
            "BLOGAUTO_OTEL_UNTRACED_ROUTES": "/ready",
        }
        self.servers = [
            Server(name, command, free_port(), folder, variables)
            for name, command in (("steady", STEADY), ("restarted", RESTARTED))
        ]
        self.folder = folder
        self.receiver = receiver
        self.variables = variables
        self.event_log = EventLog()
        self.reconciliation = Reconciliation()
        self.monitor = ProcessMonitor()
        self.collector = CollectorChaos(receiver, self.event_log, rng)
        self.server_chaos = ServerChaos(self.servers[1], self.event_log, random.Random(rng.random()))
        self.exceptions: list[str] = []
        self.seconds: dict[str, array[float]] = defaultdict(lambda: array("f"))  # by state of the Collector
        self.drained_in = 0.0

    # -- the run

    def run(self, seconds: float) -> None:
        """Soak, then drain."""
        try:
            for server in self.servers:
                server.start()
            self._soak(seconds)
            self._drain()
        finally:
            for server in self.servers:
                server.kill()

    def _soak(self, seconds: float) -> None:
        load = Load({s.name: s.port for s in self.servers}, rate=RATE, fork_every=FORK_EVERY)
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._run_chaos, args=(run, stop))
            for run in (self.collector.run, self.server_chaos.run)
        ]
        for thread in threads:
            thread.start()
        try:
            self._follow(load, seconds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.event_log.add("the load ends")
        for answer in load.end():
            self.reconciliation.add(answer)

    def _run_chaos(self, run: Callable[[threading.Event], None], stop: threading.Event) -> None:
        try:
            run(stop)
        except Exception as error:
            self.exceptions.append(f"{run.__qualname__}: {error!r}")

    def _follow(self, load: Load, seconds: float) -> None:
        every = min(60.0, seconds / 6)
        lines = ProgressLines(self)
        began, written = self.event_log.began, 1
        while (now := time.monotonic()) < began + seconds:
            for answer in load.answers():
                self._add(answer, lines)
            self.reconciliation.receive(self.receiver)
            self.monitor.sample(now, {server.name: server.pid for server in self.servers if server.pid})
            if now >= began + written * every:
                lines.write(now - began)
                written += 1
            time.sleep(max(0.0, now + 1.0 - time.monotonic()))
        lines.write(now - began)

    def _add(self, answer: LoadResponse, lines: ProgressLines) -> None:
        self.reconciliation.add(answer)
        if answer.spans and not answer.forked:
            self.seconds[self.collector.now].append(answer.seconds)
            lines.seconds.append(answer.seconds)

    # -- after the load

    def _drain(self) -> None:
        """Everything in memory or on disk arrives; a further start delivers what the exit left on disk."""
        began = time.monotonic()
        self._receive_until(lambda: not any(self.reconciliation.missing()), DRAIN)
        self.drained_in = time.monotonic() - began
        for server in self.servers:
            server.end()
        self.reconciliation.receive(self.receiver)
        if spool_size(self.spool).files:
            self.event_log.add("drain the spool")
            command = python("-m", "testkit.drain_spool")
            with running(command, self.folder / "drain_spool.log", port=0, **self.variables) as child:
                child.wait()
        self.reconciliation.receive(self.receiver)

    def _receive_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self.reconciliation.receive(self.receiver)
            if done() or time.monotonic() > deadline:
                break
            time.sleep(0.5)

    # -- failures

    def failures(self, seconds: float) -> list[str]:
        """Everything that is wrong."""
        return [
            *self.exceptions,
            *self._items(),
            *self._counts(),
            *self._servers(),
            *(text for process in self.long_running(seconds) for text in _growth(process, self.measured_from(seconds))),
        ]  # fmt: skip

    def _items(self) -> Iterator[str]:
        missing = list(self.reconciliation.missing())
        if missing:
            yield f"{len(missing)} items are missing"
        for kind, origin in missing[:5]:
            yield f"a {kind} {self._describe(origin)}"
        left = spool_size(self.spool)
        if left.files:
            yield f"{left.files} files are left on disk, {left.damaged} of them damaged"
        for error, count in self.reconciliation.errors.items():
            yield f"{count} x {error}"

    def _describe(self, origin: Origin) -> str:
        """Who recorded it, and what happened at that time."""
        by = f"{origin.server}, process {origin.pid}{', forked' if origin.forked else ''}"
        events = "; ".join(self.event_log.around(origin.at))
        return f"of {origin.at - self.event_log.began:.1f} s ({by}); events: {events}"

    def _counts(self) -> Iterator[str]:
        for count in self.reconciliation.uncounted():
            yield f"metrics counted {count.counted} of {count.answered} requests; last: {self._describe(count.last)}"
        counted = sum(self.reconciliation.metric(COUNTED).values())
        possible = self.reconciliation.logs.recorded + self.reconciliation.unanswered
        if counted > possible:
            yield f"metrics counted {counted} requests, more than the {possible} that were sent"
        for name, what in ((DROPPED, "counted as lost"), (SWALLOWED, "swallowed")):
            if found := self.reconciliation.metric(name):
                yield f"{what}: {found}"

    def _servers(self) -> Iterator[str]:
        for server in self.servers:
            if server.longest_exit > EXIT:
                yield f"{server.name} took {server.longest_exit:.1f} s to exit"
            for error in server.errors[:5]:
                yield f"{server.name} printed: {error}"
            for line, count in server.lines.items():
                if any(words in line for words in LOSS_MESSAGES):
                    yield f"{server.name} logged {count} times: {line}"

    def measured_from(self, seconds: float) -> float:
        """The end of the warm-up."""
        return self.event_log.began + seconds * WARM_UP

    def long_running(self, seconds: float) -> list[ProcessHistory]:
        """Processes that ran from the end of the warm-up to that of the soak."""
        first, last = self.measured_from(seconds), self.event_log.began + seconds - 5.0
        return [
            history
            for history in self.monitor.histories.values()
            if history.samples and history.samples[0].at <= first and history.samples[-1].at >= last
        ]


def _growth(history: ProcessHistory, since: float) -> Iterator[str]:
    who = f"{history.server}, process {history.pid}"
    samples = history.since(since)
    if (grown := max(sample.rss for sample in samples) - samples[0].rss) > GROWTH:
        yield f"{who} grew by {grown / MEBIBYTE:.0f} MiB"
    if samples[-1].at - samples[0].at < LONG:
        return
    if history.slope(since) > SLOPE:
        yield f"{who} grows by {history.slope(since) / MEBIBYTE:.1f} MiB an hour"
    for what, limit in (("threads", THREADS_GROWTH), ("files", FILES_GROWTH)):
        if (more := history.growth(since, what)) > limit:
            yield f"{who} has {more} {what} more than before"


def main(arguments: Sequence[str] = ()) -> int:
    """Soak, print the figures, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=4)
    given = parser.parse_args(arguments)
    rng, seconds = random.Random(given.seed), given.minutes * 60
    folder = Path(tempfile.mkdtemp(prefix="blogauto-otel-soak-"))
    with Receiver(port=free_port()) as receiver:
        soak = Soak(folder, receiver, rng)
        soak.run(seconds)
    print_results(soak, seconds)
    failures = soak.failures(seconds)
    for failure in failures:
        print(f"! {failure}")
    print(f"\n{'failed; the logs are in ' + str(folder) if failures else 'nothing lost, nothing grows'}")
    if not failures:
        shutil.rmtree(folder)
    return 1 if failures else 0
