"""A simulation of many agents: connections, retries after an outage, rebalances of consumers, hot keys.

    python -m tools.scale agents

Pure functions with a seed: a test machine runs no hundred agents, so what they do is computed, with the intervals of
collector/tier-*.yaml. tests/scale/ counts the connections of one process of each tier.
"""

from __future__ import annotations

import heapq
import random
import zlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SIGNALS: Final = 3  # a Collector makes an exporter, and a reader of Kafka, for each signal


# -- connections


def connections(agents: int, gateways: int, samplers: int, brokers: int) -> dict[str, int]:
    """TCP connections that stay open between tiers, by the way they go.

    An OTLP exporter connects to every address of its name. A Kafka client has two connections to every broker, one of
    them for metadata, and a reader two more to the coordinator of its group.
    """
    return {
        "agents to gateways": SIGNALS * agents * gateways,
        "agents to brokers": 2 * SIGNALS * agents * brokers,
        "brokers to gateways": SIGNALS * gateways * 2 * (brokers + 1),
        "gateways to samplers": SIGNALS * gateways * samplers,
    }


# -- retries after an outage


@dataclass(frozen=True)
class Backoff:
    """Delays in seconds, as the Collector computes them; `jitter` is `randomization_factor`."""

    initial: float = 1.0
    factor: float = 1.5
    longest: float = 30.0
    jitter: float = 0.5

    def delays(self, chance: random.Random) -> Iterator[float]:
        """One after the other, without end."""
        interval = self.initial
        while True:
            yield interval * chance.uniform(1 - self.jitter, 1 + self.jitter)
            interval = min(self.longest, interval * self.factor)


@dataclass(frozen=True)
class Outage:
    """What happens: every request fails for `seconds`, then the next tier takes `capacity` requests a second."""

    agents: int = 100
    seconds: float = 600.0
    senders: int = 6  # of an agent: two consumers for each signal
    waiting: int = 15  # requests of 2,000 items that each sender has in its queue at the end of the outage
    capacity: float = 100.0  # requests a second that the next tier takes
    timeout: float = 10.0  # of a request


@dataclass(frozen=True)
class Storm:
    """The requests of a run, as seen by the next tier; time 0 is the end of the outage."""

    seconds: Mapping[int, int]  # requests in each second
    busiest_before: int  # requests in the busiest 100 ms of the outage's last minute
    busiest_after: int  # requests in the busiest 100 ms of the first minute after it
    late: int  # requests that failed after the outage, because the next tier was too slow
    all_reached: float  # seconds until every sender had its first answer
    drained: float  # seconds until all queues were empty


