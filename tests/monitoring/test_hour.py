"""Every query of every panel and runbook, on a real Prometheus: with an hour that the example really lived, and with nothing."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from monitoring.generate import ROOT
from monitoring.lint.queries import expanded
from monitoring.proof import hour, panels
from monitoring.proof.hour import END, Hour
from monitoring.proof.store import stored
from monitoring.runbooks import fenced
from stack.processes import Prometheus, get

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("hour")]

# The guide's queries, as people type them.
TYPED = (
    "histogram_quantile(0.95, sum(rate(blogauto_api_request_duration_seconds_bucket[5m])) by (endpoint, le))",
    "sum(rate(blogauto_api_requests_total[1m])) by (endpoint)",
    'sum(rate(blogauto_api_requests_total{status=~"5.."}[5m])) / sum(rate(blogauto_api_requests_total[5m]))',
    "increase(blogauto_content_generated_total[1d])",
    'sum(rate(blogauto_wordpress_posts_published_total{status="success"}[1h])) / sum(rate(blogauto_wordpress_posts_published_total[1h]))',
    "topk(5, sum(rate(blogauto_api_requests_total[1h])) by (endpoint))",
    "sum(rate(blogauto_rate_limit_rejected_total[5m])) by (endpoint)",
    "blogauto_blocked_ips_total",
    "sum(rate(blogauto_security_events_total[1h])) by (type)",
)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Hour:
    return hour.live(tmp_path_factory.mktemp("hour"))


@pytest.fixture(scope="module")
def full(lived: Hour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with stored(tmp_path_factory.mktemp("full"), lived) as prometheus:
        yield prometheus


def complaints(answers: list[panels.Answer]) -> list[str]:
    return [f"{one.board}: {one.panel['title']}: {problem}" for one in answers for problem in one.problems]


def test_every_panel_shows_the_hour(full: Prometheus, boards: Mapping[str, dict[str, Any]]) -> None:
    answers = list(panels.ask(full, boards))
    print(f"queries run {len(answers)}")
    assert complaints(answers) == []
    assert panels.missing(answers) == []
    assert len(answers) > 100


def test_no_panel_stumbles_over_an_empty_store(tmp_path: Path, boards: Mapping[str, dict[str, Any]]) -> None:
    with stored(tmp_path, None) as prometheus:
        answers = list(panels.ask(prometheus, boards))
    assert complaints(answers) == []
    assert [one.panel["title"] for one in answers if one.result] == []


def test_every_query_of_the_runbooks_runs(full: Prometheus) -> None:
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for query in fenced(path.read_text(), "promql"):
            document = asked(full, query)
            said = {document["status"], *document.get("warnings", []), *document.get("infos", [])}
            assert said == {"success"}, f"{path.name}: {query}: {document}"


def asked(prometheus: Prometheus, query: str) -> dict[str, Any]:
    parameters = urllib.parse.urlencode({"query": expanded(query), "time": END})
    document: dict[str, Any] = json.loads(get(f"{prometheus.url}/api/v1/query?{parameters}")[1])
    return document


@pytest.mark.parametrize("query", TYPED)
def test_a_query_that_people_type_has_an_answer(query: str, full: Prometheus) -> None:
    assert asked(full, query)["data"]["result"]


def test_the_hour_has_what_the_script_says(lived: Hour) -> None:
    """Otherwise the panels would be tried on calm water."""
    last = {
        (one.name, one.labels.get("endpoint"), one.labels.get("status"), one.labels.get("type"))
        for one in lived.readings
        if one.value > 0
    }
    assert ("blogauto_api_requests_total", "/api/content/saved", "500", None) in last
    assert ("blogauto_wordpress_posts_published_total", None, "failed", None) in last
    assert ("blogauto_security_events_total", None, None, "auth_failure") in last
    assert ("blogauto_rate_limit_rejected_total", "/api/titles/generate", None, None) in last
    assert any(one.trace_id for one in lived.readings)
    assert any(line.trace_id and line.level in {"error", "warning"} for line in lived.logs)
