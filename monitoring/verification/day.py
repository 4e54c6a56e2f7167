"""A day of a small shop, composed from the measured traffic: peaks before noon and in the evening, and three incidents.

| when | what happens |
|---|---|
| 10:20 to 11:05 | the AI provider is slow, and fails |
| 14:10 to 14:40 | version 1.5.0 fails, blocks its event loop and loses posts, until it is rolled back |
| 19:50 to the end | somebody guesses passwords |

The same measurements give the same day: how often each kind of request arrives is a function of the time.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from monitoring.metrics import known_metrics, sdk_metric
from monitoring.parameters import BLOGAUTO, SCRAPE_INTERVAL
from monitoring.verification.replay import EXPORTS, Exemplar, Key, LogLine, Measured, measure

END: Final = int(datetime(2026, 11, 3, 20, 30, tzinfo=timezone.utc).timestamp())
BEGIN: Final = END - 86400
HISTORY: Final = 29  # days before it, of what is counted by day

# Seconds between samples: few over the day, all in its last hour, and all of what changes at an instant.
COARSE, FINE, DAILY = 120, 2 * SCRAPE_INTERVAL, 240
TIMES: Final = (*range(BEGIN, END - 3600, COARSE), *range(END - 3600, END + 1, FINE))
EVERY: Final = tuple(range(BEGIN, END + 1, FINE))

# Tenths of the peak for each hour of a working day, from midnight.
TENTHS: Final = (1, 1, 0, 0, 0, 1, 2, 4, 7, 9, 10, 9, 6, 7, 8, 8, 7, 6, 6, 8, 9, 7, 4, 2)
WEEKEND: Final = 0.35


def at(clock: str) -> int:
    """The moment of the last of both days: `14:10`."""
    hour, minute = clock.split(":")
    return END - END % 86400 + int(hour) * 3600 + int(minute) * 60


SLOW: Final = (at("10:20"), at("11:05"))
RELEASE: Final = (at("14:10"), at("14:40"))
ATTACK: Final = (at("19:50"), END + 1)

VERSIONS: Final = ((BEGIN, "1.4.2"), (RELEASE[0], "1.5.0"), (RELEASE[1], "1.4.2"))  # each begins with a restart


@dataclass(frozen=True)
class Series:
    """One series with its samples: Unix seconds and values."""

    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class RecordedTraffic:
    """A day: every series, exemplars with their times, and log lines."""

    series: Sequence[Series]
    exemplars: Sequence[tuple[int, Exemplar]]
    logs: Sequence[LogLine]


def record_day(folder: Path) -> RecordedTraffic:
    """Measure every kind of request, and compose the day."""
    return compose(measure(folder))


# --- how often each kind of request arrives ------------------------------------------------------------------------------


def load(when: int) -> float:
    """The traffic as a part of the peak, from 0 to 1."""
    day, second = divmod(when, 86400)
    hour, part = divmod(second / 3600, 1)
    tenths = TENTHS[int(hour)] * (1 - part) + TENTHS[(int(hour) + 1) % 24] * part
    waves = 0.06 * math.sin(when / 410) + 0.04 * math.sin(when / 173)
    is_weekend = (day + 4) % 7 in {0, 6}  # the first of January 1970 was a Thursday
    return max(0.02, (tenths / 10 + waves) * (WEEKEND if is_weekend else 1))


def during(incident: tuple[int, int], when: int) -> bool:
    """Whether it goes on then."""
    return incident[0] <= when < incident[1]


def rarely(when: int) -> float:
    """Once in a while, and only by day: at night one failure of few requests would be an alert."""
    return 0.02 if load(when) > 0.4 else 0.0


# Requests or sessions per minute.
RATES: Final[Mapping[str, Callable[[int], float]]] = {
    "normal": lambda when: 0.1 + 3.4 * load(when) * (0.6 if during(SLOW, when) or during(RELEASE, when) else 1),
    "lost": lambda when: 0.2 + 0.4 * load(when),
    "slow": lambda when: 1.6 * during(SLOW, when),
    "content_failures": lambda when: 0.9 * during(SLOW, when) + rarely(when),
    "ai_limits": lambda when: 0.5 * during(SLOW, when) + rarely(when),
    "api_key_failures": lambda when: 1.6 * during(SLOW, when) + rarely(when),
    "bugs": lambda when: 5.0 * during(RELEASE, when) + 0.02 * load(when),
    "repeated_queries": lambda when: 2.0 * during(RELEASE, when) + 0.1 * load(when),
    "wordpress_failures": lambda when: 1.4 * during(RELEASE, when) + rarely(when),
    "blocking": lambda when: 28.0 * during(RELEASE, when),
    "failed_logins": lambda when: 4.0 * during(ATTACK, when) + 0.03 * load(when),
    "attacks": lambda when: 1.2 * during(ATTACK, when),
    "rate_limited": lambda when: 0.3 * during(ATTACK, when),
    EXPORTS: lambda _: 60 / SCRAPE_INTERVAL,
}


@dataclass(frozen=True)
class Arrivals:
    """How many requests of a kind have arrived, by time."""

    times: Sequence[int]
    totals: Sequence[int]

    def until(self, when: int) -> int:
        """Those that arrived until then."""
        index = bisect.bisect_right(self.times, when)
        return self.totals[index - 1] if index else 0


def arrivals(kind: str) -> Arrivals:
    """The requests of a kind over the day."""
    totals = itertools.accumulate(RATES[kind](when) * FINE / 60 for when in EVERY)
    return Arrivals(EVERY, [int(total) for total in totals])


# --- composing -----------------------------------------------------------------------------------------------------------


def compose(measured: Measured) -> RecordedTraffic:
    """The day from what was measured."""
    arrived = {kind: arrivals(kind) for kind in measured.added}
    composer = _Composer(measured, arrived)
    return RecordedTraffic(
        list(composer.series()), list(_exemplars(measured, arrived)), sorted(_logs(measured, arrived), key=_time)
    )


class _Composer:
    def __init__(self, measured: Measured, arrived: Mapping[str, Arrivals]) -> None:
        self._measured = measured
        self._added: dict[Key, dict[str, float]] = {}
        for kind, added in measured.added.items():
            for key, amount in added.counters.items():
                self._added.setdefault(key, {})[kind] = amount
        # By version; "" is what no release of the service restarts.
        self._moments = {
            version: [
                (when, _version(when)[0] if version else BEGIN)
                for when in TIMES
                if not version or _version(when)[1] == version
            ]
            for version in ("", *(version for _, version in VERSIONS))
        }
        self._counts = {
            version: {
                kind: [one.until(when) - one.until(since) for when, since in moments] for kind, one in arrived.items()
            }
            for version, moments in self._moments.items()
        }

    def series(self) -> Iterator[Series]:
        """Every series of the day."""
        for key in sorted({*self._measured.present, *self._added}):
            name, labels = key
            of_service = dict(labels).get("job") == BLOGAUTO.job and "service_version" in dict(labels)
            for version in sorted({version for _, version in VERSIONS}) if of_service else ("",):
                points = self._points(key, version)
                if points:
                    yield Series(name, dict(labels) | ({"service_version": version} if version else {}), points)
        for exporter in ("pg_up", "redis_up"):
            yield Series(
                exporter, {"job": exporter.split("_")[0], "instance": f"{exporter}:9187"}, [(one, 1.0) for one in TIMES]
            )

    def _points(self, key: Key, version: str) -> list[tuple[int, float]]:
        if _type(key[0]) == "counter":
            return [*self._history(key, version), *self._counter(key, version)]
        value = _gauge(key, self._measured.present.get(key, 0.0))
        times = EVERY if key[0] in SHARP else TIMES
        return [(when, value(when)) for when in times if not version or _version(when)[1] == version]

    def _counter(self, key: Key, version: str) -> Iterator[tuple[int, float]]:
        amounts = self._added.get(key, {})
        offset = self._before(key) if version == VERSIONS[0][1] else 0.0
        was_present = key in self._measured.present
        counts = [self._counts[version][kind] for kind in amounts]
        for (when, since), *arrived in zip(self._moments[version], *counts, strict=True):
            if was_present or any(arrived):
                total = sum(amount * count for amount, count in zip(amounts.values(), arrived, strict=True))
                yield when, total + (offset if since == BEGIN else 0.0)

    def _history(self, key: Key, version: str) -> Iterator[tuple[int, float]]:
        if key[0] in COUNTED_BY_DAY and version == VERSIONS[0][1]:
            total = 0.0
            for when in range(BEGIN - HISTORY * 86400, BEGIN, DAILY):
                total += self._each_session(key) * RATES["normal"](when) * DAILY / 60
                yield when, float(math.floor(total)) if "_ai_" not in key[0] and "gen_ai" not in key[0] else total

    def _before(self, key: Key) -> float:
        return max((value for _, value in self._history(key, VERSIONS[0][1])), default=0.0)

    def _each_session(self, key: Key) -> float:
        return self._added.get(key, {}).get("normal", 0.0)


def _version(when: int) -> tuple[int, str]:
    """When the process of that time started, and its version."""
    return [one for one in VERSIONS if one[0] <= when][-1] if when >= BEGIN else VERSIONS[0]


_KNOWN: Final = known_metrics(BLOGAUTO)


def _type(name: str) -> str:
    return _KNOWN[name].type if name in _KNOWN else "gauge"


COUNTED_BY_DAY: Final = frozenset(
    {
        *(
            BLOGAUTO.metric(name)
            for name in (
                "content.generated",
                "titles.generated",
                "keywords.analyzed",
                "wordpress.posts.published",
                "api_keys.stored",
                "ai.cost",
            )
        ),
    }
)

# Gauges whose changes mark a moment on every panel.
SHARP: Final = frozenset({sdk_metric("process.start_time"), "target_info"})

GIB, MIB = 2**30, 2**20


def _used(when: int) -> float:
    return (2.1 + 0.7 * load(when)) * GIB


# This machine's load says nothing about the shop.
GAUGES: Final[Mapping[str, Callable[[int], float]]] = {
    BLOGAUTO.metric("cpu.usage"): lambda when: 8 + 44 * load(when) + 24 * during(RELEASE, when),
    BLOGAUTO.metric("memory.usage"): _used,
    BLOGAUTO.metric("memory.available"): lambda when: 4 * GIB - _used(when),
    BLOGAUTO.metric("memory.total"): lambda _: 4.0 * GIB,
    BLOGAUTO.metric("disk.usage"): lambda when: 61 + 0.4 * (when - BEGIN) / 86400,
    BLOGAUTO.metric("active_connections"): lambda when: round(12 + 25 * load(when) + 20 * during(ATTACK, when)),
    BLOGAUTO.metric("blocked_ips_total"): lambda when: (
        float((when - ATTACK[0]) // 900 + 1) if during(ATTACK, when) else 0.0
    ),
    BLOGAUTO.metric("process.memory.usage"): lambda when: (
        (168 + 22 * load(when) + 9 * (when - _version(when)[0]) / 86400) * MIB
    ),
    BLOGAUTO.metric("process.unix.file_descriptor.count"): lambda when: round(21 + 18 * load(when)),
    sdk_metric("process.start_time"): lambda when: float(_version(when)[0]),
}


def _gauge(key: Key, measured: float) -> Callable[[int], float]:
    name, labels = key
    if name == BLOGAUTO.metric("api.requests.in_progress"):
        is_slow = "generate" in dict(labels).get("endpoint", "")
        return lambda when: round(1.4 * load(when) + 2 * during(SLOW, when)) if is_slow else round(0.6 * load(when))
    if name == BLOGAUTO.metric("db.client.connection.count"):
        is_used = dict(labels).get("db_client_connection_state") == "used"
        return lambda when: round(3 * load(when) + 5 * during(SLOW, when)) if is_used else round(5 - 3 * load(when))
    return GAUGES.get(name, lambda _: measured)


def _exemplars(measured: Measured, arrived: Mapping[str, Arrivals]) -> Iterator[tuple[int, Exemplar]]:
    """Those of a kind again and again, whenever some of its requests arrived."""
    for kind, added in measured.added.items():
        found = itertools.cycle(added.exemplars) if added.exemplars else iter(())
        yield from zip(_moments(arrived[kind], 240), found, strict=False)


def _moments(arrived: Arrivals, most: int) -> list[int]:
    """When requests arrived; at most so many moments."""
    totals = arrived.totals
    moments = [when for index, when in enumerate(arrived.times) if index and totals[index] > totals[index - 1]]
    return moments[:: max(1, len(moments) // most)]


def _logs(measured: Measured, arrived: Mapping[str, Arrivals]) -> Iterator[LogLine]:
    for kind, added in measured.added.items():
        serious = [line for line in added.logs if line.level not in {"info", "debug"}]
        for when in _moments(arrived[kind], 400) if serious else ():
            yield from (replace(line, time=when + offset * 0.2) for offset, line in enumerate(serious))


def _time(line: LogLine) -> float:
    return line.time


# --- writing -------------------------------------------------------------------------------------------------------------


def openmetrics(series: Sequence[Series]) -> Iterator[str]:
    """Lines for `promtool tsdb create-blocks-from openmetrics`, which ignores types."""
    for one in sorted(series, key=lambda entry: (entry.name, sorted(entry.labels.items()))):
        pairs = ",".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()))
        yield from (f"{one.name}{{{pairs}}} {value!r} {when}\n" for when, value in sorted(one.points))
    yield "# EOF\n"
