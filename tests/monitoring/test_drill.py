"""From a failing example to a notification and back, through every real program between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from monitoring.alerts.all import drilled, triggers
from monitoring.drill import Drill, Notification, shorten_durations
from monitoring.tier_drill import TierDrill
from tests.monitoring.test_alertmanager import expected_receiver


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.xdist_group("drill")
def test_each_alert_arrives_where_it_should_with_its_texts_and_is_resolved(tmp_path: Path) -> None:
    names = [name for name in drilled() if not triggers()[name].in_tiers]
    notifications = Drill(tmp_path, names, print).run()

    for name in names:
        fired = first(notifications, name, "firing")
        assert fired.receiver == expected_receiver(name, fired.labels["severity"], fired.labels["category"])
        assert fired.labels["service"] == "blogauto"
        assert fired.labels["job"] == "blogauto-backend"
        assert fired.annotations["runbook_url"] == f"http://localhost:3001/public/runbooks/{name}.md"
        assert fired.annotations["dashboard_url"].startswith("http://localhost:3001/d/blogauto-")
        assert "{{" not in "".join(fired.annotations.values())
        assert first(notifications, name, "resolved").after > fired.after
    slow = next(one for one in notifications if one.labels.get("endpoint") == "/api/content/generate")
    assert slow.name == "HighApiResponseTime"
    assert slow.annotations["dashboard_url"].endswith("/d/blogauto-api?var-endpoint=%2Fapi%2Fcontent%2Fgenerate")
    assert any(notice.name == "Watchdog" and notice.receiver == "watchdog" for notice in notifications)


@pytest.mark.stack
@pytest.mark.long
@pytest.mark.xdist_group("scale")
def test_each_alert_about_tiers_arrives_and_is_resolved(tmp_path: Path) -> None:
    """With a real broker, an agent, two gateways and two samplers."""
    names = [name for name in drilled() if triggers()[name].in_tiers]
    notifications = TierDrill(tmp_path, names, print).run()

    assert len(names) == 5
    for name in names:
        fired = first(notifications, name, "firing")
        assert fired.labels["service"] == "telemetry"
        assert fired.labels["job"] == "otel-collector"
        assert "{{" not in "".join(fired.annotations.values())
        assert first(notifications, name, "resolved").after > fired.after


def first(notifications: Sequence[Notification], name: str, status: str) -> Notification:
    return next(notice for notice in notifications if (notice.name, notice.status) == (name, status))


def test_a_drill_shortens_durations_and_nothing_else() -> None:
    text = "expr: sum(rate(x_5m:rate5m[5m] offset 1h))\nfor: 5m\ninterval: 30s\n# 5m\nsummary: 'in 5 minutes'\n"
    assert (
        shorten_durations(text)
        == "expr: sum(rate(x_5m:rate5m[5s] offset 60s))\nfor: 5s\ninterval: 1s\n# 5s\nsummary: 'in 5 minutes'\n"
    )
