"""What the processes take: memory, threads, file descriptors and CPU, second by second; and what waits on disk."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from blogauto_otel.spool.file_format import DAMAGED, parse

MEBIBYTE = 2**20


class Sample(NamedTuple):
    """A process at one moment."""

    at: float
    rss: int  # bytes
    threads: int
    files: int


@dataclass
class Life:
    """A process, for as long as it was seen."""

    place: str
    pid: int
    samples: list[Sample] = field(default_factory=list)
    cpu: float = 0.0  # seconds, all in all

    def since(self, at: float) -> list[Sample]:
        return [sample for sample in self.samples if sample.at >= at]

    def slope(self, at: float) -> float:
        """Bytes an hour by which it grew since then: least squares over all samples."""
        samples = self.since(at)
        return statistics.linear_regression([s.at for s in samples], [s.rss for s in samples]).slope * 3600

    def growth(self, at: float, what: str) -> int:
        """By how much the least of the last third is above the least of the first: what is never given back."""
        values = [getattr(sample, what) for sample in self.since(at)]
        third = max(1, len(values) // 3)
        return int(min(values[-third:]) - min(values[:third]))


class Watch:
    """Servers and their workers; children that those fork come and go too quickly to be of interest."""

    def __init__(self) -> None:
        self.lives: dict[tuple[int, float], Life] = {}
        self.now: list[Life] = []

    def look(self, at: float, servers: Mapping[str, int]) -> None:
        """Sample every process under these."""
        self.now = []
        for place, pid in servers.items():
            try:
                server = psutil.Process(pid)
                for process in (server, *server.children()):
                    self._sample(at, place, process)
            except psutil.Error:  # it is being started anew
                continue

    def _sample(self, at: float, place: str, process: psutil.Process) -> None:
        try:
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    return
                life = self.lives.setdefault((process.pid, process.create_time()), Life(place, process.pid))
                sample = Sample(at, process.memory_info().rss, process.num_threads(), process.num_fds())
                life.cpu = sum(process.cpu_times()[:2])
        except psutil.Error:
            return
        life.samples.append(sample)
        self.now.append(life)

    @property
    def cpu(self) -> float:
        """Seconds that all of them have used, those that are gone included."""
        return sum(life.cpu for life in self.lives.values())


class Waiting(NamedTuple):
    """What is on disk."""

    files: int
    bytes: int
    damaged: int


def waiting(spool: Path) -> Waiting:
    """All files of ours under this directory."""
    sizes, damaged = [], 0
    for path in spool.rglob("*"):
        name = parse(path.name)
        if name is None:
            continue
        damaged += name.state == DAMAGED
        try:
            sizes.append(path.stat().st_size)
        except OSError:  # somebody has just renamed it
            sizes.append(0)
    return Waiting(len(sizes), sum(sizes), damaged)
