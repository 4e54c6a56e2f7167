"""The invariants of every row: no exception, bounded latency and memory, a quick exit, no silent loss."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from testkit.console import LOSS_MESSAGES
from tests.faults.service import Service

CHUNK = 100  # pairs of requests; the second slowest of them stands for the 99th percentile
CHUNKS = 3
MORE_CHUNKS = 9  # on a loaded machine
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Tolerance:
    """How far a fault may affect the application."""

    latency: float = 0.005  # seconds by which the 99th percentile may exceed the control's
    memory: int = 64 * MEBIBYTE
    exit_seconds: float = 5.0
    lossless: bool = True  # nothing may be lost; otherwise losses are counted, and logged once
    swallowed: tuple[str, ...] = ()  # places where an internal error has to be swallowed
    errors: tuple[str, ...] = ()  # words in error lines that the application logs on purpose


DEFAULT = Tolerance()
LOSSY = Tolerance(lossless=False)


def latency_is_bounded(service: Service, tolerance: Tolerance) -> None:
    """Compare pairs of requests with the control: load on the machine affects both."""
    while len(service.latencies) < CHUNK * CHUNKS:
        service.hit(CHUNK * CHUNKS - len(service.latencies))
    most = CHUNK * (CHUNKS + MORE_CHUNKS)
    while (slower := _slower(service.latencies)) > tolerance.latency and len(service.latencies) < most:
        service.hit(CHUNK)
    assert slower <= tolerance.latency, f"the 99th percentile is {slower * 1e3:.1f} ms above the control's"


def _slower(latencies: Sequence[tuple[float, float]]) -> float:
    """Seconds by which the 99th percentile exceeds the control's: the median over chunks."""
    chunks = [latencies[start : start + CHUNK] for start in range(0, len(latencies) - CHUNK + 1, CHUNK)]
    return statistics.median(_p99([pair[0] for pair in chunk]) - _p99([pair[1] for pair in chunk]) for chunk in chunks)


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99) - 1]


def memory_is_bounded(service: Service, tolerance: Tolerance) -> None:
    """The peak of the process above its size after warm-up."""
    growth = service.growth()
    assert growth <= tolerance.memory, f"the process grew by {growth / MEBIBYTE:.0f} MiB"


def nothing_was_raised(service: Service, tolerance: Tolerance) -> None:
    """No exception reached the application or the console; internal errors are swallowed only where they must be."""
    swallowed = set(service.last["swallowed"]) - set(tolerance.swallowed)
    assert not swallowed, f"swallowed {swallowed}: {service.lines_with('failed')}"
    for line in service.lines:
        assert not line.is_error or any(word in line.text for word in tolerance.errors), line.text


def losses_are_counted_and_logged_once(service: Service, tolerance: Tolerance) -> None:
    """Each missing item was counted under a reason, and a loss was logged when it began, not for each item."""
    missing = service.missing()
    lost = service.lost()
    if tolerance.lossless:
        assert not lost, f"counted as lost: {lost}"
        assert not missing, f"missing and not counted: {missing}; counted: {lost}"
    for signal, count in missing.items():
        assert count <= sum(lost.get(signal, {}).values()), f"{count} {signal} are missing, counted are {lost}"
    logged = [line.text for line in service.own_lines if any(words in line.text for words in LOSS_MESSAGES)]
    assert bool(logged) == bool(lost), f"lost: {lost}; logged: {logged}"


def nothing_is_logged_twice(service: Service) -> None:
    """Each message of the package appears at most once a minute and process."""
    at_most = (1 + int(service.seconds // 60)) * service.processes
    for text, count in Counter(line.pattern for line in service.own_lines).items():
        assert count <= at_most, f"logged {count} times in {service.seconds:.0f} s: {text}"


def exit_is_quick(seconds: float, tolerance: Tolerance) -> None:
    """From the signal to the end of the process."""
    assert seconds <= tolerance.exit_seconds, f"the process took {seconds:.1f} s to end"
