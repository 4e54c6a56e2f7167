"""Every query of every panel, run on a real Prometheus."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from monitoring.lint.boards import Board, Panel, targets
from monitoring.lint.queries import MACROS, expanded
from monitoring.parameters import SCRAPE_INTERVAL
from monitoring.verification.day import BEGIN, END
from monitoring.verification.store import seconds
from stack.processes import Prometheus, get

# Panels about failures and tiers that the recorded traffic does not have; tests/monitoring/test_tiers.py has the tiers.
MAY_BE_EMPTY: Final = frozenset(
    {
        "Dropped",
        "Lost or refused",
        "Internal errors of the SDK, 24 h",
        "Alerts firing",
        "annotation Starts",
        "Calls without a price, 24 h",
        "Errors by class",
        "Waiting in Kafka",
        "Written to and read from Kafka",
        "Time to read what waits (dashed: limit 5 min)",
        "Busiest partitions, 1 h",
        "Busiest instance of each tier (dashed: limit 1.8)",
        "Failing requests to Collectors behind gateways (dashed: limit 50 %)",
    }
)


@dataclass(frozen=True)
class QueryResult:
    """What Prometheus answered to one query, and what is wrong with the result."""

    board: str
    panel: Panel
    target: Mapping[str, Any]
    result: list[Any]
    problems: tuple[str, ...]


# Seconds between two points, as Grafana chooses them for a day on a panel of a third of a screen.
STEP: Final = 240


def run_queries(prometheus: Prometheus, boards: Mapping[str, Board]) -> Iterator[QueryResult]:
    """Every query to Prometheus over the recorded day, those of annotations included."""
    for uid, board in boards.items():
        for panel, target in targets(board, "prometheus"):
            yield _run(prometheus, uid, panel, target)
        for annotation in board["annotations"]["list"]:
            panel = {"title": f"annotation {annotation['name']}", "type": "annotation", "interval": "30s"}
            yield _run(prometheus, uid, panel, {"expr": annotation["expr"], "refId": "A", "range": True})


def step(panel: Panel) -> int:
    """Seconds between two points, as Grafana would choose them for a day or for the panel's own range."""
    chosen = seconds(panel["interval"]) if panel.get("interval") else STEP
    return chosen if panel["type"] == "annotation" else max(STEP, chosen)


def begin_of(panel: Panel) -> int:
    """When the panel's time range begins: a day before the end, or its own range."""
    midnight = END - END % 86400
    own = {
        "now/d": midnight,
        "now/M": midnight - (datetime.fromtimestamp(END, timezone.utc).day - 1) * 86400,
        "30d": END - 30 * 86400,
    }
    return own.get(panel.get("timeFrom", ""), BEGIN)


def _run(prometheus: Prometheus, uid: str, panel: Panel, target: Mapping[str, Any]) -> QueryResult:
    begin = begin_of(panel)
    windows = {
        "$__interval": f"{step(panel)}s",
        "$__rate_interval": f"{step(panel) + SCRAPE_INTERVAL}s",  # as Grafana computes it
        "$__range": f"{END - begin}s",
    }
    expr = expanded(target["expr"], {**MACROS, **windows})
    if target.get("instant"):
        path, parameters = "query", {"query": expr, "time": END}
    else:
        path, parameters = "query_range", {"query": expr, "start": begin, "end": END, "step": step(panel)}
    _, body = get(f"{prometheus.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=60)
    document = json.loads(body)
    problems = [*_messages(document), *_values(panel, document)]
    return QueryResult(uid, panel, target, document.get("data", {}).get("result", []), tuple(problems))


def _messages(document: Mapping[str, Any]) -> Iterator[str]:
    if document["status"] != "success":
        yield f"error: {document.get('error')}"
    yield from (f"warning: {warning}" for warning in document.get("warnings", []))
    yield from (f"info: {info}" for info in document.get("infos", []))


def _values(panel: Panel, document: Mapping[str, Any]) -> Iterator[str]:
    """A time series may have gaps; a stat, a table and a bar gauge may not."""
    for series in document.get("data", {}).get("result", []):
        values = [float(value) for _, value in series.get("values", [series.get("value", (0, "0"))])]
        if any(map(math.isinf, values)):
            yield "an infinite value"
        if panel["type"] in {"stat", "table", "bargauge"} and any(map(math.isnan, values)):
            yield "NaN"


def empty_panels(results: list[QueryResult]) -> list[str]:
    """Panels that should show the recorded traffic and show nothing."""
    shown: dict[tuple[str, str], bool] = {}
    for result in results:
        key = (result.board, result.panel["title"])
        finite = any(re.fullmatch(r"[-+.\deE]+", value) for series in result.result for value in _texts(series))
        shown[key] = shown.get(key, False) or finite
    return [f"{board}: {title}" for (board, title), has in shown.items() if not has and title not in MAY_BE_EMPTY]


def _texts(series: Mapping[str, Any]) -> list[str]:
    return [value for _, value in series.get("values", [series.get("value", (0, "NaN"))])]
