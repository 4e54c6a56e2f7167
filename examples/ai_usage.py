"""Tokens and cost of the demos' AI calls: computed by hand, to compare with what the telemetry says."""

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
    return priced(PROVIDERS.get(provider, provider), model, tokens(topic), tokens(article(topic)))


def priced(provider: str, model: str, given: int, written: int) -> Usage:
    """The use of one call, at the price of the file; `provider` as the semantic conventions name it."""
    price = json.loads(PRICES.read_text())["prices"][provider][model]
    return Usage(given, written, (given * price["input"] + written * price["output"]) / MILLION)


def compare(
    terminal: Terminal, reported: Mapping[str, Usage], computed: Mapping[str, Usage], *, number: int, of: str
) -> bool:
    """A table of what the telemetry tells and what was computed by hand; True when both are equal.

    Args:
        terminal: to print to.
        reported: use by model, from the telemetry.
        computed: the same by hand.
        number: how many things the cost is divided by; 0 for none.
        of: what they are called, such as `articles`.
    """
    currency = json.loads(PRICES.read_text())["currency"]
    rows = [("model", "from", "input tokens", "output tokens", f"cost, {currency}")]
    for model in sorted({*reported, *computed}):
        for source, usage in (("telemetry", reported), ("by hand", computed)):
            one = usage.get(model, Usage())
            rows.append((model, source, str(one.input), str(one.output), f"{one.cost:.6f}"))
    terminal.table(rows, right=(2, 3, 4))
    equal = _rounded(reported) == _rounded(computed)
    verdict = terminal.paint("equal", "green") if equal else terminal.paint("not equal", "red")
    cost = sum(one.cost for one in reported.values())
    terminal.line(f"\n  {verdict}; {number} {of}, {cost / max(1, number):.6f} {currency} each")
    return equal


def _rounded(usage: Mapping[str, Usage]) -> Mapping[str, Usage]:
    return {model: one.rounded for model, one in usage.items()}
