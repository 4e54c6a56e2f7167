"""Every alert, by the group of rules in which Prometheus evaluates it. A new group is a module here and a row below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from monitoring.alerts.ai import ai_alerts
from monitoring.alerts.availability import availability_alerts
from monitoring.alerts.business import business_alerts
from monitoring.alerts.collector import collector_alerts
from monitoring.alerts.database import database_alerts
from monitoring.alerts.definition import AlertDefinition, Trigger
from monitoring.alerts.error_budget import error_budget_alerts
from monitoring.alerts.host import host_alerts
from monitoring.alerts.prometheus import prometheus_alerts
from monitoring.alerts.requests import request_alerts
from monitoring.alerts.sdk import sdk_alerts
from monitoring.alerts.tiers import tier_alerts
from monitoring.parameters import BLOGAUTO, Service

Groups = Mapping[str, tuple[Callable[[Service], tuple[AlertDefinition, ...]], ...]]

APPLICATION: Final[Groups] = {
    "burn": (error_budget_alerts,),
    "requests": (request_alerts,),
    "business": (business_alerts,),
    "database": (database_alerts,),
    "ai": (ai_alerts,),
    "host": (host_alerts,),
    "availability": (availability_alerts,),
}
TELEMETRY: Final[Groups] = {"alerts": (collector_alerts, tier_alerts, sdk_alerts, prometheus_alerts)}


def all_alerts(service: Service = BLOGAUTO) -> tuple[AlertDefinition, ...]:
    """Every alert of a service and of the monitoring itself."""
    makers = [make for groups in (APPLICATION, TELEMETRY) for group in groups.values() for make in group]
    return tuple(alert for make in makers for alert in make(service))


def triggers() -> Mapping[str, Trigger]:
    """How to make each alert fire, by its name."""
    return {alert.name: alert.trigger for alert in all_alerts()}


def drilled() -> list[str]:
    """The alerts that `python -m monitoring drill` can trigger."""
    return [name for name, trigger in triggers().items() if trigger.drill]
