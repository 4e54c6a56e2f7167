"""The condition of an alert as a tree: written as PromQL, and mutated by the mutation tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from monitoring.parameters import promql_number

Operator = Literal[">", ">=", "<", "=="]

# The opposite comparison, for mutants.
FLIPPED: dict[Operator, Operator] = {">": "<", ">=": "<", "<": ">", "==": ">"}


@dataclass(frozen=True)
class Comparison:
    """A PromQL value compared with a limit."""

    value: str
    operator: Operator
    limit: float

    def __str__(self) -> str:
        """PromQL."""
        return f"{self.value} {self.operator} {promql_number(self.limit)}"


@dataclass(frozen=True)
class Expr:
    """Any other PromQL expression, such as `absent(...)`."""

    expression: str

    def __str__(self) -> str:
        """PromQL."""
        return self.expression


@dataclass(frozen=True)
class And:
    """All parts must be true. The first gives the alert its value and labels; the others are guards."""

    parts: tuple[Condition, ...]
    on: str = ""  # the labels that must be equal; all of them by default

    def __str__(self) -> str:
        """PromQL."""
        operator = f" and on ({self.on}) " if self.on else " and "
        return operator.join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Or:
    """At least one part must be true."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        """PromQL."""
        return " or ".join(map(str, self.parts))


Condition = Comparison | Expr | And | Or


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Every comparison in it, from left to right."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, (And, Or)):
        for part in condition.parts:
            yield from comparisons(part)


def mutants(condition: Condition) -> Iterator[tuple[str, Condition]]:
    """Wrong versions of a condition, by name, each with one careless change."""
    if isinstance(condition, Comparison):
        yield from _wrong_comparisons(condition)
    elif isinstance(condition, (And, Or)):
        for index, part in enumerate(condition.parts):
            others = (*condition.parts[:index], *condition.parts[index + 1 :])
            yield f"without '{part}'", others[0] if len(others) == 1 else replace(condition, parts=others)
            for name, changed in mutants(part):
                yield (
                    name,
                    replace(condition, parts=(*condition.parts[:index], changed, *condition.parts[index + 1 :])),
                )


def _wrong_comparisons(condition: Comparison) -> Iterator[tuple[str, Condition]]:
    short = str(condition)
    if condition.limit:
        yield f"half of '{short}'", replace(condition, limit=condition.limit / 2)
        yield f"twice '{short}'", replace(condition, limit=condition.limit * 2)
    yield f"'{short}' flipped", replace(condition, operator=FLIPPED[condition.operator])
