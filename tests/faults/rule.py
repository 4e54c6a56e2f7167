"""The rule that counts for every row: no exception, no delay, no growth, a quick end, no silent loss."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.lab import Service

CHUNK = 100  # pairs of requests of which the slowest but one stand for the 99th percentile
CHUNKS = 3
MORE_CHUNKS = 9  # on a machine that others use too
MEBIBYTE = 2**20

# What we say when something begins to be lost: one of these, once.
LOSS_BEGINS = ("are being lost", "what it refuses is lost", "and lost:", "rejected")


@dataclass(frozen=True)
class Rule:
    """How far a fault may be felt."""

    slower: float = 0.005  # seconds that the 99th percentile of requests may be above that of an unharmed neighbour
    larger: int = 64 * MEBIBYTE
    exit_seconds: float = 5.0
    lossless: bool = True  # nothing may be lost; otherwise what is lost is counted, and told once
    swallowed: tuple[str, ...] = ()  # places where an error of ours has to be swallowed
    errors: tuple[str, ...] = ()  # words in lines of the application's own that are errors on purpose


RULE = Rule()
LOSSES = Rule(lossless=False)


def requests_are_no_slower(service: Service, rule: Rule) -> None:
    """Request for request beside an unharmed neighbour: what the machine does to both says nothing."""
    while len(service.pairs) < CHUNK * CHUNKS:
        service.hit(CHUNK * CHUNKS - len(service.pairs))
    while (slower := _slower(service.pairs)) > rule.slower and len(service.pairs) < CHUNK * (CHUNKS + MORE_CHUNKS):
        service.hit(CHUNK)
    assert slower <= rule.slower, f"the 99th percentile is {slower * 1e3:.1f} ms above the neighbour's"


def _slower(pairs: Sequence[tuple[float, float]]) -> float:
    """By how many seconds the 99th percentile is above the neighbour's: the median over chunks of requests."""
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs) - CHUNK + 1, CHUNK)]
    return statistics.median(_p99([pair[0] for pair in chunk]) - _p99([pair[1] for pair in chunk]) for chunk in chunks)


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99) - 1]


def memory_is_no_larger(service: Service, rule: Rule) -> None:
    """The highest that the process ever was, above where it stood when it had warmed up."""
    grown = service.growth()
    assert grown <= rule.larger, f"the process grew by {grown / MEBIBYTE:.0f} MiB"


def nothing_was_raised(service: Service, rule: Rule) -> None:
    """Neither into the application, nor past it to the terminal; errors of ours are swallowed only where they must."""
    swallowed = set(service.last["swallowed"]) - set(rule.swallowed)
    assert not swallowed, f"swallowed {swallowed}: {service.told('failed')}"
    for line in service.lines:
        assert not line.is_trouble or any(word in line.text for word in rule.errors), line.text


def losses_are_counted_and_told_once(service: Service, rule: Rule) -> None:
    """An item that nobody has was counted under a reason, and its loss was told: once, and not once each."""
    missing = service.missing()
    lost = service.lost()
    if rule.lossless:
        assert not lost, f"counted as lost: {lost}"
        assert not missing, f"missing and not counted: {missing}; counted: {lost}"
    for signal, count in missing.items():
        assert count <= sum(lost.get(signal, {}).values()), f"{count} {signal} are missing, counted are {lost}"
    told = [line.text for line in service.own_lines if any(words in line.text for words in LOSS_BEGINS)]
    assert bool(told) == bool(lost), f"lost: {lost}; told: {told}"


def nothing_is_told_twice(service: Service) -> None:
    """One line of each kind in a minute and process, whatever happens."""
    often = (1 + int(service.seconds // 60)) * service.processes
    for text, count in Counter(line.kind for line in service.own_lines).items():
        assert count <= often, f"told {count} times in {service.seconds:.0f} s: {text}"


def the_end_is_quick(seconds: float, rule: Rule) -> None:
    assert seconds <= rule.exit_seconds, f"the process took {seconds:.1f} s to end"
