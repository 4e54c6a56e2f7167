"""The panels of our boards: a thin layer over Grafana's own types, named after Grafana's panel types.

Units, thresholds and colours are chosen here once. A board gives each panel its title, query and the alert whose threshold it shows.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

from grafana_foundation_sdk.builders import bargauge, heatmap, logs, stat, table, timeseries
from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import loki as build_loki
from grafana_foundation_sdk.builders import prometheus as build_prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard, units
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.parameters import percent, promql_number
from monitoring.rules.model import Alert

GRID: Final = 24
NUMBER_WIDTH: Final = 112  # pixels of a table's column

# Data sources are variables, so that a board works in any Grafana; the provisioned uids are their first values.
PROMETHEUS: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
LOKI: Final = common.DataSourceRef(type_val="loki", uid="${loki}")
JAEGER_UID: Final = "${jaeger}"
SOURCES: Final = (  # variable, kind, name, uid (collector/backends/grafana/provisioning/datasources)
    ("datasource", "prometheus", "Prometheus", "blogauto-prometheus"),
    ("loki", "loki", "Loki", "blogauto-loki"),
    ("jaeger", "jaeger", "Jaeger", "blogauto-jaeger"),
)

GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"
STATUS_COLOURS: Final = {"2xx": "green", "3xx": "blue", "4xx": "orange", "5xx": "red"}
SEVERITY_COLOURS: Final = {"critical": RED, "warning": ORANGE, "none": GREY}

UNITS: Final[Mapping[str, str]] = {
    "requests/s": units.RequestsPerSecond,
    "requests/min": "count:req/min",  # Grafana's own are abbreviated: req/m, c/m, c/s
    "per second": "count:/s",
    "per minute": "count:/min",
    "seconds": units.Seconds,
    "percent": units.Percent,
    "ratio": units.PercentUnit,
    "bytes": units.BytesIEC,
    "count": units.LocaleFormat,
    "number": units.NoUnit,
}

# Where an axis ends at least: Grafana draws one of zeros to 100, which is 10,000 % of a ratio.
SHORTEST_AXIS: Final[Mapping[str, float]] = {
    "requests/s": 1,
    "requests/min": 1,
    "per second": 1,
    "per minute": 1,
    "seconds": 0.001,
    "percent": 1,
    "ratio": 0.01,
    "bytes": 1024,
    "count": 1,
    "number": 0.01,
}

HIDDEN: Final = ("placement", "inControlsMenu")
INTERVAL: Final = "$__rate_interval"


@dataclass(frozen=True)
class Query:
    """One PromQL query and the legend of its series."""

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class AlertThreshold:
    """The threshold of an alert, for the panel that shows the value: the panel changes colour there and names the alert."""

    alert: Alert
    limit: float
    bad: Literal["above", "below"] = "above"

    @property
    def colour(self) -> str:
        """Red for an alert that pages, orange for one that can wait."""
        return SEVERITY_COLOURS[self.alert.severity]


@dataclass(frozen=True)
class Link:
    """What a click on a value opens."""

    title: str
    url: str


@dataclass(frozen=True)
class PlacedPanel:
    """A panel and its size on the grid of 24 columns."""

    panel: dashboard.Panel
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """A row title and its panels from left to right; a tuple of panels is stacked. Without a title there is no heading."""

    title: str
    panels: tuple[PlacedPanel | tuple[PlacedPanel, ...], ...] = field(default_factory=tuple)
    collapsed: bool = False


# --- panels -------------------------------------------------------------------------------------------------------------


def stat_panel(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    alert: AlertThreshold | None = None,
    no_value: str,
    decimals: float | None = None,
    value_texts: Mapping[str, tuple[str, str]] | None = None,
    colour: str = BLUE,
    thresholds: Sequence[tuple[float | None, str]] | None = None,
    legend: str = "",
    width: int = 3,
    height: int = 4,
    links: Sequence[Link] = (),
    time_from: str | None = None,
) -> PlacedPanel:
    """One number, with the name of its series when `legend` is given.

    Its background has the colour of the alert's severity when the alert's threshold is exceeded.
    """
    mode = common.BigValueColorMode.BACKGROUND if alert or value_texts or thresholds else common.BigValueColorMode.VALUE
    builder = (
        stat.Panel()
        .color_mode(mode)
        .graph_mode(common.BigValueGraphMode.NONE)  # a sparkline would run through the digits
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME if legend else common.BigValueTextMode.VALUE)
        .justify_mode(common.BigValueJustifyMode.AUTO)
        .wide_layout(False)
        .reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    panel = _panel(builder.build(), title, description, [_prometheus(Query(expr, legend), 0, instant=True)], alert)
    defaults = _defaults(panel, unit, decimals)
    defaults.no_value = no_value
    defaults.color = dashboard.FieldColor(mode=dashboard.FieldColorModeId.THRESHOLDS)
    defaults.thresholds = _thresholds(thresholds or _steps(alert, colour))
    if value_texts:
        defaults.mappings = [_value_mappings(value_texts)]
    defaults.links = _links(links)
    panel.time_from = time_from
    return PlacedPanel(panel, width, height)


def timeseries_panel(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    *,
    alert: AlertThreshold | None = None,
    stacked: bool = False,
    bars: bool = False,
    colours: Mapping[str, str] | None = None,
    dashed: Sequence[str] = (),
    dashes: Mapping[str, Sequence[int]] | None = None,
    maximum: float | None = None,
    decimals: float | None = None,
    interval: str | None = None,
    time_from: str | None = None,
    no_value: str | None = None,
    links: Sequence[Link] = (),
    calcs: Sequence[str] = ("mean", "lastNotNull", "max"),
    width: int = 8,
    height: int = 9,
) -> PlacedPanel:
    """Values over time. The alert's threshold is a dashed line, which the title explains.

    `dashed` names limits drawn as grey dashed lines, `dashes` gives series their own dash pattern. `no_value` is
    for what has no series while all is well: Grafana would write "No data", as it does when the metric is missing.
    """
    style = common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE
    stacking = build_common.StackingConfig().mode(common.StackingMode.NORMAL if stacked else common.StackingMode.NONE)
    legend_mode = common.LegendDisplayMode.TABLE if calcs else common.LegendDisplayMode.LIST
    builder = (
        timeseries.Panel()
        .draw_style(style)
        .fill_opacity(80 if bars else 20 if stacked else 8)
        .line_width(1 if bars else 1.5)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)
        .axis_soft_min(0)
        .stacking(stacking.group("A"))
        .thresholds_style(
            build_common.GraphThresholdsStyleConfig().mode(
                common.GraphThresholdsStyleMode.DASHED if alert else common.GraphThresholdsStyleMode.OFF
            )
        )
        .legend(
            build_common.VizLegendOptions()
            .display_mode(legend_mode)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(list(calcs))
        )
        .tooltip(
            build_common.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )
    if maximum is None:
        builder = builder.axis_soft_max(SHORTEST_AXIS[unit])
    targets = [_prometheus(query, index) for index, query in enumerate(queries)]
    shown = f"{title} (dashed: {_limit(alert.limit, unit)})" if alert else title
    panel = _panel(builder.build(), shown, description, targets, alert)
    defaults = _defaults(panel, unit, decimals)
    defaults.min_val = 0
    defaults.max_val = maximum
    defaults.no_value = no_value
    defaults.color = dashboard.FieldColor(mode=dashboard.FieldColorModeId.PALETTE_CLASSIC)
    defaults.thresholds = _thresholds(_steps(alert, GREEN))
    defaults.links = _links(links)
    panel.interval = interval
    panel.time_from = time_from
    _fixed_colours(panel, colours or {})
    for name in dashed:
        _dashed(panel, name)
    for name, pattern in (dashes or {}).items():
        _override(panel, name, {"custom.lineStyle": {"fill": "dash", "dash": list(pattern)}, "custom.lineWidth": 2})
    return PlacedPanel(panel, width, height)


def bar_gauge_panel(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    alert: AlertThreshold | None = None,
    decimals: float | None = None,
    no_value: str = "none",
    width: int = 8,
    height: int = 9,
    time_from: str | None = None,
    links: Sequence[Link] = (),
    long_names: bool = False,
) -> PlacedPanel:
    """One bar for each series, with its latest value; long names, such as those of routes, are above the bars."""
    placement = common.BarGaugeNamePlacement.TOP if long_names else common.BarGaugeNamePlacement.LEFT
    builder = (
        bargauge.Panel()
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .name_placement(placement)
        .show_unfilled(True)
        .min_viz_height(16)
        .max_viz_height(32)
        .reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    panel = _panel(builder.build(), title, description, [_prometheus(query, 0, instant=True)], alert)
    defaults = _defaults(panel, unit, decimals)
    defaults.min_val = 0
    defaults.no_value = no_value
    defaults.color = dashboard.FieldColor(mode=dashboard.FieldColorModeId.THRESHOLDS)
    defaults.thresholds = _thresholds(_steps(alert, BLUE))
    defaults.links = _links(links)
    panel.time_from = time_from
    return PlacedPanel(panel, width, height)


@dataclass(frozen=True)
class Column:
    """A column of a table: a query, its heading and unit; with an alert, its cells take the colours of the threshold."""

    title: str
    unit: str
    expr: str
    alert: AlertThreshold | None = None
    decimals: float | None = None
    no_value: str = "-"  # for a row without a value, such as the duration of an endpoint without traffic


def table_panel(
    title: str,
    description: str,
    by: Mapping[str, str],
    queries: Sequence[Column],
    *,
    alert: AlertThreshold | None = None,
    no_value: str = "none",
    links: Sequence[Link] = (),
    sort: str = "",
    hidden: Sequence[str] = (),
    first_width: int | None = None,
    width: int = 16,
    height: int = 9,
) -> PlacedPanel:
    """A table with one row for each value of the labels `by` (label to heading) and one column for each query.

    Numbers have narrow columns; the labels share what is left, or the first of them is `first_width` pixels wide.
    """
    builder = table.Panel().show_header(True).cell_height(common.TableCellHeight.SM)
    if sort:
        builder = builder.sort_by([build_common.TableSortByFieldState().display_name(sort).desc(True)])
    targets = [
        _prometheus(Query(query.expr), index, instant=True, kind=PromQueryFormat.TABLE)
        for index, query in enumerate(queries)
    ]
    panel = _panel(builder.build(), title, description, targets, alert)
    defaults = _defaults(panel, "number", None)
    defaults.no_value = no_value
    defaults.color = dashboard.FieldColor(mode=dashboard.FieldColorModeId.THRESHOLDS)
    defaults.thresholds = _thresholds([(None, GREY)])
    values = (
        ["Value"] if len(queries) == 1 else [f"Value #{letter}" for letter in string.ascii_uppercase[: len(queries)]]
    )
    names = {**by, **dict(zip(values, (query.title for query in queries), strict=True))}
    panel.transformations = [
        dashboard.DataTransformerConfig(id_val="merge", options={}),
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", *hidden), True),
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": names,
            },
        ),
    ]
    for query in queries:
        _override(panel, query.title, _column(query) | {"custom.width": NUMBER_WIDTH})
    first: dict[str, object] = {} if first_width is None else {"custom.width": first_width}
    if links:
        first["links"] = [link.to_json() for link in _links(links) or ()]
    if first:
        _override(panel, next(iter(by.values())), first)
    if "Severity" in by.values():
        _override(panel, "Severity", {"mappings": _severities(), "custom.cellOptions": {"type": "color-text"}})
    return PlacedPanel(panel, width, height)


def heatmap_panel(
    title: str, description: str, expr: str, *, unit: str = "per second", width: int = 12, height: int = 9
) -> PlacedPanel:
    """A heatmap of a histogram's buckets: how many requests took how long, over time."""
    builder = (
        heatmap.Panel()
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .cell_gap(1)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .y_axis(heatmap.YAxisConfig().unit(units.Seconds).axis_placement(common.AxisPlacement.LEFT))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.LE))
        .cell_values(heatmap.CellValues().unit(UNITS[unit]))
        .exemplars_color("rgba(255,0,255,0.7)")
        .show_legend()
    )
    query = Query(expr, "{{le}}", exemplars=True)
    panel = _panel(builder.build(), title, description, [_prometheus(query, 0, kind=PromQueryFormat.HEATMAP)], None)
    _defaults(panel, unit, None)
    return PlacedPanel(panel, width, height)


