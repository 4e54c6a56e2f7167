"""Tokens and cost of the demos' articles: computed by hand from the words, to compare with what the telemetry says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from blogauto_otel.api.ai import PROVIDERS
from examples.blog.outside import MODELS
from examples.blog.simulators import article, tokens
from examples.blog_process import PRICES
from examples.terminal import Terminal

MILLION: Final = 1_000_000
COST_DECIMALS: Final = 9  # sums of floats differ beyond


@dataclass(frozen=True)
class Usage:
    """The use of one model: tokens, and cost in the currency of the price table."""

    input: int = 0
    output: int = 0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input + other.input, self.output + other.output, self.cost + other.cost)

    @property
    def rounded(self) -> Usage:
        """With a cost that can be compared."""
        return Usage(self.input, self.output, round(self.cost, COST_DECIMALS))


def by_hand(articles: Iterable[tuple[str, str]]) -> Mapping[str, Usage]:
    """The use by model, from topic and provider of every article and the prices of the file."""
    used: dict[str, Usage] = {}
    for topic, provider in articles:
        model = MODELS[provider][0]
        used[model] = used.get(model, Usage()) + _of(topic, provider, model)
    return used


def _of(topic: str, provider: str, model: str) -> Usage:
    price = json.loads(PRICES.read_text())["prices"][PROVIDERS.get(provider, provider)][model]
    given, written = tokens(topic), tokens(article(topic))
    return Usage(given, written, (given * price["input"] + written * price["output"]) / MILLION)


def compare(terminal: Terminal, told: Mapping[str, Usage], computed: Mapping[str, Usage], *, articles: int) -> bool:
    """A table of what the telemetry tells and what was computed by hand; True when both are equal."""
    currency = json.loads(PRICES.read_text())["currency"]
    rows = [("model", "from", "input tokens", "output tokens", f"cost, {currency}")]
    for model in sorted({*told, *computed}):
        for source, usage in (("telemetry", told), ("by hand", computed)):
            one = usage.get(model, Usage())
            rows.append((model, source, str(one.input), str(one.output), f"{one.cost:.6f}"))
    terminal.table(rows, right=(2, 3, 4))
    equal = _rounded(told) == _rounded(computed)
    verdict = terminal.paint("equal", "green") if equal else terminal.paint("not equal", "red")
    cost = sum(one.cost for one in told.values())
    terminal.line(f"\n  {verdict}; {articles} articles, {cost / articles:.6f} {currency} each")
    return equal


def _rounded(usage: Mapping[str, Usage]) -> Mapping[str, Usage]:
    return {model: one.rounded for model, one in usage.items()}
