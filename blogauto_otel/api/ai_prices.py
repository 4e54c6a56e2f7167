"""Prices of AI models: the user's own file, per million tokens, in one currency.

    {"currency": "USD", "date": "2026-11-01", "rates": {"KRW": 1390},
     "prices": {"openai": {"gpt-5-mini": {"input": 0.25, "cached_input": 0.025, "output": 2.0}}}}

`rates` says how much one unit of the file's currency is worth in others; the setting chooses one of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel._dataclass import dataclass

MILLION: Final = 1_000_000
MAX_FILE: Final = 2**20  # bytes
MAX_MODELS: Final = 2_000


@dataclass(frozen=True)
class Price:
    """Price of a model for a million tokens."""

    input: float
    output: float
    cached_input: float

    def cost(self, *, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0) -> float:
        """Cost of one call; the cached tokens are among the input tokens."""
        cached = min(cached_input_tokens, input_tokens)
        total = (input_tokens - cached) * self.input + cached * self.cached_input + output_tokens * self.output
        return total / MILLION


@dataclass(frozen=True)
class PriceTable:
    """Prices by provider and model."""

    currency: str
    date: str = ""
    prices: Mapping[str, Mapping[str, Price]] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        return sum(map(len, self.prices.values()))

    def price(self, provider: str, *models: str | None) -> Price | None:
        """The price of the first of the models that has one: its own, or that of the longest name it begins with.

        Providers answer with dated names: `gpt-5-mini-2026-08-07` costs what `gpt-5-mini` does.
        """
        known = self.prices.get(provider, {})
        for model in filter(None, models):
            if model in known:
                return known[model]
            names = [name for name in known if model.startswith(f"{name}-")]
            if names:
                return known[max(names, key=len)]
        return None


def read_prices(path: Path, currency: str | None = None) -> PriceTable:
    """Read the file of prices.

    Args:
        path: the JSON file.
        currency: the currency of the costs; by default that of the file.

    Raises:
        ValueError: the file cannot be read or used; the message names the place in it.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_FILE))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("prices"), dict):
        raise ValueError(f'{path}: expected {{"currency": ..., "prices": {{provider: {{model: ...}}}}}}')
    own = str(document.get("currency", "USD"))
    rate = _rate(path, document, own, currency or own)
    prices = {
        str(provider): MappingProxyType(
            {str(model): _price(f"{path}: {provider} {model}", one, rate) for model, one in models.items()}
        )
        for provider, models in document["prices"].items()
        if isinstance(models, dict)
    }
    table = PriceTable(currency or own, str(document.get("date", "")), MappingProxyType(prices))
    if len(table) > MAX_MODELS:
        raise ValueError(f"{path}: {len(table)} models; at most {MAX_MODELS} are read")
    return table


def _rate(path: Path, document: Mapping[str, Any], own: str, wanted: str) -> float:
    if wanted == own:
        return 1.0
    rates = document.get("rates")
    rate = _amount(rates.get(wanted)) if isinstance(rates, dict) else None
    if not rate:
        raise ValueError(f'{path}: prices are in {own}; "rates" has no number for {wanted}')
    return rate


def _price(where: str, given: object, rate: float) -> Price:
    found = given if isinstance(given, dict) else {}
    fresh = _amount(found.get("input"))
    written = _amount(found.get("output", 0))
    cached = _amount(found.get("cached_input", fresh))
    if fresh is None or written is None or cached is None:
        raise ValueError(f'{where}: expected {{"input": ..., "output": ...}} per million tokens, found {given!r}')
    return Price(input=fresh * rate, output=written * rate, cached_input=cached * rate)


def _amount(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value >= 0 else None  # type: ignore[arg-type,operator]
