"""Boards: the promised panels, queries of known series, thresholds of the alerts, and provisioning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from blogauto_otel.api.sdk_metrics import SDK_METRICS, SDK_METRICS_NAMESPACE
from blogauto_otel.config import default_of
from monitoring.generate import ROOT
from monitoring.languages import LANGUAGES
from monitoring.lint import boards as lint
from monitoring.lint.rules import recorded_labels
from monitoring.metrics import known_metrics
from monitoring.parameters import BLOGAUTO, SCRAPE_INTERVAL
from monitoring.rules.model import Alert, RuleFile

Boards = Mapping[str, dict[str, Any]]
BACKENDS = ROOT / "collector" / "backends"
PROVISIONING = BACKENDS / "grafana" / "provisioning"


def wrong(boards: Boards, files: tuple[RuleFile, RuleFile], alerts: list[Alert]) -> list[str]:
    return lint.problems(boards, known_metrics(BLOGAUTO), recorded_labels(files, known_metrics(BLOGAUTO)), alerts)


def test_lint_finds_nothing_in_the_boards(
    boards: Boards, files: tuple[RuleFile, RuleFile], alerts: list[Alert]
) -> None:
    assert wrong(boards, files, alerts) == []


def first(board: dict[str, Any], kind: str) -> dict[str, Any]:
    panel: dict[str, Any] = next(panel for panel in board["panels"] if panel["type"] == kind)
    return panel


def _query(expr: str) -> Callable[[dict[str, Any]], None]:
    return lambda board: first(board, "timeseries")["targets"][0].update(expr=expr)


FAULTS: Mapping[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a metric that nobody emits": (_query('rate(blogauto_nonsense_total{job=~"$job"}[5m])'), "no metric is called"),
    "a label that the metric lacks": (_query('rate(blogauto_errors_total{job=~"$job",status="500"}[5m])'), "has no label status"),
    "a counter read raw": (_query('sum(blogauto_errors_total{job=~"$job"})'), "without rate()"),
    "no job": (_query("sum(rate(blogauto_errors_total[5m]))"), "of every job"),
    "a fixed window": (_query('sum(rate(blogauto_errors_total{job=~"$job"}[1m]))'), "use $__rate_interval"),
    "not PromQL": (_query('sum(rate(blogauto_errors_total{job=~"$job"}[5m])'), "not PromQL"),
    "an unknown variable": (_query('sum(rate(blogauto_errors_total{job=~"$job",type="$kind"}[5m]))'), "$kind is not a variable"),
    "a legend that names a missing label": (lambda board: first(board, "timeseries")["targets"][0].update(legendFormat="{{pod}}"), "names pod"),
    "no unit": (lambda board: first(board, "timeseries")["fieldConfig"]["defaults"].pop("unit"), "no unit"),
    "no description": (lambda board: first(board, "stat").update(description=""), "no description of 20"),
    "no text for missing data": (lambda board: first(board, "stat")["fieldConfig"]["defaults"].pop("noValue"), "no text for missing data"),
    "an axis that does not begin at 0": (lambda board: first(board, "timeseries")["fieldConfig"]["defaults"].pop("min"), "begin at 0"),
    "an axis to 100 without values": (lambda board: first(board, "timeseries")["fieldConfig"]["defaults"]["custom"].pop("axisSoftMax"), "ends at 100"),
    "percent of a ratio": (lambda board: first(board, "timeseries")["fieldConfig"]["defaults"].update(unit="percent"), "percentunit"),
    "two panels at one position": (lambda board: first(board, "timeseries")["gridPos"].update(x=8), "lies on"),
    "a panel over the edge": (lambda board: first(board, "timeseries")["gridPos"].update(w=25), "does not fit"),
    "a number used twice": (lambda board: first(board, "stat").update(id=2), "panel ids"),
    "a board to be edited": (lambda board: board.update(editable=True), "not read-only"),
    "a hidden link": (lambda board: board["links"][0].update(placement="inControlsMenu"), "hidden in a menu"),
    "a link to an unknown board": (
        lambda board: first(board, "stat")["fieldConfig"]["defaults"].update(links=[{"title": "x", "url": "/d/nowhere"}]),
        "which is not there",
    ),
    "a threshold that no alert has": (
        lambda board: next(p for p in board["panels"] if p["title"].startswith("Failing,"))["fieldConfig"]["defaults"]["thresholds"]["steps"][1].update(value=0.07),
        "changes colour at",
    ),
    "an unknown alert": (lambda board: first(board, "stat").update(description="Alert: NoSuchAlert. Really."), "no alert is called"),
    "logs of every service": (lambda board: first(board, "logs")["targets"][0].update(expr='{service_namespace="x"}'), "every service"),
    "LogQL that does not parse": (lambda board: first(board, "logs")["targets"][0].update(expr='{service_name="x" |'), "not LogQL"),
    "a sparkline": (lambda board: first(board, "stat")["options"].update(graphMode="area"), "runs through its digits"),
    "an unexplained dashed line": (
        lambda board: next(p for p in board["panels"] if "(dashed: " in p["title"]).update(title="Response time"),
        "does not explain the dashed line",
    ),
    "a legend that covers the chart": (lambda board: first(board, "timeseries")["options"]["legend"].pop("placement"), "its legend is not at the bottom"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_lint_finds(fault: str, boards: Boards, files: tuple[RuleFile, RuleFile], alerts: list[Alert]) -> None:
    break_it, message = FAULTS[fault]
    break_it(boards["blogauto-overview"])
    try:
        found = wrong(boards, files, alerts)
    except ValueError as error:
        found = [f"not PromQL: {error}"]
    assert any(message in problem for problem in found), found


TIERS = (
    "Waiting in Kafka",
    "Written to and read from Kafka",
    "Time to read what waits",
    "Busiest partitions",
    "Busiest instance of each tier",
    "Failing requests to Collectors behind gateways",
)

# The panels that the contract promises, by the beginning of their titles.
PROMISED = {
    "overview": ("CPU", "Memory", "Disk", "Requests", "Response time", "Failing", "Business events", "WordPress posts"),
    "api": ("Distribution of response times", "p95 by endpoint", "Status codes", "Throughput by endpoint"),
    "security": ("Rejections by endpoint", "Blocked addresses", "Suspicious patterns", "Failed logins"),
    "business": ("By hour", "By day", "Success rate", "API keys by service"),
    "telemetry": (
        "Waiting in memory",
        "Waiting on disk",
        "Files on disk",
        "Refused",
        "Lost",
        "Dropped",
        "Queues",
        *TIERS,
    ),
    "ai": (
        "Cost today",
        "Cost this month",
        "Budget burn rate",
        "Cost per article",
        "Tokens by model",
        "Models and operations",
        "p95 by model and operation",
        "First token",
        "Failing calls by provider",
        "Refused for the rate",
        "Errors and retries",
    ),
    "database": (
        "Statements by table",
        "Operations and tables",
        "Errors by class",
        "Connections",
        "Pool in use",
        "Waiting and timeouts",
        "Repeated queries",
        "Slowest statements",
    ),
    "dependencies": (
        "Calls by host",
        "Failing calls by host",
        "All hosts",
        "Redis",
        "Process memory",
        "Threads by process",
        "Event loop lag",
        "Garbage collections",
        "Open files",
    ),
}


@pytest.mark.parametrize("name", PROMISED)
def test_a_board_shows_what_was_promised(name: str, boards: Boards) -> None:
    titles = [panel["title"] for panel in lint.panels(boards[BLOGAUTO.board(name)])]
    assert [words for words in PROMISED[name] if not any(title.startswith(words) for title in titles)] == []


# The SDK's metrics about itself that no panel shows: they indicate no fault, or another panel shows the same.
NOT_SHOWN = {
    "items.superseded",
    "items.withheld",
    "queue.items",
    "queue.capacity",
    "queue.high_water",
    "process.start_time",
}


def test_the_telemetry_board_shows_the_sdks_metrics_about_itself(boards: Boards) -> None:
    asked = " ".join(target["expr"] for _, target in lint.targets(boards["blogauto-telemetry"], "prometheus"))
    missing = {metric.name for metric in SDK_METRICS if metric.prometheus_name(SDK_METRICS_NAMESPACE) not in asked}
    assert missing == NOT_SHOWN


def test_each_board_begins_with_stats_and_ends_with_logs(boards: Boards) -> None:
    for board in boards.values():
        kinds = [panel["type"] for panel in lint.panels(board)]
        assert kinds[:6] == ["stat"] * 6
        assert kinds[-1] == "logs"


@pytest.mark.parametrize(("board", "title"), [("overview", "Requests by status class"), ("api", "Status codes")])
def test_failures_are_stacked_from_the_zero_line(board: str, title: str, boards: Boards) -> None:
    panel = next(panel for panel in lint.panels(boards[BLOGAUTO.board(board)]) if panel["title"] == title)
    assert [target["legendFormat"] for target in panel["targets"]] == ["5xx", "4xx", "3xx", "2xx"]


def test_the_windows_of_a_burn_rate_have_their_own_lines(boards: Boards) -> None:
    for panel in lint.panels(boards["blogauto-api"]):
        if panel["title"].startswith("Burn rate"):
            properties = [one["properties"] for one in panel["fieldConfig"]["overrides"]]
            colours = {p["value"]["fixedColor"] for each in properties for p in each if p["id"] == "color"}
            dashes = {str(p["value"]) for each in properties for p in each if p["id"] == "custom.lineStyle"}
            assert len(colours) == len(dashes) == 4


def test_an_endpoint_without_traffic_has_a_dash_instead_of_a_zero(boards: Boards) -> None:
    panel = next(panel for panel in lint.panels(boards["blogauto-overview"]) if panel["title"] == "Busiest endpoints")
    texts = {
        one["matcher"]["options"]: p["value"]
        for one in panel["fieldConfig"]["overrides"]
        for p in one["properties"]
        if p["id"] == "noValue"
    }
    assert texts == {"Requests/min": "-", "Failing": "-", "p95": "-"}


def test_rates_have_units_that_say_what_is_counted_and_in_which_time(boards: Boards) -> None:
    used = {
        panel["fieldConfig"]["defaults"].get("unit")
        for board in boards.values()
        for panel in lint.panels(board)
        if panel["type"] in {"stat", "timeseries"}
    }
    assert {"count:req/min", "count:/min", "count:/s"} <= used
    assert used.isdisjoint({"cpm", "cps", "reqpm", "short"})


def test_definitions_of_tables_are_not_among_the_slowest_statements(boards: Boards) -> None:
    titles = {"Slowest statements", "Operations and tables"}
    asked = [
        target["expr"]
        for panel, target in lint.targets(boards["blogauto-database"], "prometheus")
        if panel["title"] in titles
    ]
    assert len(asked) == 6
    assert all('db_operation_name!~"(CREATE|ALTER|DROP|TRUNCATE).*"' in expr for expr in asked)


def test_the_names_of_endpoints_have_the_room_that_numbers_leave(boards: Boards) -> None:
    for board in boards.values():
        for panel in lint.panels(board):
            overrides = panel["fieldConfig"]["overrides"] if panel["type"] == "table" else []
            for one in overrides:
                if one["matcher"]["options"] == "Endpoint":
                    assert not [p for p in one["properties"] if p["id"] == "custom.width"]


def test_rarely_needed_rows_of_the_telemetry_board_are_collapsed(boards: Boards) -> None:
    rows = {row["title"]: row["collapsed"] for row in boards["blogauto-telemetry"]["panels"] if row["type"] == "row"}
    assert [title for title, collapsed in rows.items() if collapsed] == [
        "Spool on disk",
        "Collectors in tiers, and Kafka between them",
        "Prometheus and Alertmanager",
    ]


def test_latency_carries_exemplars_from_raw_buckets(boards: Boards) -> None:
    for uid in ("blogauto-overview", "blogauto-api", "blogauto-ai", "blogauto-database"):
        asked = [target["expr"] for _, target in lint.targets(boards[uid], "prometheus") if target.get("exemplar")]
        assert asked
        assert all("_bucket{" in expr for expr in asked)


# --- provisioning -------------------------------------------------------------------------------------------------------


def sources() -> dict[str, dict[str, Any]]:
    path = PROVISIONING / "datasources" / "blogauto.yaml"
    return {source["name"]: source for source in yaml.safe_load(path.read_text())["datasources"]}


def test_export_scrape_and_chart_intervals_are_equal() -> None:
    """Unequal, every `rate()` over `$__rate_interval` would be empty."""
    prometheus = yaml.safe_load((BACKENDS / "prometheus" / "prometheus.yml").read_text())
    intervals = {
        prometheus["global"]["scrape_interval"],
        sources()["Prometheus"]["jsonData"]["timeInterval"],
        f"{default_of('metric_interval'):g}s",
    }
    assert intervals == {f"{SCRAPE_INTERVAL}s"}


def test_boards_and_data_sources_agree_on_uids(boards: Boards) -> None:
    provided = {source["uid"] for source in sources().values()}
    for board in boards.values():
        chosen = {v["current"]["value"] for v in board["templating"]["list"] if v["type"] == "datasource"}
        assert chosen <= provided


def test_the_three_links_between_data_sources_are_those_that_work() -> None:
    jaeger, loki, prometheus = (sources()[name]["jsonData"] for name in ("Jaeger", "Loki", "Prometheus"))
    assert (
        "tags" not in jaeger["tracesToLogsV2"]
    )  # Jaeger keeps service.name from the tags, and a link without its tag is not drawn
    assert "$${__trace.traceId}" in jaeger["tracesToLogsV2"]["query"]
    (field,) = loki["derivedFields"]
    assert field["matcherRegex"] == "^trace_id$"  # unanchored it would take parent_trace_id as well
    (destination,) = prometheus["exemplarTraceIdDestinations"]
    assert destination["name"] == "trace_id"
    assert destination["datasourceUid"] == field["datasourceUid"] == sources()["Jaeger"]["uid"]


def test_boards_are_provisioned_read_only_and_the_overview_is_home() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "blogauto.yaml").read_text())["providers"]
    assert (provider["allowUiUpdates"], provider["disableDeletion"], provider["folder"]) == (False, True, "BlogAuto")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    target = provider["options"]["path"]
    assert f"./collector/backends/grafana/dashboards/${{MONITORING_LANGUAGE:-en}}:{target}:ro" in compose["volumes"]
    home = compose["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    for language in LANGUAGES:
        assert (ROOT / "collector/backends/grafana/dashboards" / language / home.rsplit("/", 1)[1]).is_file()


def test_grafana_serves_the_runbooks_that_alerts_link_to() -> None:
    volumes = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert "./docs/runbooks:/usr/share/grafana/public/runbooks:ro" in volumes
    assert BLOGAUTO.runbooks_url == f"{BLOGAUTO.grafana_url}/public/runbooks"
