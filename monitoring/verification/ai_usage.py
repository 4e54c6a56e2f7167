"""What AI calls add to the series of their kinds of requests: the catalogue declares them, the example does not emit them yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from blogauto_otel.api.catalogue import spec
from monitoring.parameters import BLOGAUTO
from monitoring.verification.replay import Key, Measured

Increase = tuple[str, Mapping[str, str], float]  # name, labels, amount

_OPENAI, _GEMINI = ("openai", "gpt-5-mini"), ("gcp.gemini", "gemini-3-flash")

# By kind of request: provider and model, seconds, seconds to the first token, tokens in and out, cost, and the error.
CALLS: Final[Mapping[str, Sequence[tuple[tuple[str, str], float, float, int, int, float, str]]]] = {
    "normal": ((_OPENAI, 6.2, 0.7, 820, 1900, 0.00058, ""), (_GEMINI, 3.4, 0.4, 860, 1700, 0.00034, "")),
    "slow": ((_OPENAI, 38.0, 9.5, 900, 2100, 0.00065, ""),),
    "content_failures": ((_OPENAI, 10.1, 0, 0, 0, 0, "503"), (_OPENAI, 0.2, 0, 0, 0, 0, "429")),
}
REPEATED: Final = {"bugs": {"/api/content/saved": 24.0}}


def with_ai_usage(measured: Measured) -> Measured:
    """The same, with the counters of AI calls and repeated queries of each kind."""
    name = BLOGAUTO.metric("keywords.analyzed")
    process = next(dict(labels) for one, labels in measured.present if one == name)
    added = {
        kind: replace(one, counters={**one.counters, **_counters(kind, process)})
        for kind, one in measured.added.items()
    }
    return replace(measured, added=added)


def _counters(kind: str, process: Mapping[str, str]) -> Mapping[Key, float]:
    """`process` are the labels of every series of the example's process."""
    totals: dict[Key, float] = {}
    for name, labels, amount in (*_calls(kind), *_repeated(kind)):
        key = name, tuple(sorted({**process, **labels}.items()))
        totals[key] = totals.get(key, 0.0) + amount
    return totals


def _calls(kind: str) -> Iterator[Increase]:
    for (provider, model), seconds, first, given, written, cost, error in CALLS.get(kind, ()):
        call = {"gen_ai_provider_name": provider, "gen_ai_request_model": model, "gen_ai_operation_name": "chat"}
        failed = {"error_type": error} if error else {}
        yield from _histogram("gen_ai.client.operation.duration", call | failed, seconds)
        if error:
            continue
        yield from _histogram("gen_ai.client.operation.time_to_first_chunk", call, first)
        for kind_of_token, count in (("input", given), ("output", written)):
            yield from _histogram("gen_ai.client.token.usage", call | {"gen_ai_token_type": kind_of_token}, count)
        spent = {"provider": provider, "model": model, "operation": "content.generate", "currency": "USD"}
        yield BLOGAUTO.metric("ai.cost"), spent, cost


def _histogram(name: str, labels: Mapping[str, str], value: float) -> Iterator[Increase]:
    series = BLOGAUTO.metric(name)
    for edge in spec(name).boundaries:
        yield f"{series}_bucket", {**labels, "le": f"{edge:g}"}, float(value <= edge)
    yield f"{series}_bucket", {**labels, "le": "+Inf"}, 1.0
    yield f"{series}_count", labels, 1.0
    yield f"{series}_sum", labels, float(value)


def _repeated(kind: str) -> Iterator[Increase]:
    for route, count in REPEATED.get(kind, {}).items():
        yield BLOGAUTO.metric("db.repeated_queries"), {"route": route}, count
