"""What a soak prints: a line a minute, and the figures of all of it at the end."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.soak.accounts import COUNTED, SPOOLED
from benchmarks.soak.unrest import FAIR
from benchmarks.soak.watch import MEBIBYTE, Life, waiting
from benchmarks.table import print_table

if TYPE_CHECKING:
    from benchmarks.soak import Soak


class Lines:
    """A line a minute."""

    COLUMNS = (("min", 5), ("weather", 9), ("req/s", 5), ("p50 ms", 6), ("p99 ms", 6), ("CPU %", 5), ("RSS MiB", 7),
               ("of each", 20), ("threads", 13), ("files", 20), ("spool files", 11), ("KiB", 5),
               ("to come", 7))  # fmt: skip

    def __init__(self, soak: Soak) -> None:
        self.seconds = array("f")
        self._soak = soak
        self._answered = 0
        self._at = self._cpu = 0.0
        self._print([name for name, _ in self.COLUMNS])

    def write(self, at: float) -> None:
        soak, lives, elapsed = self._soak, self._soak.watch.now, at - self._at
        disk = waiting(soak.spool)
        sizes = [life.samples[-1].rss / MEBIBYTE for life in lives]
        cells = (
            f"{at / 60:.1f}",
            soak.weather.now,
            f"{(soak.books.logs.made - self._answered) / elapsed:.0f}",
            *_percentiles(self.seconds),
            f"{(soak.watch.cpu - self._cpu) / elapsed * 100:.0f}",
            f"{sum(sizes):.0f}",
            "/".join(f"{size:.0f}" for size in sizes),
            "/".join(str(life.samples[-1].threads) for life in lives),
            "/".join(str(life.samples[-1].files) for life in lives),
            str(disk.files),
            f"{disk.bytes / 1024:.0f}",
            str(len(soak.books.spans.pending) + len(soak.books.logs.pending)),
        )
        self._print(cells)
        self.seconds = array("f")
        self._at, self._answered, self._cpu = at, soak.books.logs.made, soak.watch.cpu

    def _print(self, cells: Sequence[str]) -> None:
        widths = (width for _, width in self.COLUMNS)
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)


def _percentiles(seconds: Sequence[float]) -> tuple[str, str]:
    if len(seconds) < 2:
        return "-", "-"
    cuts = statistics.quantiles(seconds, n=100)
    return f"{cuts[49] * 1e3:.2f}", f"{cuts[98] * 1e3:.2f}"


def print_results(soak: Soak, seconds: float) -> None:
    """Everything but the complaints."""
    _print_accounts(soak)
    print_table(
        "processes that lived through it, after the warm-up",
        ("server", "process", "RSS MiB", "an hour", "threads", "growth", "files", "growth"),
        [_row(life, soak.measured_from(seconds)) for life in soak.long_lives(seconds)],
    )
    print_table(
        "requests by weather",
        ("weather", "seconds", "requests", "p50 ms", "p99 ms"),
        [
            (name, f"{soak.weather.seconds[name]:.0f}", str(len(took)), *_percentiles(took))
            for name, took in sorted(soak.seconds.items(), key=lambda item: item[0] != FAIR)
        ],
    )
    for server in soak.servers:
        print(f"\n{server.place}: {len(server.ends)} ends, the longest {server.longest_end:.1f} s; it told")
        for line, count in server.lines.most_common(12):
            print(f"  {count:5d} x {line[:200]}")
    print(f"\nwhat happened to the restless: {dict(soak.unrest.deeds)}, {len(soak.watch.lives)} processes seen")


def _print_accounts(soak: Soak) -> None:
    books = soak.books
    print_table(
        "made and received",
        ("", "made", "received", "missing", "duplicates", "of requests without an answer"),
        [
            (name, *map(str, (a.made, a.received, len(a.pending), a.duplicates, len(a.early))))
            for name, a in (("spans", books.spans), ("log records", books.logs))
        ],
    )
    print(
        f"\ncounted by metrics: {sum(books.figure(COUNTED).values())} of {books.logs.made} requests answered, "
        f"{books.unanswered} not; through disk: {books.figure(SPOOLED)}; "
        f"all there {soak.drained_in:.1f} s after the load"
    )


def _row(life: Life, since: float) -> Sequence[str]:
    samples = life.since(since)
    sizes = [sample.rss / MEBIBYTE for sample in samples]
    cells = [life.place, str(life.pid), f"{min(sizes):.1f}..{max(sizes):.1f}", f"{life.slope(since) / MEBIBYTE:+.1f}"]
    for what in ("threads", "files"):
        values = [getattr(sample, what) for sample in samples]
        cells += [f"{min(values)}..{max(values)}", f"{life.growth(since, what):+d}"]
    return cells
