"""Who is told of which alert, and which alerts keep quiet because a greater one says it all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from monitoring.rules.write import HEADER

SECRETS: Final = "/etc/alertmanager/secrets"

# Receivers by name: the file with its webhook's URL. The repository holds no address, and the configuration no secret.
RECEIVERS: Final = ("team", "pager", "security", "watchdog")

# Tried from the top, the first that matches takes the alert; what none matches goes to the team.
ROUTES: Final[tuple[Mapping[str, Any], ...]] = (
    {"matchers": ['alertname="Watchdog"'], "receiver": "watchdog", "group_wait": "0s", "repeat_interval": "5m"},
    {"matchers": ['severity="critical"'], "receiver": "pager", "group_wait": "10s", "repeat_interval": "1h"},
    {"matchers": ['category="security"'], "receiver": "security", "group_by": ["alertname", "job"]},
)

# A label that both alerts lack counts as equal: each label compared is demanded of both sides.
PRESENT: Final = ('service=~".+"', 'job=~".+"')

INHIBITIONS: Final[tuple[tuple[str, str, str], ...]] = (
    ("the page says more than the ticket of the same name", 'severity="critical"', 'severity="warning"'),
    (
        "a backend that is down is slow, fails and is silent",
        'alertname="BackendServiceDown"',
        'alertname=~"HighApi.*|Api.*BudgetBurn|BackendTelemetryAbsent|BackendRestarting"',
    ),
    (
        "errors now are told once, by the quicker alert",
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
            # Without the Collector nobody's telemetry arrives, whatever the job: nothing to compare.
            {
                "source_matchers": ['alertname="OtelCollectorDown"'],
                "target_matchers": ['alertname="BackendTelemetryAbsent"'],
            }
        ],
        "receivers": [_receiver(name) for name in RECEIVERS],
    }
    return HEADER + NOTE + yaml.safe_dump(document, sort_keys=False, width=120, default_flow_style=None)


NOTE: Final = f"""\
# Each receiver posts to the URL in a file of its own, read at every notification: put yours into secrets/team_url, pager_url,
# security_url and watchdog_url beside this file ({SECRETS} in the container); no restart, nothing to commit.
# A missing file is an error in the log at each notification, and counted on the board "Telemetry health": alerts that nobody
# hears are not silent.
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
