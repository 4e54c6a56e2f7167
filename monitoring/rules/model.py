"""Recording rules, alerts, groups and rule files, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from monitoring.rules.conditions import Condition

Severity = Literal["critical", "warning", "none"]
Category = Literal["latency", "errors", "saturation", "availability", "business", "security", "telemetry"]


@dataclass(frozen=True)
class RecordingRule:
    """A series that Prometheus computes; `name` is `level:metric:operations` (Prometheus practices, "RecordingRule rules")."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Alert:
    """An alerting rule.

    `pending_for` is Prometheus's `for`, `keep_firing_for` its setting of that name. `summary` and `description` may use
    Prometheus templates. `board` is the board that `dashboard_url` opens, `variables` what it presets there. `comment`
    says why the expression is as it is and stands above the rule in the file.
    """

    name: str
    severity: Severity
    category: Category
    condition: Condition
    summary: str
    description: str
    pending_for: str = "0s"
    keep_firing_for: str = "0s"
    board: str = "overview"
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, in order, each `interval` seconds."""

    name: str
    rules: tuple[RecordingRule | Alert, ...]
    interval: int | None = None


@dataclass(frozen=True)
class RuleFile:
    """One rule file; `service` is the label of that name on its alerts."""

    name: str
    service: str
    groups: tuple[Group, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Its alerts, in order."""
        return tuple(rule for group in self.groups for rule in group.rules if isinstance(rule, Alert))

    @property
    def recordings(self) -> tuple[RecordingRule, ...]:
        """Its recording rules, in order."""
        return tuple(rule for group in self.groups for rule in group.rules if isinstance(rule, RecordingRule))

    def only(self, alert: Alert, *, instead: Alert | None = None) -> RuleFile:
        """A file with one alert (or `instead` of it) and the recording rules that it reads."""
        wanted = instead or alert
        read = self.read_by(str(wanted.condition))
        groups = (
            replace(
                group,
                rules=tuple(_replaced(rule, alert, wanted) for rule in group.rules if rule is alert or rule in read),
            )
            for group in self.groups
        )
        return replace(self, groups=tuple(group for group in groups if group.rules))

    def read_by(self, expression: str) -> tuple[RecordingRule, ...]:
        """The recording rules that an expression reads, by itself or through others."""
        names = set(_RECORDED.findall(expression))
        found = tuple(recording for recording in self.recordings if recording.name in names)
        deeper = " ".join(recording.expression for recording in found)
        return tuple(dict.fromkeys((*found, *(self.read_by(deeper) if deeper else ()))))


_RECORDED: Final = re.compile(r"\w+:\w+:\w+")


def _replaced(rule: RecordingRule | Alert, alert: Alert, wanted: Alert) -> RecordingRule | Alert:
    return wanted if rule is alert else rule
