"""Alertmanager's configuration: which receiver gets which alert, and which alerts suppress others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from monitoring.rules.write import HEADER

SECRETS: Final = "/etc/alertmanager/secrets"

# Each receiver reads its webhook's URL from a file: the repository holds no address, the configuration no secret.
RECEIVERS: Final = ("team", "pager", "security", "watchdog")

# The first route that matches an alert receives it; without a match it goes to the team.
ROUTES: Final[tuple[Mapping[str, Any], ...]] = (
    {"matchers": ['alertname="Watchdog"'], "receiver": "watchdog", "group_wait": "0s", "repeat_interval": "5m"},
    {"matchers": ['severity="critical"'], "receiver": "pager", "group_wait": "10s", "repeat_interval": "1h"},
    {"matchers": ['category="security"'], "receiver": "security", "group_by": ["alertname", "job"]},
)

# Alertmanager treats a label that both alerts lack as equal, so both sides must have each compared label.
PRESENT: Final = ('service=~".+"', 'job=~".+"')

INHIBITIONS: Final[tuple[tuple[str, str, str], ...]] = (
    ("a critical alert suppresses the warning of the same name", 'severity="critical"', 'severity="warning"'),
    (
        "a backend that is down is also slow, fails and sends no telemetry",
        'alertname="BackendServiceDown"',
        'alertname=~"HighApi.*|Api.*BudgetBurn|BackendTelemetryAbsent|BackendRestarting"',
    ),
    (
        "current errors are reported once, by the faster alert",
        'alertname="HighApiErrorRate"',
        'alertname="ApiErrorBudgetBurn"',
    ),
)


def configuration() -> str:
    """The file that Alertmanager reads."""
    document = {
        "route": {
            "receiver": "team",
            "group_by": ["alertname", "service", "job"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [dict(route) for route in ROUTES],
        },
        "inhibit_rules": [_inhibition(source, target) for _why, source, target in INHIBITIONS]
        + [
            # Without the Collector no job's telemetry arrives: there is no label to compare.
            {
                "source_matchers": ['alertname="OtelCollectorDown"'],
                "target_matchers": ['alertname="BackendTelemetryAbsent"'],
            }
        ],
        "receivers": [_receiver(name) for name in RECEIVERS],
    }
    return HEADER + NOTE + yaml.safe_dump(document, sort_keys=False, width=120, default_flow_style=None)


NOTE: Final = f"""\
# Each receiver posts to the URL in a file of its own, read at each notification: write yours to secrets/team_url, pager_url,
# security_url and watchdog_url beside this file ({SECRETS} in the container). No restart is needed, and nothing is committed.
# A missing file is logged as an error at each notification and counted on the board "Telemetry health", so an alert without
# a receiver does not go unnoticed.
"""


def _inhibition(source: str, target: str) -> dict[str, Any]:
    same_name = ["alertname"] if "alertname" not in source else []
    return {
        "source_matchers": [source, *PRESENT],
        "target_matchers": [target, *PRESENT],
        "equal": [*same_name, "service", "job"],
    }


def _receiver(name: str) -> dict[str, Any]:
    webhook = {"url_file": f"{SECRETS}/{name}_url", "send_resolved": name != "watchdog"}
    return {"name": name, "webhook_configs": [webhook]}
