"""Checks of boards: the rules of Grafana's linter, reimplemented, and rules that tie boards to metrics and alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from monitoring.lint import logql, queries
from monitoring.metrics import Metric
from monitoring.rules.conditions import comparisons
from monitoring.rules.model import Alert

Board = Mapping[str, Any]
Panel = Mapping[str, Any]

# Metrics of other programs about themselves: the variable `job` does not select them.
SHARED: Final = ("otelcol_", "prometheus_", "alertmanager_", "ALERTS", "up", "pg_up", "redis_up", "scrape_", "job_")

LONGEST_TITLE: Final = 18  # characters that fit a panel three columns wide, measured in the pictures

_VARIABLE: Final = re.compile(r"\$\{?(\w+)")
_BUILTIN: Final = re.compile(r"^(__\w+|1)$")
_ALERT_NAMES: Final = re.compile(r"Alert: (\w+)\.")
_BOARD_LINK: Final = re.compile(r"^/d/([\w-]+)")
_WITHOUT_UNIT: Final = frozenset({"logs", "row"})


def panels(board: Board) -> list[Panel]:
    """Its panels without row headings; those inside a collapsed row included."""
    return [panel for panel in _all_panels(board) if panel["type"] != "row"]


def _all_panels(board: Board) -> list[Panel]:
    return [panel for top in board["panels"] for panel in (top, *top.get("panels", ()))]


def targets(board: Board, kind: str) -> Iterator[tuple[Panel, Mapping[str, Any]]]:
    """Its queries to one kind of data source."""
    for panel in panels(board):
        for target in panel.get("targets", []):
            if target["datasource"]["type"] == kind:
                yield panel, target


def problems(
    boards: Mapping[str, Board],
    known: Mapping[str, Metric],
    recorded: Mapping[str, frozenset[str]],
    alerts: list[Alert],
) -> list[str]:
    """Everything wrong with a set of boards, each with its board and panel."""
    found = [f"{uid}: {problem}" for uid, board in boards.items() for problem in _board(uid, board, set(boards))]
    found += [f"{uid}: {problem}" for uid, board in boards.items() for problem in _queries(board, known, recorded)]
    found += [f"{uid}: {problem}" for uid, board in boards.items() for problem in _thresholds(board, alerts)]
    lines = [(uid, target["expr"]) for uid, board in boards.items() for _, target in targets(board, "loki")]
    replaced = [queries.expanded(expr) for _, expr in lines]
    return [*found, *logql.problems(replaced)]


def _board(uid: str, board: Board, uids: set[str]) -> Iterator[str]:
    if board["uid"] != uid or not re.fullmatch(r"[\w-]{1,40}", uid):
        yield f"uid {board['uid']}"
    if board["editable"] or board["schemaVersion"] != 42 or board["refresh"] != "30s" or board["graphTooltip"] != 1:
        yield "not read-only, or another schema, refresh or crosshair than the others"
    if "inControlsMenu" in str(board):
        yield "something is hidden in a menu (placement)"
    yield from _numbers(board)
    yield from _grid(board)
    yield from _variables(board)
    for panel in panels(board):
        for problem in (*_panel(panel), *_links(panel, uids)):
            yield f"{panel['title']}: {problem}"


def _numbers(board: Board) -> Iterator[str]:
    ids = [panel["id"] for panel in _all_panels(board)]
    if ids != list(range(1, len(ids) + 1)):
        yield f"panel ids {ids}"
    titles = [panel["title"] for panel in panels(board)]
    yield from (
        f"two panels called {title}" for title in sorted({title for title in titles if titles.count(title) > 1})
    )


def _grid(board: Board) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        position = panel["gridPos"]
        if position["x"] + position["w"] > 24 or position["w"] < 3:
            yield f"{panel['title']}: does not fit the grid"
        for x in range(position["x"], position["x"] + position["w"]):
            for y in range(position["y"], position["y"] + position["h"]):
                if (x, y) in taken:
                    yield f"{panel['title']} lies on {taken[x, y]}"
                    return
                taken[x, y] = panel["title"]
    yield from _gaps(board)


def _gaps(board: Board) -> Iterator[str]:
    """A row that ends before the right edge looks broken."""
    widths: dict[int, int] = {}
    for panel in board["panels"]:
        position = panel["gridPos"]
        for y in range(position["y"], position["y"] + position["h"]):
            widths[y] = widths.get(y, 0) + position["w"]
    yield from (f"line {y} is {width} of 24 columns wide" for y, width in widths.items() if width != 24)


def _variables(board: Board) -> Iterator[str]:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    if list(variables)[:1] != ["datasource"] or "job" not in variables:
        yield "no variable datasource or job"
    for name, variable in variables.items():
        if variable["type"] == "query" and variable["refresh"] != 2:
            yield f"variable {name} does not follow the time range"
    used = {
        name for name in _VARIABLE.findall(str({**board, "templating": _queried(board)})) if not _BUILTIN.match(name)
    }
    yield from (f"${name} is not a variable" for name in sorted(used - set(variables)))
    yield from (f"variable {name} is not used" for name in sorted(set(variables) - used - {"jaeger", "loki"}))


def _queried(board: Board) -> list[object]:
    return [variable.get("query") for variable in board["templating"]["list"]]


def _panel(panel: Panel) -> Iterator[str]:
    if not panel["title"] or len(panel.get("description", "")) < 20:
        yield "no title, or no description of 20 characters"
    if panel["gridPos"]["w"] == 3 and len(panel["title"]) > LONGEST_TITLE:
        yield "its title is too long for its width"
    if not panel.get("targets"):
        yield "no query"
    if "uid" not in panel.get("datasource", {}):
        yield "no data source"
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    if panel["type"] not in _WITHOUT_UNIT and not defaults.get("unit"):
        yield "no unit"
    yield from _readability(panel, defaults)
    if defaults.get("unit") == "percent" and not all("_percent" in target["expr"] for target in panel["targets"]):
        yield "percent is for metrics that are percentages; ratios are percentunit"


def _readability(panel: Panel, defaults: Mapping[str, Any]) -> Iterator[str]:
    if panel["type"] == "timeseries" and defaults.get("min") != 0:
        yield "its axis does not begin at 0"
    if panel["type"] == "timeseries" and not (defaults.get("max") or defaults["custom"].get("axisSoftMax")):
        yield "its axis ends at 100 while all values are 0"
    if panel["type"] == "timeseries" and panel["options"]["legend"].get("placement") != "bottom":
        yield "its legend is not at the bottom"
    if panel["type"] in {"stat", "table", "bargauge"} and not defaults.get("noValue"):
        yield "no text for missing data (noValue)"
    if panel["type"] == "stat" and panel["options"].get("graphMode") != "none":
        yield "a sparkline runs through its digits"
    style = defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode")
    if style == "dashed" and "(dashed: " not in panel["title"]:
        yield "its title does not explain the dashed line"


def _links(panel: Panel, uids: set[str]) -> Iterator[str]:
    urls = re.findall(r"'url': '([^']*)'", str(panel))
    for url in urls:
        board = _BOARD_LINK.match(url)
        if board and board[1] not in uids:
            yield f"links to the board {board[1]}, which is not there"


def _queries(board: Board, known: Mapping[str, Metric], recorded: Mapping[str, frozenset[str]]) -> Iterator[str]:
    texts = [(panel["title"], target["expr"]) for panel, target in targets(board, "prometheus")]
    texts += [(f"annotation {one['name']}", one["expr"]) for one in board["annotations"]["list"]]
    for title, expr in texts:
        for problem in (*queries.problems(expr, known, frozenset(recorded)), *_habits(expr)):
            yield f"{title}: {problem}"
    for panel, target in targets(board, "prometheus"):
        labels = queries.result_labels(queries.parsed(target["expr"]), known, recorded)
        for name in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
            if name not in labels | {"le"}:
                yield f"{panel['title']}: the legend names {name}, which the result does not have"


def _habits(expr: str) -> Iterator[str]:
    """Windows are `$__rate_interval` or named in the title; metrics of a service are selected by `job`."""
    for window in re.findall(r"(?<!offset )\[(\w+)\]", expr):
        if window in {"1m", "2m"} and "changes" not in expr:
            yield f"a fixed window of {window}: use $__rate_interval"
    for selector in queries.selectors(queries.parsed(expr)):
        name = selector.name or ""
        chosen = {matcher.name for matcher in selector.matchers.matchers}
        if "job" not in chosen and not name.startswith(SHARED):
            yield f"{name} of every job"


def _thresholds(board: Board, alerts: list[Alert]) -> Iterator[str]:
    """A panel changes colour where its alert fires; other colour changes teach people to ignore colours."""
    limits: dict[str, set[float]] = {}
    for alert in alerts:
        limits.setdefault(alert.name, set()).update(one.limit for one in comparisons(alert.condition))
    for panel in panels(board):
        named = _ALERT_NAMES.findall(panel.get("description", ""))
        yield from (f"{panel['title']}: no alert is called {name}" for name in named if name not in limits)
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        steps = {step["value"] for step in defaults.get("thresholds", {}).get("steps", [])} - {None}
        allowed = {value for name in named for value in limits.get(name, ())} | {1.0} if named else None
        if allowed is not None and panel["type"] != "table" and not _mirrors(steps, allowed):
            yield f"{panel['title']}: changes colour at {sorted(steps)}, its alert at {sorted(allowed)}"


def _mirrors(steps: set[float], limits: set[float]) -> bool:
    """Whether each step is a limit in the unit of the panel: as the alert has it, per minute, or per cent."""
    return all(any(abs(step - limit * scale) < 1e-9 for limit in limits for scale in (1, 60, 100)) for step in steps)
