"""Series that the catalogue declares and the example does not emit: it streams no answers, and has no repeated queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from blogauto_otel.api.catalogue import spec
from monitoring.parameters import BLOGAUTO
from monitoring.verification.replay import Key, Measured

FIRST: Final = "gen_ai.client.operation.time_to_first_chunk"
CALLS: Final = BLOGAUTO.metric("gen_ai.client.operation.duration") + "_count"

# By kind of request: seconds until the first part of each answer, and repeated queries by route.
SECONDS: Final[Mapping[str, float]] = {"normal": 0.004, "slow": 9.5}
REPEATED: Final[Mapping[str, Mapping[str, float]]] = {"bugs": {"/api/content/saved": 24.0}}

Increase = tuple[str, Mapping[str, str], float]  # name, labels, amount


def with_not_measured(measured: Measured) -> Measured:
    """The same, with the increases of these series for each kind."""
    added = {
        kind: replace(one, counters={**one.counters, **_counters(measured, kind)})
        for kind, one in measured.added.items()
    }
    return replace(measured, added=added)


def _counters(measured: Measured, kind: str) -> Mapping[Key, float]:
    increases = [*_first_parts(measured, kind), *_repeated(measured, kind)]
    return {(name, tuple(sorted(labels.items()))): amount for name, labels, amount in increases}


def _first_parts(measured: Measured, kind: str) -> Iterator[Increase]:
    for (name, labels), calls in measured.added[kind].counters.items():
        if name == CALLS and kind in SECONDS:
            yield from _histogram(FIRST, dict(labels), SECONDS[kind], calls)


def _histogram(name: str, labels: Mapping[str, str], value: float, times: float) -> Iterator[Increase]:
    series = BLOGAUTO.metric(name)
    for edge in spec(name).boundaries:
        yield f"{series}_bucket", {**labels, "le": f"{edge:g}"}, times * (value <= edge)
    yield f"{series}_bucket", {**labels, "le": "+Inf"}, times
    yield f"{series}_count", labels, times
    yield f"{series}_sum", labels, times * value


def _repeated(measured: Measured, kind: str) -> Iterator[Increase]:
    """With the labels that all series of the example's process have."""
    name = BLOGAUTO.metric("keywords.analyzed")
    process = next(dict(labels) for one, labels in measured.present if one == name)
    for route, count in REPEATED.get(kind, {}).items():
        yield BLOGAUTO.metric("db.repeated_queries"), {**process, "route": route}, count
