"""What a rule is, before it is a line of YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from monitoring.rules.conditions import Condition

Severity = Literal["critical", "warning", "none"]
Category = Literal["latency", "errors", "saturation", "availability", "business", "security", "telemetry"]


@dataclass(frozen=True)
class Recording:
    """A figure computed ahead; `name` is `level:metric:operations` (Prometheus practices, "Recording rules")."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """A condition that somebody must know of.

    `wait` is how long it must hold, `hold` how long it stays up after it ended, both as Prometheus writes durations.
    `summary` and `description` may use Prometheus templates. `board` is the board that shows it, `variables` what to
    preset there. `because` says in one line why the expression is as it is; it becomes a comment above the rule.
    """

    name: str
    severity: Severity
    category: Category
    condition: Condition
    summary: str
    description: str
    wait: str = "0s"
    hold: str = "0s"
    board: str = "overview"
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    because: str = ""


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, in order, each `interval` seconds."""

    name: str
    rules: tuple[Recording | Alert, ...]
    interval: int | None = None


@dataclass(frozen=True)
class RuleFile:
    """One file for Prometheus; `service` is what its alerts carry as the label of that name."""

    name: str
    service: str
    groups: tuple[Group, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Its alerts, in order."""
        return tuple(rule for group in self.groups for rule in group.rules if isinstance(rule, Alert))

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Its recording rules, in order."""
        return tuple(rule for group in self.groups for rule in group.rules if isinstance(rule, Recording))
