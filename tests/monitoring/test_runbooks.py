"""A runbook for every alert and an alert for every runbook; every query and command in them is valid."""

from __future__ import annotations

import json
import re
import shlex
import urllib.parse
from pathlib import Path

import pytest

from examples import traffic
from monitoring.alerts.all import triggers
from monitoring.generate import ROOT
from monitoring.lint import logql, queries
from monitoring.lint.rules import recorded_labels
from monitoring.metrics import known_metrics
from monitoring.parameters import BLOGAUTO
from monitoring.rules.model import Alert, RuleFile
from monitoring.runbooks import SECTIONS, SOURCES, RunbookError, fenced, runbooks

FOLDER = ROOT / "docs" / "runbooks"
ENGLISH = (
    path for path in sorted(FOLDER.glob("*.md")) if path.name.count(".") == 1
)  # test_languages.py has the others
PAGES = {path.stem: path.read_text() for path in ENGLISH if path.stem != "README"}
JAEGER_PARAMETERS = {"service", "operation", "tags", "minDuration", "maxDuration", "lookback", "limit"}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(alerts: list[Alert]) -> None:
    names = {alert.name for alert in alerts}
    sources = {path.stem for path in SOURCES.glob("*.md")}
    assert [f"write monitoring/runbooks/{name}.md" for name in sorted(names - sources)] == []
    assert [f"monitoring/runbooks/{name}.md has no alert" for name in sorted(sources - names)] == []
    assert set(PAGES) == names


def test_the_generator_names_the_page_that_is_missing(
    files: tuple[RuleFile, RuleFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.runbooks.SOURCES", tmp_path / "monitoring" / "runbooks")
    with pytest.raises(RunbookError, match=r"AiCostBudget has no runbook: write .*runbooks/AiCostBudget\.md"):
        runbooks(BLOGAUTO, files)


@pytest.mark.parametrize("name", PAGES)
def test_a_runbook_has_its_sections_in_order_and_none_is_empty(name: str) -> None:
    parts = re.split(r"^## (.+)$", PAGES[name], flags=re.MULTILINE)
    assert tuple(parts[1::2]) == SECTIONS
    assert all(len(text.strip()) > 20 for text in parts[2::2])
    assert "%{" not in PAGES[name]


def test_the_expression_and_the_limits_are_those_of_the_rule(alerts: list[Alert]) -> None:
    for alert in alerts:
        shown = [queries.parsed(query).prettify() for query in fenced(PAGES[alert.name], "promql")]
        assert queries.parsed(str(alert.condition)).prettify() in shown, alert.name


def test_every_promql_query_names_series_that_exist(files: tuple[RuleFile, RuleFile]) -> None:
    metrics = known_metrics(BLOGAUTO)
    recorded = frozenset(recorded_labels(files, metrics))
    found = {
        f"{name}: {problem}"
        for name, page in PAGES.items()
        for query in fenced(page, "promql")
        for problem in queries.problems(query, metrics, recorded)
    }
    assert found == set()


def test_every_logql_query_parses_and_names_labels_that_loki_has() -> None:
    asked = [query for page in PAGES.values() for query in fenced(page, "logql")]
    assert len(asked) > 15
    assert logql.problems(asked) == []


def test_logql_that_is_wrong_is_found() -> None:
    assert (
        logql.problems(['{service_name="x"} | json | level="error"', '{service="x"}', '{service_name="x"'])[0:1] != []
    )
    assert any("no index label service" in problem for problem in logql.problems(['{service="x"}']))
    assert any(
        "no such metadata level" in problem for problem in logql.problems(['{service_name="x"} | level="error"'])
    )
    assert any("not LogQL" in problem for problem in logql.problems(['{service_name="x"']))


def test_every_search_in_jaeger_is_one_that_jaeger_understands() -> None:
    asked = [query for page in PAGES.values() for query in fenced(page, "jaeger")]
    assert len(asked) > 10
    for query in asked:
        parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(query).query, strict_parsing=True))
        assert set(parameters) <= JAEGER_PARAMETERS
        assert parameters["service"] == BLOGAUTO.job
        assert all(isinstance(value, str) for value in json.loads(parameters.get("tags", "{}")).values())


def test_every_command_names_what_exists() -> None:
    for name, page in PAGES.items():
        for command in fenced(page, "sh"):
            words = shlex.split(command)
            if "examples.traffic" in words:
                kinds = words[words.index("examples.traffic") + 2 : words.index("--seconds")]
                assert set(kinds) <= set(traffic.KINDS), command
            if "monitoring" in words and "drill" in words:
                assert words[-1] == name
                assert triggers()[name].drill
            if words[0] == "amtool":
                assert f"alertname={name}" in words


def test_every_link_between_runbooks_leads_somewhere() -> None:
    for name, page in PAGES.items():
        for target in re.findall(r"\]\((\w+)\.md\)", page):
            assert target in PAGES, f"{name} links to {target}"


def test_a_drill_can_trigger_every_contract_alert() -> None:
    contract = (
        "HighApiResponseTime", "HighApiErrorRate", "HighRateLimitRejections", "ApiKeyStorageFailure", "ContentGenerationFailure",
        "WordPressPublishFailure", "HighCpuUsage", "LowMemoryAvailable", "LowDiskSpace", "BackendServiceDown",
    )  # fmt: skip
    assert [name for name in contract if not triggers()[name].drill] == []
