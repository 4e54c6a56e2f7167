"""What an alert consists of: the rule, the way to trigger it, and the unit tests that promtool runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from monitoring.rules.model import Alert, Category, Severity

RUNBOOKS_URL: Final = "http://localhost:3001/public/runbooks"
BOARDS_URL: Final = "http://localhost:3001/d"


@dataclass(frozen=True)
class Trigger:
    """How to make an alert fire on the example: by traffic, or by a command. The runbook prints the command where there is one.

    `how` completes "send ..." without a command, and is a sentence otherwise. An alert with `drill=True` can be tried by
    `python -m monitoring drill`. `threshold` is for what cannot be caused safely or in a
    minute, such as a full disk: a field of `Thresholds`, a value that every machine exceeds, and one that none does.
    """

    how: str
    traffic: tuple[str, ...] = ()
    command: str = ""
    drill: bool = False
    in_tiers: bool = False  # the drill is `monitoring.tier_drill`
    drill_phase: Literal[1, 2, 3] = (
        1  # 2: failures, which hide slow answers of the same endpoint; 3: what stops all others
    )
    threshold: tuple[str, float, float] | None = None


def stop_command(name: str) -> str:
    """Stop one service of docker-compose.yml."""
    return f"docker compose stop {name}"


def restart_command(*variables: str) -> str:
    """Start the example again with these environment variables, which `docker compose up` does not pass through."""
    given = " ".join(f"-e {variable}" for variable in variables)
    return (
        "docker compose --profile demo rm --stop --force backend"
        f"\ndocker compose --profile demo run --detach --use-aliases --service-ports {given} backend"
    )


@dataclass(frozen=True)
class ExpectedAlert:
    """One firing alert: its labels, without those that `UnitTests` holds for all, and its texts."""

    labels: Mapping[str, str]
    summary: str
    description: str


@dataclass(frozen=True)
class Case:
    """One unit test: input series, and what fires at the time `at`.

    Times are counted from the first sample. Values are in promtool's notation: `0+2x80` starts at 0 and grows by 2
    eighty times. Without `expected` the alert must not fire; `pending` says whether it must be pending then.
    """

    name: str
    series: Mapping[str, str]
    at: str
    expected: tuple[ExpectedAlert, ...] = ()
    pending: bool = False
    sample_interval: str = "15s"
    evaluation_interval: str = "30s"


@dataclass(frozen=True)
class UnitTests:
    """The cases of one rule, and what every firing instance carries.

    Labels and texts are written out, not computed from the rule: what a person reads at night is what is asserted.
    """

    severity: Severity
    category: Category
    board: str
    cases: tuple[Case, ...]
    service: Literal["blogauto", "telemetry"] = "blogauto"


@dataclass(frozen=True)
class AlertDefinition:
    """One alerting rule with its trigger and unit tests. Its runbook is `monitoring/runbooks/<name>.md`."""

    rule: Alert
    trigger: Trigger
    tests: UnitTests

    @property
    def name(self) -> str:
        """The alert's name; several rules may share it and differ by their labels."""
        return self.rule.name

    @property
    def title(self) -> str:
        """The name and the labels that distinguish rules of one name."""
        return " ".join((self.name, *self.rule.labels.values()))
