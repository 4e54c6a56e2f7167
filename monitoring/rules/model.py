"""What a rule is, before it is a line of YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from monitoring.rules.conditions import Condition

Severity = Literal["critical", "warning", "none"]
Category = Literal["latency", "errors", "saturation", "availability", "business", "security", "telemetry"]


@dataclass(frozen=True)
class Recording:
    """A figure computed ahead; `name` is `level:metric:operations` (Prometheus practices, "Recording rules")."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


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

    def only(self, alert: Alert, *, instead: Alert | None = None) -> RuleFile:
        """One alert, or another in its place, and the recording rules that it reads."""
        kept = instead or alert
        read = self.read_by(str(kept.condition))
        groups = (
            replace(
                group, rules=tuple(_kept(rule, alert, kept) for rule in group.rules if rule is alert or rule in read)
            )
            for group in self.groups
        )
        return replace(self, groups=tuple(group for group in groups if group.rules))

    def read_by(self, expression: str) -> tuple[Recording, ...]:
        """The recording rules that an expression reads, by itself or through others."""
        names = set(_RECORDED.findall(expression))
        found = tuple(recording for recording in self.recordings if recording.name in names)
        deeper = " ".join(recording.expression for recording in found)
        return tuple(dict.fromkeys((*found, *(self.read_by(deeper) if deeper else ()))))


_RECORDED: Final = re.compile(r"\w+:\w+:\w+")


def _kept(rule: Recording | Alert, alert: Alert, kept: Alert) -> Recording | Alert:
    return kept if rule is alert else rule
