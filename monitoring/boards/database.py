"""The board "Database": statements by operation and table, connection pools, and where a request asks too often."""

from __future__ import annotations

from monitoring.boards.context import JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    Column,
    Link,
    PlacedPanel,
    Query,
    Row,
    bar_gauge_panel,
    heatmap_panel,
    logs_panel,
    stat_panel,
    table_panel,
    timeseries_panel,
    traces_link,
)
from monitoring.parameters import promql_number

DURATION = "db.client.operation.duration"
TABLE, OPERATION, POOL = "db_collection_name", "db_operation_name", "db_client_connection_pool_name"
FAILED = 'error_type!=""'
NO_DEFINITION = f'{OPERATION}!~"(CREATE|ALTER|DROP|TRUNCATE).*"'  # of tables: slow, and executed at a release only


def database(context: BoardContext) -> dict[str, object]:
    """The board about statements and connections, as the service sees them."""
    return context.board(
        "database",
        "Database",
        "Statements and connections as the service sees them: waiting for the network and for locks is part of a duration.",
        (
            Row("", _answers(context)),
            Row("Statements", _statements(context)),
            Row("Operations and tables", _tables(context)),
            Row("Slowest statements", _slowest(context)),
            Row("Connections", _connections(context)),
            Row("Repeated queries", _repeated(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
    )


def statements_per_minute(context: BoardContext, *matchers: str, by: str = "") -> str:
    """Statements per minute: the histogram counts them."""
    return f"60 * sum{f' by ({by}) ' if by else ''}({_named(context.rate(DURATION, *matchers, suffix='_count'))})"


def _named(series: str) -> str:
    """Statements on several tables, or on none, under the table `other`."""
    return f'label_replace({series}, "{TABLE}", "other", "{TABLE}", "")'


def _quantile(context: BoardContext, which: float, *by: str) -> str:
    matchers = (NO_DEFINITION,) if OPERATION in by else ()
    buckets = _named(context.rate(DURATION, *matchers, suffix="_bucket"))
    return f"histogram_quantile({which}, sum by ({', '.join((*by, 'le'))}) ({buckets}))"


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    recorded = context.recorded
    return (
        stat_panel(
            "Statements",
            "Statements per minute. Rising faster than requests: a request executes more of them.",
            "per minute",
            statements_per_minute(context),
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Per request",
            "Statements for each request. A jump after a release: a query in a loop (N+1).",
            "number",
            f"sum({context.rate(DURATION, suffix='_count')}) / (sum({context.rate('api.requests')}) > 0)",
            decimals=1,
            no_value="no traffic",
        ),
        stat_panel(
            "Slowest table",
            "The highest p95 of the statements on one table over five minutes. Above the limit, endpoints that use it are slow.",
            "seconds",
            f"topk(1, {recorded.sql_p95}{{{JOB}}})",
            legend="{{table}}",
            alert=context.threshold("SlowDatabase"),
            no_value="none",
        ),
        stat_panel(
            "Errors",
            "Statements that failed, per minute: conflicts, timeouts, lost connections. Normally 0.",
            "per minute",
            f"{statements_per_minute(context, FAILED)} or 0 * {statements_per_minute(context)}",
            decimals=1,
            no_value="none",
        ),
        stat_panel(
            "Fullest pool",
            "Connections in use, of those that the fullest pool may open. At 100 %, requests wait.",
            "ratio",
            f"max({recorded.pool_in_use}{{{JOB}}})",
            alert=context.threshold("DatabasePoolExhausted"),
            decimals=0,
            no_value="no pool",
        ),
        stat_panel(
            "Waiting requests",
            "Requests that wait for a connection now. Above 0 for long: the pool is too small, or connections are held too long.",
            "count",
            f"sum({context.selector('db.client.connection.pending_requests')})",
            decimals=0,
            no_value="no pool",
        ),
        stat_panel(
            "Timeouts, 5 m",
            "Requests that did not get a connection within the pool's timeout. Users see errors.",
            "count",
            f"round(max({recorded.pool_timeouts}{{{JOB}}}))",
            alert=context.threshold("DatabasePoolExhausted"),
            thresholds=[(None, "green"), (1, "red")],
            decimals=0,
            no_value="no pool",
        ),
        stat_panel(
            "Repeated, 1 h",
            "Statements that a request executed repeatedly in an hour. Load the rows together instead.",
            "count",
            f"round(sum(increase({context.selector('db.repeated_queries')}[1h])))",
            decimals=0,
            no_value="none",
        ),
    )


def _statements(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "Statements by table",
            "Statements per minute on the ten busiest tables.",
            "per minute",
            [Query(f"topk(10, {statements_per_minute(context, by=TABLE)})", f"{{{{{TABLE}}}}}")],
            calcs=(),
        ),
        timeseries_panel(
            "p95 by table",
            "95th percentile of the duration on the ten slowest tables. A diamond is one statement: click it to open its trace.",
            "seconds",
            [Query(f"topk(10, {_quantile(context, 0.95, TABLE)})", f"{{{{{TABLE}}}}}", exemplars=True)],
            alert=context.threshold("SlowDatabase"),
            links=(_slow_traces(context),),
            calcs=(),
        ),
        timeseries_panel(
            "Errors by class",
            "Failed statements per minute by the database's error code or the driver's class.",
            "per minute",
            [Query(f"topk(10, {statements_per_minute(context, FAILED, by='error_type')})", "{{error_type}}")],
            bars=True,
            no_value="none",
            calcs=("mean", "max"),
        ),
    )


def _slow_traces(context: BoardContext) -> Link:
    limit = context.service.thresholds.sql_p95_seconds
    return traces_link("Slow traces in Jaeger", minDuration=f"{promql_number(limit)}s")


def _tables(context: BoardContext) -> tuple[PlacedPanel, ...]:
    both = f"{OPERATION}, {TABLE}"
    failed, all_ = (
        _named(context.rate(DURATION, NO_DEFINITION, *matchers, suffix="_count")) for matchers in ((FAILED,), ())
    )
    alert = context.threshold("SlowDatabase")
    return (
        table_panel(
            "Operations and tables",
            "Every operation on every table, without definitions such as CREATE TABLE. Coloured: above the threshold of the alert.",
            {OPERATION: "Operation", TABLE: "Table"},
            [
                Column("Per minute", "per minute", statements_per_minute(context, NO_DEFINITION, by=both), decimals=1),
                Column("Failing", "ratio", context.ratio_by(both, failed, all_), decimals=1),
                Column("p50", "seconds", f"{_quantile(context, 0.5, OPERATION, TABLE)} >= 0"),
                Column("p95", "seconds", f"{_quantile(context, 0.95, OPERATION, TABLE)} >= 0", alert=alert),
                Column("p99", "seconds", f"{_quantile(context, 0.99, OPERATION, TABLE)} >= 0", alert=alert),
            ],
            alert=alert,
            no_value="no statements",
            sort="Per minute",
            first_width=120,
            height=10,
        ),
        bar_gauge_panel(
            "Time spent, by table",
            "Seconds spent in each second: rate times duration. Optimising the first table saves most.",
            "seconds",
            Query(
                f"sort_desc(topk(8, sum by ({TABLE}) ({_named(context.rate(DURATION, suffix='_sum'))})))",
                f"{{{{{TABLE}}}}}",
            ),
            no_value="no statements",
            height=10,
        ),
    )


def _slowest(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "Slowest statements",
            "99th percentile of the duration of the ten slowest operations, without definitions such as CREATE TABLE. A diamond is one"
            " statement: its trace has the text.",
            "seconds",
            [
                Query(
                    f"topk(10, {_quantile(context, 0.99, OPERATION, TABLE)})",
                    f"{{{{{OPERATION}}}}} {{{{{TABLE}}}}}",
                    exemplars=True,
                )
            ],
            links=(_slow_traces(context),),
            calcs=(),
            width=12,
        ),
        heatmap_panel(
            "Distribution of durations",
            "Each cell is a time and a range of durations; its colour is the number of statements. A second band: a statement"
            " without an index, or one that waits for locks.",
            f"sum by (le) ({context.rate(DURATION, suffix='_bucket')})",
        ),
    )


def _connections(context: BoardContext) -> tuple[PlacedPanel, ...]:
    count = "db.client.connection.count"
    return (
        timeseries_panel(
            "Connections",
            "Connections of all processes by state, and how many they may open.",
            "count",
            [
                Query(_all_pools(context.selector(count, _state("used"))), "in use"),
                Query(_all_pools(context.selector(count, _state("idle"))), "idle"),
                Query(_all_pools(context.selector("db.client.connection.max")), "maximum"),
            ],
            dashed=("maximum",),
            decimals=0,
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Pool in use",
            "Connections in use, of those that the fullest pool may open. Above the dashed line, the alert pages.",
            "ratio",
            [Query(f"max({context.recorded.pool_in_use}{{{JOB}}})", "fullest pool")],
            alert=context.threshold("DatabasePoolExhausted"),
            maximum=1,
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Waiting and timeouts",
            "Requests that wait for a connection, and those that waited in vain in each interval.",
            "count",
            [
                Query(f"sum({context.selector('db.client.connection.pending_requests')})", "waiting"),
                Query(f"sum(increase({context.selector('db.client.connection.timeouts')}[{INTERVAL}]))", "timeouts"),
            ],
            colours={"timeouts": "red"},
            decimals=0,
            calcs=("max",),
        ),
    )


def _all_pools(series: str) -> str:
    """The sum over pools. After a restart with a new version the old series remain for five minutes: each pool counts once."""
    return f"sum(max by (instance, {POOL}) ({series}))"


def _state(name: str) -> str:
    return f'db_client_connection_state="{name}"'


def _repeated(context: BoardContext) -> tuple[PlacedPanel, ...]:
    repeated = "db.repeated_queries"
    return (
        timeseries_panel(
            "Repeated queries",
            "Statements that one request executed repeatedly, per minute, by route. A new route: look at the last release.",
            "per minute",
            [Query(f"topk(10, {context.per_minute(repeated, by='route')})", "{{route}}")],
            calcs=("mean", "max"),
            width=12,
            height=7,
        ),
        bar_gauge_panel(
            "Repeated queries, 24 h",
            "Statements that one request executed repeatedly in 24 hours, by route.",
            "count",
            Query(
                f"sort_desc(topk(8, round(sum by (route) (increase({context.selector(repeated)}[24h])))))", "{{route}}"
            ),
            decimals=0,
            long_names=True,
            width=12,
            height=7,
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Logs about the database",
        "Warnings and errors that name the database, newest first. Click a trace id to open its trace.",
        '{service_name=~"$job"} |~ "(?i)sql|database|deadlock|pool" | detected_level=~"warn|error|critical"',
        height=5,
    )