def storm(outage: Outage, backoff: Backoff, *, seed: int = 1) -> Storm:
    """Simulate the end of an outage that all agents noticed at the same moment."""
    chance = random.Random(seed)  # noqa: S311 a simulation
    senders = outage.agents * outage.senders
    delays = [backoff.delays(chance) for _ in range(senders)]
    left = [outage.waiting] * senders
    waiting_since_outage = set(range(senders))
    arrivals = [(-outage.seconds, sender) for sender in range(senders)]
    heapq.heapify(arrivals)
    seconds: Counter[int] = Counter()
    tenths: Counter[int] = Counter()
    free_at, late, reached = 0.0, 0, 0.0
    while arrivals:
        now, sender = heapq.heappop(arrivals)
        seconds[int(now // 1)] += 1
        tenths[int(now // 0.1)] += 1
        starts = max(free_at, now)
        if now < 0 or starts - now > outage.timeout:
            late += now >= 0
            heapq.heappush(arrivals, (now + next(delays[sender]), sender))
            continue
        free_at = starts + 1 / outage.capacity
        left[sender] -= 1
        if sender in waiting_since_outage:
            waiting_since_outage.remove(sender)
            reached = free_at
        delays[sender] = backoff.delays(chance)
        if left[sender]:
            heapq.heappush(arrivals, (free_at, sender))
    return Storm(
        seconds,
        busiest_before=max((tenths[tenth] for tenth in range(-600, 0)), default=0),
        busiest_after=max(tenths[tenth] for tenth in range(600)),
        late=late,
        all_reached=reached,
        drained=free_at,
    )


# -- rebalances


@dataclass(frozen=True)
class Rebalances:
    """What a rolling restart costs a consumer group."""

    rebalances: int
    moves: int  # of partitions from one reader to another
    stopped: float  # seconds without a reader, summed over partitions


Assignment = Mapping[int, frozenset[int]]  # reader -> its partitions


def spread(readers: Iterable[int], partitions: int) -> Assignment:
    """In ranges, as Kafka's oldest strategy: it does not know who had what."""
    names = sorted(readers)
    size, rest = divmod(partitions, len(names))
    first, assigned = 0, {}
    for index, name in enumerate(names):
        last = first + size + (index < rest)
        assigned[name] = frozenset(range(first, last))
        first = last
    return assigned


def keep(readers: Iterable[int], partitions: int, before: Assignment) -> Assignment:
    """Every reader keeps what it has, up to a fair share, as the cooperative-sticky strategy does."""
    names = sorted(readers)
    size, rest = divmod(partitions, len(names))
    kept = {name: sorted(before.get(name, ())) for name in names}
    fair = {name: size + (index < rest) for index, name in enumerate(sorted(names, key=lambda one: -len(kept[one])))}
    kept = {name: kept[name][: fair[name]] for name in names}
    loose = sorted(set(range(partitions)).difference(*kept.values()))
    return {
        name: frozenset([*kept[name], *(loose.pop() for _ in range(fair[name] - len(kept[name])))]) for name in names
    }


def rolling_restart(
    readers: int, partitions: int, *, sticky: bool, pause: float = 3.0, killed: bool = False
) -> Rebalances:
    """Every reader leaves and comes back, one after the other.

    Args:
        readers: Of the group.
        partitions: Of the topic.
        sticky: Whether partitions stay where they are, and only those that move stop.
        pause: Seconds that a rebalance takes.
        killed: Whether a reader leaves without a word: its partitions wait for `session_timeout`, 10 s.
    """
    everyone = set(range(readers))
    assigned = spread(everyone, partitions)
    rebalances, moves, stopped = 0, 0, 0.0
    for leaving in sorted(everyone):
        if killed:
            stopped += 10.0 * len(assigned[leaving])
        for members in (everyone - {leaving}, everyone):
            after = keep(members, partitions, assigned) if sticky else spread(members, partitions)
            moved = sum(len(after[name] - assigned.get(name, frozenset())) for name in after)
            rebalances, moves = rebalances + 1, moves + moved
            stopped += pause * (moved if sticky else partitions)
            assigned = after
    return Rebalances(rebalances, moves, stopped)


# -- hot keys

Load = Sequence[tuple[bytes, float]]  # key, items a second


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key, without its sign."""
    magic, mask = 0x5BD1E995, 0xFFFFFFFF
    found = (0x9747B28C ^ len(data)) & mask
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * magic & mask
        word = (word ^ word >> 24) * magic & mask
        found = (found * magic & mask) ^ word
    if rest := data[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * magic & mask
    found = (found ^ found >> 13) * magic & mask
    return (found ^ found >> 15) & 0x7FFFFFFF


def kafka_skew(load: Load, partitions: int) -> float:
    """Load of the busiest partition, divided by the mean."""
    return _skew((murmur2(key) % partitions for key, _items in load), load, partitions)


def ring_skew(load: Load, samplers: int, *, points: int = 200, positions: int = 131_071) -> float:
    """Load of the busiest sampler, divided by the mean, by the load balancer's hash ring."""
    ring = sorted(
        (zlib.crc32(b"10.0.0.%d:4317" % sampler + point.to_bytes(4, "little")) % positions, sampler)
        for sampler in range(samplers)
        for point in range(points)
    )
    places = [place for place, _sampler in ring]

    def of(key: bytes) -> int:
        return ring[bisect_left(places, zlib.crc32(key) % positions) % len(ring)][1]

    return _skew((of(key) for key, _items in load), load, samplers)


def _skew(owners: Iterable[int], load: Load, count: int) -> float:
    totals: defaultdict[int, float] = defaultdict(float)
    for owner, (_key, items) in zip(owners, load, strict=True):
        totals[owner] += items
    return max(totals.values()) / (sum(totals.values()) / count)


def traces(count: int, *, seed: int = 1) -> Load:
    """Traces of equal size, keyed by their ids."""
    chance = random.Random(seed)  # noqa: S311 a simulation
    return [(chance.randbytes(16), 1.0) for _ in range(count)]


def processes(count: int, *, busy: float = 1.0, seed: int = 1) -> Load:
    """Processes keyed by their resource; one of them sends `busy` times as much as each other."""
    chance = random.Random(seed)  # noqa: S311 a simulation
    return [(chance.randbytes(16), busy if number == 0 else 1.0) for number in range(count)]


def services(count: int) -> Load:
    """Services keyed by name, of which each is smaller than the last (Zipf)."""
    return [(b"service-%d" % number, 1 / number) for number in range(1, count + 1)]
