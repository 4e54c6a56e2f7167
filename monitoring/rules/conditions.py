"""When an alert fires, as a tree: it is written out as PromQL, and mutated to see whether a test would notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from monitoring.parameters import spell

Operator = Literal[">", ">=", "<", "=="]

# The opposite test, for mutants.
FLIPPED: dict[Operator, Operator] = {">": "<", ">=": "<", "<": ">", "==": ">"}


@dataclass(frozen=True)
class Compare:
    """A figure against a limit."""

    value: str
    operator: Operator
    limit: float

    def __str__(self) -> str:
        """PromQL."""
        return f"{self.value} {self.operator} {spell(self.limit)}"


@dataclass(frozen=True)
class Holds:
    """A condition without a number: `absent(...)`."""

    expression: str

    def __str__(self) -> str:
        """PromQL."""
        return self.expression


@dataclass(frozen=True)
class Every:
    """The first part is what the alert is about; the others are guards, and all must hold."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        """PromQL."""
        return " and ".join(f"({part})" if isinstance(part, Either) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Either:
    """Any part is enough."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        """PromQL."""
        return " or ".join(map(str, self.parts))


Condition = Compare | Holds | Every | Either


def comparisons(condition: Condition) -> Iterator[Compare]:
    """Every comparison in it, from left to right."""
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, (Every, Either)):
        for part in condition.parts:
            yield from comparisons(part)


def mutants(condition: Condition) -> Iterator[tuple[str, Condition]]:
    """Wrong versions of it, each with one change and its name: what a careless edit would make of it."""
    if isinstance(condition, Compare):
        yield from _wrong_comparisons(condition)
    elif isinstance(condition, (Every, Either)):
        kind = type(condition)
        for index, part in enumerate(condition.parts):
            others = (*condition.parts[:index], *condition.parts[index + 1 :])
            yield f"without '{part}'", others[0] if len(others) == 1 else kind(others)
            for name, changed in mutants(part):
                yield name, kind((*condition.parts[:index], changed, *condition.parts[index + 1 :]))


def _wrong_comparisons(condition: Compare) -> Iterator[tuple[str, Condition]]:
    short = str(condition)
    if condition.limit:
        yield f"half of '{short}'", replace(condition, limit=condition.limit / 2)
        yield f"twice '{short}'", replace(condition, limit=condition.limit * 2)
    yield f"'{short}' flipped", replace(condition, operator=FLIPPED[condition.operator])
