"""Every query of every panel and runbook, on a real Prometheus with recorded traffic and on an empty one."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from monitoring.generate import ROOT
from monitoring.lint.queries import expanded
from monitoring.runbooks import fenced
from monitoring.verification import panels
from monitoring.verification.day import ATTACK, BEGIN, END, RELEASE, SLOW, RecordedTraffic, record_day
from monitoring.verification.store import prometheus_with
from stack.processes import Prometheus, get

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("replay")]

# Queries of the guide, as people type them.
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
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedTraffic:
    return record_day(tmp_path_factory.mktemp("recording"))


@pytest.fixture(scope="module")
def full(recorded: RecordedTraffic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_with(recorded, tmp_path_factory.mktemp("full")) as prometheus:
        yield prometheus


def problems_of(answers: list[panels.QueryResult]) -> list[str]:
    return [f"{one.board}: {one.panel['title']}: {problem}" for one in answers for problem in one.problems]


def test_every_panel_shows_the_recorded_traffic(full: Prometheus, boards: Mapping[str, dict[str, Any]]) -> None:
    answers = list(panels.run_queries(full, boards))
    print(f"queries run {len(answers)}")
    assert problems_of(answers) == []
    assert panels.empty_panels(answers) == []
    assert len(answers) > 100


def test_no_query_has_a_problem_with_an_empty_prometheus(tmp_path: Path, boards: Mapping[str, dict[str, Any]]) -> None:
    with prometheus_with(None, tmp_path) as prometheus:
        answers = list(panels.run_queries(prometheus, boards))
    assert problems_of(answers) == []
    assert [one.panel["title"] for one in answers if one.result] == []


def test_every_query_of_the_runbooks_runs(full: Prometheus) -> None:
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for query in fenced(path.read_text(), "promql"):
            document = asked(full, query)
            messages = {document["status"], *document.get("warnings", []), *document.get("infos", [])}
            assert messages == {"success"}, f"{path.name}: {query}: {document}"


def asked(prometheus: Prometheus, query: str) -> dict[str, Any]:
    parameters = urllib.parse.urlencode({"query": expanded(query), "time": END})
    document: dict[str, Any] = json.loads(get(f"{prometheus.url}/api/v1/query?{parameters}")[1])
    return document


@pytest.mark.parametrize("query", TYPED)
def test_a_query_that_people_type_has_an_answer(query: str, full: Prometheus) -> None:
    assert asked(full, query)["data"]["result"]


def test_the_recording_has_what_its_kinds_of_traffic_cause(recorded: RecordedTraffic) -> None:
    """Without failures, the panels about failures would have no data to check."""
    last = {
        (one.name, one.labels.get("endpoint"), one.labels.get("status"), one.labels.get("type"))
        for one in recorded.series
        if max(value for _, value in one.points) > 0
    }
    assert ("blogauto_api_requests_total", "/api/content/saved", "500", None) in last
    assert ("blogauto_api_requests_total", "/api/secure/api-keys", "502", None) in last
    assert ("blogauto_wordpress_posts_published_total", None, "failed", None) in last
    assert ("blogauto_security_events_total", None, None, "auth_failure") in last
    assert ("blogauto_rate_limit_rejected_total", "/api/titles/generate", None, None) in last
    assert {exemplar.name for _, exemplar in recorded.exemplars} >= {"blogauto_api_request_duration_seconds"}
    assert any(line.trace_id and line.level in {"error", "warning"} for line in recorded.logs)


@pytest.mark.parametrize(
    ("sent", "accepted"),
    [
        ('blogauto_otel_items_sent_total{signal="traces"}', 'blogauto_otel_items_accepted_total{signal="traces"}'),
        ('blogauto_otel_items_sent_total{signal="logs"}', 'blogauto_otel_items_accepted_total{signal="logs"}'),
        ("otelcol_exporter_sent_spans_total", "otelcol_receiver_accepted_spans_total"),
        ("otelcol_exporter_sent_log_records_total", "otelcol_receiver_accepted_log_records_total"),
    ],
)
def test_as_much_is_sent_as_was_accepted(full: Prometheus, sent: str, accepted: str) -> None:
    """What is under way when the counters are read would be multiplied with the traffic, and look like a loss."""
    ratio = asked(full, f"sum(increase({sent}[24h])) / sum(increase({accepted}[24h]))")["data"]["result"]
    assert float(ratio[0]["value"][1]) == pytest.approx(1, abs=0.1)


def test_the_three_incidents_fire_their_alerts_and_nothing_else_does(full: Prometheus) -> None:
    """Whoever looks at the pictures finds each incident by its alerts, at its time."""
    query = 'ALERTS{alertstate="firing",severity=~"critical|warning"}'
    parameters = urllib.parse.urlencode({"query": query, "start": BEGIN, "end": END, "step": 60})
    result = json.loads(get(f"{full.url}/api/v1/query_range?{parameters}", timeout=60)[1])["data"]["result"]
    began: dict[tuple[int, int], set[str]] = {SLOW: set(), RELEASE: set(), ATTACK: set()}
    stray = []
    for series in result:
        for first in _beginnings([int(time) for time, _ in series["values"]]):
            incident = next((one for one in began if one[0] <= first < one[1] + 900), None)
            if incident is None:
                stray.append((series["metric"]["alertname"], first - BEGIN))
            else:
                began[incident].add(series["metric"]["alertname"])
    assert stray == []
    assert began[SLOW] >= {"HighApiResponseTime", "ContentGenerationFailure", "AiLatency", "AiProviderErrors"}
    assert began[RELEASE] >= {"HighApiErrorRate", "WordPressPublishFailure", "EventLoopBlocked"}
    assert began[ATTACK] >= {"AuthFailureSpike"}


def _beginnings(times: list[int]) -> list[int]:
    return [time for before, time in zip([0, *times], times, strict=False) if time - before > 120]