def logs_panel(title: str, description: str, expr: str, *, width: int = 24, height: int = 9) -> PlacedPanel:
    """Log lines, newest first; a trace id in one leads to Jaeger."""
    builder = (
        logs.Panel()
        .show_time(True)
        .show_labels(False)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
    )
    query = build_loki.Dataquery().datasource(LOKI).expr(expr).ref_id("A").query_type("range").max_lines(200).build()
    panel = builder.build()
    panel.title, panel.description, panel.datasource, panel.targets = title, description, LOKI, [query]
    return PlacedPanel(panel, width, height)


# --- links ---------------------------------------------------------------------------------------------------------------


def board_link(title: str, uid: str, **variables: str) -> Link:
    """Another board, with the same time range; a variable's value may be a field, such as `${__field.labels.endpoint}`."""
    parts = "".join(f"&var-{name}={value}" for name, value in variables.items())
    return Link(title, f"/d/{uid}?${{__url_time_range}}{parts}")


def traces_link(title: str, **query: str) -> Link:
    """A search in Jaeger: `service`, `operation`, `tags`, `minDuration`."""
    return Link(title, _explore("jaeger", JAEGER_UID, {"queryType": "search", "service": "${job}", **query}))


def logs_link(title: str, expr: str) -> Link:
    """A search in Loki."""
    return Link(title, _explore("loki", "${loki}", {"expr": expr}))


