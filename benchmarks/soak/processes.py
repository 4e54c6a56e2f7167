"""Samples of the processes: memory, threads, descriptors and CPU, second by second; and what is on disk."""

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
class ProcessHistory:
    """The samples of one process."""

    server: str
    pid: int
    samples: list[Sample] = field(default_factory=list)
    cpu: float = 0.0  # seconds, in total

    def since(self, at: float) -> list[Sample]:
        """The samples from that time on."""
        return [sample for sample in self.samples if sample.at >= at]

    def slope(self, at: float) -> float:
        """Memory growth since that time in bytes an hour: least squares over all samples."""
        samples = self.since(at)
        return statistics.linear_regression([s.at for s in samples], [s.rss for s in samples]).slope * 3600

    def growth(self, at: float, what: str) -> int:
        """By how much the minimum of the last third exceeds that of the first: what is never released."""
        values = [getattr(sample, what) for sample in self.since(at)]
        third = max(1, len(values) // 3)
        return int(min(values[-third:]) - min(values[:third]))


class ProcessMonitor:
    """Samples servers and their workers, not the children that those fork."""

    def __init__(self) -> None:
        self.histories: dict[tuple[int, float], ProcessHistory] = {}
        self.current: list[ProcessHistory] = []

    def sample(self, at: float, servers: Mapping[str, int]) -> None:
        """Sample every process of these servers."""
        self.current = []
        for name, pid in servers.items():
            try:
                server = psutil.Process(pid)
                for process in (server, *server.children()):
                    self._sample(at, name, process)
            except psutil.Error:  # it is being restarted
                continue

    def _sample(self, at: float, server: str, process: psutil.Process) -> None:
        try:
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    return
                key = (process.pid, process.create_time())
                history = self.histories.setdefault(key, ProcessHistory(server, process.pid))
                sample = Sample(at, process.memory_info().rss, process.num_threads(), process.num_fds())
                history.cpu = sum(process.cpu_times()[:2])
        except psutil.Error:
            return
        history.samples.append(sample)
        self.current.append(history)

    @property
    def cpu(self) -> float:
        """Seconds that all of them have used, including those that ended."""
        return sum(history.cpu for history in self.histories.values())


class SpoolSize(NamedTuple):
    """What is on disk."""

    files: int
    bytes: int
    damaged: int


def spool_size(spool: Path) -> SpoolSize:
    """The segments under this directory."""
    sizes, damaged = [], 0
    for path in spool.rglob("*"):
        name = parse(path.name)
        if name is None:
            continue
        damaged += name.state == DAMAGED
        try:
            sizes.append(path.stat().st_size)
        except OSError:  # it was renamed just now
            sizes.append(0)
    return SpoolSize(len(sizes), sum(sizes), damaged)
