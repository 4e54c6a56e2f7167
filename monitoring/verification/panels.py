"""Every query of every panel, run on a real Prometheus."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitoring.lint.boards import Board, Panel, targets
from monitoring.lint.queries import expanded
from monitoring.parameters import SCRAPE_INTERVAL
from monitoring.verification.replay import BEGIN, END
from monitoring.verification.store import seconds
from stack.processes import Prometheus, get

# Panels about failures that the recorded traffic does not have.
MAY_BE_EMPTY: Final = frozenset(
    {
        "Dropped",
        "Lost or refused",
        "Internal errors of the SDK, 24 h",
        "Alerts firing",
        "annotation Starts",
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


def run_queries(prometheus: Prometheus, boards: Mapping[str, Board], *, begin: int = BEGIN) -> Iterator[QueryResult]:
    """Every query to Prometheus, those of annotations included; time series begin at `begin`."""
    for uid, board in boards.items():
        for panel, target in targets(board, "prometheus"):
            yield _run(prometheus, uid, panel, target, begin)
        for annotation in board["annotations"]["list"]:
            panel = {"title": f"annotation {annotation['name']}", "type": "annotation", "targets": []}
            yield _run(prometheus, uid, panel, {"expr": annotation["expr"], "refId": "A", "range": True}, BEGIN)


def step(panel: Panel) -> int:
    """Seconds between two points, as Grafana would choose them for an hour or for the panel's own range."""
    return seconds(panel["interval"]) if panel.get("interval") else SCRAPE_INTERVAL


def _run(prometheus: Prometheus, uid: str, panel: Panel, target: Mapping[str, Any], begin: int) -> QueryResult:
    expr = expanded(target["expr"])
    if target.get("instant"):
        path, parameters = "query", {"query": expr, "time": END}
    else:
        begin = END - 30 * 86400 if panel.get("timeFrom") == "30d" else begin
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
