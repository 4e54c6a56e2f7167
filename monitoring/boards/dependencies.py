"""The board "Dependencies": calls to other services by host, and the process that makes them."""

from __future__ import annotations

from monitoring.boards.context import JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    Column,
    PlacedPanel,
    Query,
    Row,
    bar_gauge_panel,
    logs_panel,
    stat_panel,
    table_panel,
    timeseries_panel,
    traces_link,
)

DURATION = "http.client.request.duration"
HOST = "server_address"
FAILED = 'error_type!=""'


def dependencies(context: BoardContext) -> dict[str, object]:
    """The board about what the service needs: other services, and its own process."""
    return context.board(
        "dependencies",
        "Dependencies",
        "Calls to other services (WordPress, AI providers and others), the stores, and the state of the service's own processes.",
        (
            Row("", _answers(context)),
            Row("Outgoing calls", _calls(context)),
            Row("Hosts", _hosts(context)),
            Row("Process and runtime", _process(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
    )


def _per_minute(context: BoardContext, *matchers: str, by: str = "") -> str:
    return f"60 * sum{f' by ({by}) ' if by else ''}({context.rate(DURATION, *matchers, suffix='_count')})"


def _counts(context: BoardContext, *matchers: str) -> str:
    return context.rate(DURATION, *matchers, suffix="_count")


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    up_down = {"0": ("DOWN", "red"), "1": ("UP", "green")}
    return (
        stat_panel(
            "Outgoing calls",
            "HTTP requests to other services per minute.",
            "per minute",
            _per_minute(context),
            decimals=1,
            no_value="none",
        ),
        stat_panel(
            "Failing calls",
            "Ratio of calls that ended with an error: no connection, a timeout, or a 4xx or 5xx status.",
            "ratio",
            context.ratio(_counts(context, FAILED), _counts(context)),
            decimals=1,
            no_value="none",
        ),
        stat_panel(
            "Slowest host",
            "The highest p95 of all hosts. When it rises, the endpoints that call it are slow as well.",
            "seconds",
            f"topk(1, {context.quantile_of(DURATION, 0.95, by=[HOST])} >= 0)",
            legend=f"{{{{{HOST}}}}}",
            no_value="none",
        ),
        stat_panel(
            "PostgreSQL",
            "DOWN: the exporter cannot reach the database, or does not respond itself.",
            "number",
            "min(pg_up)",
            alert=context.threshold("DatabaseConnectionDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            value_texts=up_down,
            no_value="no target",
        ),
        stat_panel(
            "Redis",
            "DOWN: the exporter cannot reach Redis, or does not respond itself.",
            "number",
            "min(redis_up)",
            alert=context.threshold("RedisConnectionDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            value_texts=up_down,
            no_value="no target",
        ),
        stat_panel(
            "Loop blocked",
            "Share of the time in which the event loop of the most blocked process could run nothing else.",
            "ratio",
            f"max({context.recorded.event_loop_blocked}{{{JOB}}})",
            alert=context.threshold("EventLoopBlocked"),
            decimals=1,
            no_value="no data",
        ),
        stat_panel(
            "Process memory",
            "Physical memory of the largest process. Rising without end: a leak.",
            "bytes",
            f"max({context.selector('process.memory.usage')})",
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Open files",
            "File descriptors of the process with the most, sockets included. The limit is often 1024 (`ulimit -n`).",
            "count",
            f"max({context.selector('process.unix.file_descriptor.count')})",
            decimals=0,
            no_value="no data",
        ),
    )


def _calls(context: BoardContext) -> tuple[PlacedPanel, ...]:
    traces = traces_link("Slow traces in Jaeger", minDuration="2s")
    return (
        timeseries_panel(
            "Calls by host",
            "HTTP requests to other services per minute. A host that disappears: nothing calls it any more, or its name changed.",
            "per minute",
            [Query(f"topk(10, {_per_minute(context, by=HOST)})", f"{{{{{HOST}}}}}")],
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Failing calls by host",
            "Ratio of calls that ended with an error, by host. One host: its service has a problem. All: our network has one.",
            "ratio",
            [
                Query(
                    f"topk(10, {context.ratio_by(HOST, _counts(context, FAILED), _counts(context))})", f"{{{{{HOST}}}}}"
                )
            ],
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "p95 by host",
            "95th percentile of the duration of calls. A diamond is one call: click it to open its trace.",
            "seconds",
            [Query(f"topk(10, {context.quantile_of(DURATION, 0.95, by=[HOST])})", f"{{{{{HOST}}}}}", exemplars=True)],
            links=(traces,),
            calcs=("mean", "max"),
        ),
    )


def _hosts(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        table_panel(
            "All hosts",
            "Every host that the service calls.",
            {HOST: "Host"},
            [
                Column("Per minute", "per minute", _per_minute(context, by=HOST), decimals=1),
                Column(
                    "Failing", "ratio", context.ratio_by(HOST, _counts(context, FAILED), _counts(context)), decimals=1
                ),
                Column("p50", "seconds", f"{context.quantile_of(DURATION, 0.5, by=[HOST])} >= 0"),
                Column("p95", "seconds", f"{context.quantile_of(DURATION, 0.95, by=[HOST])} >= 0"),
                Column("p99", "seconds", f"{context.quantile_of(DURATION, 0.99, by=[HOST])} >= 0"),
            ],
            no_value="no calls",
            sort="Per minute",
            height=7,
        ),
        bar_gauge_panel(
            "Errors by status or class, 24 h",
            "Failed calls in 24 hours: 429 is a rate limit, 5xx the other service's failure, a class the network's.",
            "count",
            Query(
                "sort_desc(topk(8, round(sum by (error_type) (increase("
                f"{context.selector(DURATION, FAILED, suffix='_count')}[24h])))))",
                "{{error_type}}",
            ),
            decimals=0,
            height=7,
        ),
    )


def _process(context: BoardContext) -> tuple[PlacedPanel, ...]:
    each = "max by (instance)"
    return (
        timeseries_panel(
            "Event loop blocked",
            "Share of the time in which a process could run nothing else. Above the dashed line for five minutes, the alert fires.",
            "ratio",
            [Query(f"{each} (rate({context.selector('event_loop.lag', suffix='_sum')}[{INTERVAL}]))", "{{instance}}")],
            alert=context.threshold("EventLoopBlocked"),
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Event loop lag",
            "Delay of timers: the time that a ready task waits for others. Every request waits as long several times.",
            "seconds",
            [
                Query(context.quantile_of("event_loop.lag", 0.5), "p50"),
                Query(context.quantile_of("event_loop.lag", 0.99), "p99"),
            ],
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Garbage collections",
            "Collections per minute by generation. Generation 2 examines every object: often is expensive.",
            "per minute",
            [
                Query(
                    context.per_minute("cpython.gc.collections", by="cpython_gc_generation"),
                    "generation {{cpython_gc_generation}}",
                )
            ],
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Memory by process",
            "Physical memory of each process. Rising without end: a leak.",
            "bytes",
            [Query(f"{each} ({context.selector('process.memory.usage')})", "{{instance}}")],
            calcs=("lastNotNull", "max"),
        ),
        timeseries_panel(
            "Threads by process",
            "Threads of each process. Rising without end: threads that never finish.",
            "count",
            [Query(f"{each} ({context.selector('process.thread.count')})", "{{instance}}")],
            decimals=0,
            calcs=("lastNotNull", "max"),
        ),
        timeseries_panel(
            "Open files by process",
            "File descriptors of each process, sockets included. Rising without end: connections are not closed.",
            "count",
            [Query(f"{each} ({context.selector('process.unix.file_descriptor.count')})", "{{instance}}")],
            decimals=0,
            calcs=("lastNotNull", "max"),
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Logs about other services",
        "Warnings and errors about calls to other services, newest first. Click a trace id to open its trace.",
        '{service_name=~"$job"} |~ "(?i)answered|provider|wordpress|timeout|connect" | detected_level=~"warn|error|critical"',
    )