def _explore(kind: str, uid: str, query: Mapping[str, object]) -> str:
    queries = [{"refId": "A", "datasource": {"type": kind, "uid": uid}, **query}]
    pane = {"p": {"datasource": uid, "queries": queries, "range": {"from": "${__from}", "to": "${__to}"}}}
    return "/explore?schemaVersion=1&orgId=1&panes=" + quote(json.dumps(pane, separators=(",", ":")), safe="${}:.")


# --- parts --------------------------------------------------------------------------------------------------------------


def _panel(
    panel: dashboard.Panel,
    title: str,
    description: str,
    targets: Sequence[object],
    alert: AlertThreshold | None,
) -> dashboard.Panel:
    panel.title = title
    panel.description = description + (f" Alert: {alert.alert.name}." if alert else "")
    panel.datasource = PROMETHEUS
    panel.targets = list(targets)  # type: ignore[arg-type]  # the SDK's Dataquery is a protocol without members
    return panel


def _prometheus(query: Query, index: int, *, instant: bool = False, kind: PromQueryFormat | None = None) -> object:
    target = build_prometheus.Dataquery().datasource(PROMETHEUS).expr(query.expr).ref_id(string.ascii_uppercase[index])
    target = target.instant() if instant else target.range()
    if query.legend:
        target = target.legend_format(query.legend)
    if query.exemplars:
        target = target.exemplar(True)
    if kind is not None:
        target = target.format(kind)
    return target.build()


