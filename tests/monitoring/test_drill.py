"""From a misbehaving example to a notification, through every real program between, and back to calm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from monitoring.drill import Drill, Notice, faster
from monitoring.provocations import PROVOCATIONS

DRILLED = [name for name, provocation in PROVOCATIONS.items() if provocation.drilled]
RECEIVED_BY = {
    "HighApiResponseTime": "team",
    "HighApiErrorRate": "pager",
    "HighRateLimitRejections": "security",
    "AuthFailureSpike": "security",
    "ApiKeyStorageFailure": "pager",
    "ContentGenerationFailure": "pager",
    "WordPressPublishFailure": "pager",
    "HighCpuUsage": "team",
    "LowMemoryAvailable": "pager",
    "LowDiskSpace": "team",
    "BackendServiceDown": "pager",
}


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.xdist_group("drill")
def test_each_alert_arrives_where_it_should_with_its_texts_and_is_resolved(tmp_path: Path) -> None:
    notices = Drill(tmp_path, DRILLED, print).run()

    for name, receiver in RECEIVED_BY.items():
        fired = first(notices, name, "firing")
        assert fired.receiver == receiver
        assert fired.labels["service"] == "blogauto"
        assert fired.labels["job"] == "blogauto-backend"
        assert fired.annotations["runbook_url"] == f"http://localhost:3001/public/runbooks/{name}.md"
        assert fired.annotations["dashboard_url"].startswith("http://localhost:3001/d/blogauto-")
        assert "{{" not in "".join(fired.annotations.values())
        assert first(notices, name, "resolved").after > fired.after
    slow = next(one for one in notices if one.labels.get("endpoint") == "/api/content/generate")
    assert slow.name == "HighApiResponseTime"
    assert slow.annotations["dashboard_url"].endswith("/d/blogauto-api?var-endpoint=%2Fapi%2Fcontent%2Fgenerate")
    assert any(notice.name == "Watchdog" and notice.receiver == "watchdog" for notice in notices)


def first(notices: Sequence[Notice], name: str, status: str) -> Notice:
    return next(notice for notice in notices if (notice.name, notice.status) == (name, status))


def test_a_drill_shortens_durations_and_nothing_else() -> None:
    text = "expr: sum(rate(x_5m:rate5m[5m] offset 1h))\nfor: 5m\ninterval: 30s\n# 5m\nsummary: 'in 5 minutes'\n"
    assert (
        faster(text)
        == "expr: sum(rate(x_5m:rate5m[5s] offset 60s))\nfor: 5s\ninterval: 1s\n# 5s\nsummary: 'in 5 minutes'\n"
    )
