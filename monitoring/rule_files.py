"""The two rule files: one of a service, and one of the monitoring itself, which all services share."""

from __future__ import annotations

from monitoring.alerts.all import APPLICATION, TELEMETRY, Groups
from monitoring.parameters import TELEMETRY as MONITORING
from monitoring.parameters import Service
from monitoring.recordings.application import error_budgets, objective_windows, request_recordings
from monitoring.recordings.dependencies import dependency_recordings
from monitoring.recordings.telemetry import telemetry_recordings
from monitoring.rules.model import Group, RuleFile


def rule_files(service: Service) -> tuple[RuleFile, RuleFile]:
    """Both files."""
    return _application(service), _telemetry(service)


def _application(service: Service) -> RuleFile:
    name = service.namespace
    return RuleFile(
        name=name,
        service=name,
        groups=(
            Group(f"{name}-recording", request_recordings(service)),
            Group(f"{name}-dependencies", dependency_recordings(service)),
            Group(f"{name}-objectives", objective_windows(service), interval=60),
            Group(f"{name}-budgets", error_budgets(service), interval=300),
            *_alert_groups(name, APPLICATION, service),
        ),
    )


def _telemetry(service: Service) -> RuleFile:
    """`service` only says where the pages are, and the limits."""
    groups = _alert_groups(MONITORING, TELEMETRY, service)
    return RuleFile(MONITORING, MONITORING, (Group(f"{MONITORING}-recording", telemetry_recordings()), *groups))


def _alert_groups(prefix: str, groups: Groups, service: Service) -> tuple[Group, ...]:
    return tuple(
        Group(f"{prefix}-{name}", tuple(alert.rule for make in makers for alert in make(service)))
        for name, makers in groups.items()
    )