def _defaults(panel: dashboard.Panel, unit: str, decimals: float | None) -> dashboard.FieldConfig:
    if panel.field_config is None:
        panel.field_config = dashboard.FieldConfigSource()
    defaults = panel.field_config.defaults
    defaults.unit = UNITS[unit]
    defaults.decimals = decimals
    return defaults


def _steps(alert: AlertThreshold | None, normal: str) -> list[tuple[float | None, str]]:
    if alert is None:
        return [(None, normal)]
    if alert.bad == "above":
        return [(None, GREEN), (alert.limit, alert.colour)]
    return [(None, alert.colour), (alert.limit, GREEN)]


def _limit(limit: float, unit: str) -> str:
    """A limit with its unit, for a title: `limit 5 %`."""
    if unit == "ratio":
        return f"limit {percent(limit)}"
    if unit == "seconds" and limit >= 60:
        return f"limit {promql_number(limit / 60)} min"
    suffix = {"percent": " %", "seconds": " s", "requests/min": " req/min"}.get(unit, "")
    return f"limit {promql_number(limit)}{suffix}"


def _thresholds(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig(
        mode=dashboard.ThresholdsMode.ABSOLUTE,
        steps=[dashboard.Threshold(value=value, color=colour) for value, colour in steps],
    )


def _value_mappings(value_texts: Mapping[str, tuple[str, str]]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            value: dashboard.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(value_texts.items())
        }
    )


