"""What a soak prints: a line a minute, and tables at the end."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.soak.chaos import HEALTHY
from benchmarks.soak.processes import MEBIBYTE, ProcessHistory, spool_size
from benchmarks.soak.reconciliation import COUNTED, SPOOLED
from benchmarks.table import print_table

if TYPE_CHECKING:
    from benchmarks.soak import Soak


class ProgressLines:
    """A line a minute."""

    COLUMNS = (("min", 5), ("Collector", 9), ("req/s", 5), ("p50 ms", 6), ("p99 ms", 6), ("CPU %", 5), ("RSS MiB", 7),
               ("of each", 20), ("threads", 13), ("files", 20), ("spool files", 11), ("KiB", 5),
               ("pending", 7))  # fmt: skip

    def __init__(self, soak: Soak) -> None:
        self.seconds = array("f")
        self._soak = soak
        self._answered = 0
        self._at = self._cpu = 0.0
        self._print([name for name, _ in self.COLUMNS])

    def write(self, at: float) -> None:
        soak, current, elapsed = self._soak, self._soak.monitor.current, at - self._at
        disk = spool_size(soak.spool)
        sizes = [history.samples[-1].rss / MEBIBYTE for history in current]
        cells = (
            f"{at / 60:.1f}",
            soak.collector.now,
            f"{(soak.reconciliation.logs.recorded - self._answered) / elapsed:.0f}",
            *_percentiles(self.seconds),
            f"{(soak.monitor.cpu - self._cpu) / elapsed * 100:.0f}",
            f"{sum(sizes):.0f}",
            "/".join(f"{size:.0f}" for size in sizes),
            "/".join(str(history.samples[-1].threads) for history in current),
            "/".join(str(history.samples[-1].files) for history in current),
            str(disk.files),
            f"{disk.bytes / 1024:.0f}",
            str(len(soak.reconciliation.spans.pending) + len(soak.reconciliation.logs.pending)),
        )
        self._print(cells)
        self.seconds = array("f")
        self._at, self._answered, self._cpu = at, soak.reconciliation.logs.recorded, soak.monitor.cpu

    def _print(self, cells: Sequence[str]) -> None:
        widths = (width for _, width in self.COLUMNS)
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)


def _percentiles(seconds: Sequence[float]) -> tuple[str, str]:
    if len(seconds) < 2:
        return "-", "-"
    cuts = statistics.quantiles(seconds, n=100)
    return f"{cuts[49] * 1e3:.2f}", f"{cuts[98] * 1e3:.2f}"


def print_results(soak: Soak, seconds: float) -> None:
    """Everything but the failures."""
    _print_items(soak)
    print_table(
        "processes that ran throughout, after the warm-up",
        ("server", "process", "RSS MiB", "MiB/hour", "threads", "growth", "files", "growth"),
        [_row(history, soak.measured_from(seconds)) for history in soak.long_running(seconds)],
    )
    print_table(
        "requests by state of the Collector",
        ("Collector", "seconds", "requests", "p50 ms", "p99 ms"),
        [
            (name, f"{soak.collector.seconds[name]:.0f}", str(len(took)), *_percentiles(took))
            for name, took in sorted(soak.seconds.items(), key=lambda item: item[0] != HEALTHY)
        ],
    )
    for server in soak.servers:
        print(f"\n{server.name}: {len(server.exits)} exits, the longest {server.longest_exit:.1f} s; it logged")
        for line, count in server.lines.most_common(12):
            print(f"  {count:5d} x {line[:200]}")
    actions, seen = dict(soak.server_chaos.counts), len(soak.monitor.histories)
    print(f"\nactions on the restarted server: {actions}; {seen} processes seen")


def _print_items(soak: Soak) -> None:
    items = soak.reconciliation
    print_table(
        "recorded and received",
        ("", "recorded", "received", "missing", "duplicates", "of requests without a response"),
        [
            (name, *map(str, (a.recorded, a.received, len(a.pending), a.duplicates, len(a.unmatched))))
            for name, a in (("spans", items.spans), ("log records", items.logs))
        ],
    )
    print(
        f"\ncounted by metrics: {sum(items.metric(COUNTED).values())} of {items.logs.recorded} requests answered, "
        f"{items.unanswered} not; spooled: {items.metric(SPOOLED)}; "
        f"all received {soak.drained_in:.1f} s after the load"
    )


def _row(history: ProcessHistory, since: float) -> Sequence[str]:
    samples = history.since(since)
    sizes = [sample.rss / MEBIBYTE for sample in samples]
    cells = [
        history.server,
        str(history.pid),
        f"{min(sizes):.1f}..{max(sizes):.1f}",
        f"{history.slope(since) / MEBIBYTE:+.1f}",
    ]
    for what in ("threads", "files"):
        values = [getattr(sample, what) for sample in samples]
        cells += [f"{min(values)}..{max(values)}", f"{history.growth(since, what):+d}"]
    return cells