def _links(links: Sequence[Link]) -> list[dashboard.DashboardLink] | None:
    return [dashboard.DashboardLink(title=link.title, url=link.url) for link in links] or None


def _override(panel: dashboard.Panel, name: str, properties: Mapping[str, object], *, regex: bool = False) -> None:
    assert panel.field_config is not None
    matcher = dashboard.MatcherConfig(id_val="byRegexp" if regex else "byName", options=name)
    values = [dashboard.DynamicConfigValue(id_val=key, value=value) for key, value in properties.items()]
    panel.field_config.overrides.append(
        dashboard.DashboardFieldConfigSourceOverrides(matcher=matcher, properties=values)
    )


def _fixed_colours(panel: dashboard.Panel, colours: Mapping[str, str]) -> None:
    for name, colour in colours.items():
        _override(panel, name, {"color": {"mode": "fixed", "fixedColor": colour}})


def _dashed(panel: dashboard.Panel, name: str) -> None:
    style = {"fill": "dash", "dash": [8, 6]}
    _override(
        panel,
        name,
        {"custom.lineStyle": style, "custom.fillOpacity": 0, "color": {"mode": "fixed", "fixedColor": "text"}},
    )


def _severities() -> list[object]:
    options = {name: {"color": colour, "index": index} for index, (name, colour) in enumerate(SEVERITY_COLOURS.items())}
    return [{"type": "value", "options": options}]


def _column(column: Column) -> dict[str, object]:
    properties: dict[str, object] = {"unit": UNITS[column.unit], "noValue": column.no_value}
    if column.decimals is not None:
        properties["decimals"] = column.decimals
    if column.alert is not None:
        # Only a value beyond the threshold is coloured: a green dash would say that all is well.
        steps = [
            {"value": value, "color": GREY if colour == GREEN else colour}
            for value, colour in _steps(column.alert, GREEN)
        ]
        properties["thresholds"] = {"mode": "absolute", "steps": steps}
        properties["custom.cellOptions"] = {"type": "color-text"}
    return properties


# --- boards --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variable:
    """A variable at the top of a board: the values of a label, from `label_values(...)`."""

    name: str
    label: str
    query: str
    first: str = ""
    several: bool = False


def board(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    tag: str,
    variables: Sequence[Variable],
    annotations: Sequence[dashboard.AnnotationQuery],
    time_from: str = "now-1h",
) -> dict[str, object]:
    """A board as Grafana's classic JSON, read-only, with its panels numbered and placed."""
    built = dashboard.Dashboard(
        uid=uid,
        title=title,
        description=description,
        tags=[tag],
        timezone="browser",
        editable=False,
        graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
        time=dashboard.DashboardDashboardTime(from_val=time_from, to="now"),
        refresh="30s",
        panels=_placed(rows),
        templating=dashboard.DashboardDashboardTemplating(
            list_val=[*(_source(*source) for source in SOURCES), *map(_variable, variables)]
        ),
        annotations=dashboard.AnnotationContainer(list_val=list(annotations)),
        links=[_board_dropdown(tag)],
    )
    document: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    return {key: _without_hidden(value) for key, value in document.items()}


def _placed(rows: Sequence[Row]) -> list[dashboard.Panel | dashboard.RowPanel]:
    """Rows and panels with positions and ids. Panels of a collapsed row are inside it, and take no room below it."""
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    top, number = 0, 1
    for row in rows:
        inside: list[dashboard.Panel] = []
        heading = dashboard.RowPanel(title=row.title, collapsed=row.collapsed, panels=[])
        if row.title:
            heading.grid_pos = dashboard.GridPos(h=1, w=GRID, x=0, y=top)
            heading.id_val, number = number, number + 1
            placed.append(heading)
            top += 1
        bottom = _place_panels(row, top, inside)
        for panel in inside:
            panel.id_val, number = number, number + 1
        if row.collapsed:
            heading.panels = inside
        else:
            placed += inside
            top = bottom
    return placed


def _place_panels(row: Row, top: int, into: list[dashboard.Panel]) -> int:
    """Place the panels of a row from left to right, and return the first free line below them."""
    left, tallest = 0, 0
    for entry in row.panels:
        stack = (entry,) if isinstance(entry, PlacedPanel) else entry
        if left + stack[0].width > GRID:
            left, top, tallest = 0, top + tallest, 0
        below = top
        for one in stack:
            one.panel.grid_pos = dashboard.GridPos(h=one.height, w=one.width, x=left, y=below)
            into.append(one.panel)
            below += one.height
        left, tallest = left + stack[0].width, max(tallest, below - top)
    return top + tallest


def _variable(variable: Variable) -> dashboard.VariableModel:
    everything = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    first = dashboard.VariableOption(selected=True, text=variable.first, value=variable.first)
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY,
        name=variable.name,
        label=variable.label,
        datasource=PROMETHEUS,
        query={"qryType": 1, "query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        definition=variable.query,
        current=everything if variable.several else first,
        multi=variable.several,
        include_all=variable.several,
        all_value=".+" if variable.several else None,
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC,
    )


def _source(name: str, kind: str, label: str, uid: str) -> dashboard.VariableModel:
    hide = dashboard.VariableHide.DONT_HIDE if name == "datasource" else dashboard.VariableHide.HIDE_VARIABLE
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.DATASOURCE,
        name=name,
        label=label,
        query=kind,
        hide=hide,
        current=dashboard.VariableOption(selected=True, text=label, value=uid),
    )


def annotation(name: str, expr: str, *, title: str, colour: str) -> dashboard.AnnotationQuery:
    """Marks in every time series panel where `expr` has a result."""
    return dashboard.AnnotationQuery(
        name=name,
        datasource=PROMETHEUS,
        enable=True,
        icon_color=colour,
        expr=expr,
        title_format=title,
        step="30s",
        target=None,
    )


def _board_dropdown(tag: str) -> dashboard.DashboardLink:
    """A dropdown with the other boards, which keeps the time range and variables."""
    return dashboard.DashboardLink(
        title="Boards",
        type_val=dashboard.DashboardLinkType.DASHBOARDS,
        icon="external link",
        tags=[tag],
        as_dropdown=True,
        include_vars=True,
        keep_time=True,
    )


def _without_hidden(value: object) -> object:
    """Remove the setting by which the SDK hides links and annotations in a menu."""
    if isinstance(value, dict):
        return {key: _without_hidden(entry) for key, entry in value.items() if (key, entry) != HIDDEN}
    return [_without_hidden(entry) for entry in value] if isinstance(value, list) else value
