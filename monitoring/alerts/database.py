"""Alerts about the service's own use of its database: a pool without free connections, and slow statements."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, UnitTests
from monitoring.alerts.samples import BACKEND, JOB
from monitoring.parameters import Service, percent, promql_number
from monitoring.rules.conditions import And, Comparison, Or
from monitoring.rules.model import Alert
from monitoring.rules.recorded import Recorded


def database_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (_database_pool_exhausted(service), _slow_database(service))


def _database_pool_exhausted(service: Service) -> AlertDefinition:
    recorded, limits = Recorded(service), service.thresholds
    return AlertDefinition(
        Alert(
            name="DatabasePoolExhausted",
            severity="critical",
            category="saturation",
            condition=Or(
                (
                    Comparison(recorded.pool_in_use, ">", limits.pool_ratio),
                    Comparison(f"round({recorded.pool_timeouts})", ">", 0),
                )
            ),
            pending_for="2m",
            keep_firing_for="5m",
            summary="{{ $labels.job }} has no free database connections.",
            description=(
                f"More than {percent(limits.pool_ratio)} of a pool's connections are in use, or requests waited for one"
                " until they failed. Requests that need the database wait."
            ),
            board="database",
            comment="The fullest pool of the fullest process: one worker without connections fails its requests.",
        ),
        Trigger(
            "run the drill, which lowers the limit below the current usage instead of occupying every connection",
            command="python -m monitoring drill DatabasePoolExhausted",
            drill=True,
            threshold=("pool_ratio", -1, 2),
        ),
        _DATABASE_POOL_EXHAUSTED_TESTS,
    )


def _pool(used: str, timeouts: str = "0x400", *, instance: str = "a") -> dict[str, str]:
    """One pool of at most ten connections, in one process."""
    where = f'job="blogauto-backend",instance="{instance}",db_client_connection_pool_name="main"'
    return {
        f'db_client_connection_count{{{where},db_client_connection_state="used"}}': used,
        f'db_client_connection_count{{{where},db_client_connection_state="idle"}}': "10x400",
        f"db_client_connection_max{{{where}}}": "10x400",
        f"db_client_connection_timeouts_total{{{where}}}": timeouts,
    }


_NO_CONNECTIONS: Final = (
    ExpectedAlert(
        BACKEND,
        "blogauto-backend has no free database connections.",
        "More than 90 % of a pool's connections are in use, or requests waited for one until they failed."
        " Requests that need the database wait.",
    ),
)

_DATABASE_POOL_EXHAUSTED_TESTS: Final = UnitTests(
    "critical",
    "saturation",
    "blogauto-database",
    cases=(
        Case("every connection is in use", _pool("10x400"), "10m", _NO_CONNECTIONS),
        Case(
            "one of two processes has no connection left",
            {**_pool("10x400"), **_pool("1x400", instance="b")},
            "10m",
            _NO_CONNECTIONS,
        ),
        Case(
            "requests wait until they fail, in bursts between two scrapes",
            _pool("3x400", "0+1x400"),
            "10m",
            _NO_CONNECTIONS,
        ),
        Case("nine of ten are the limit", _pool("9x400"), "10m"),
        Case("half of ten", _pool("5x400"), "10m"),
        Case("timeouts of an hour ago", _pool("1x400", "7x400"), "10m"),
        Case("pending before two minutes", _pool("0x8 10x400"), "3m", pending=True),
        Case("no data", {}, "10m"),
    ),
)


def _slow_database(service: Service) -> AlertDefinition:
    recorded, limits = Recorded(service), service.thresholds
    return AlertDefinition(
        Alert(
            name="SlowDatabase",
            severity="warning",
            category="latency",
            condition=And(
                (
                    Comparison(recorded.sql_p95, ">", limits.sql_p95_seconds),
                    Comparison(f"{recorded.statements} * 300", ">", limits.minimum_statements),
                )
            ),
            pending_for="5m",
            keep_firing_for="5m",
            summary="Statements on {{ $labels.table }} are slow.",
            description=(
                "The 95th percentile of the duration of statements on {{ $labels.table }} is {{ $value | humanizeDuration }};"
                f" the limit is {promql_number(limits.sql_p95_seconds)} s."
            ),
            board="database",
            comment="By table, because a slow one hides among many fast statements. Needs a minimum of statements.",
        ),
        Trigger(
            "run the drill, which lowers the limit below the current duration and sends requests",
            traffic=("normal",),
            command="python -m monitoring drill SlowDatabase",
            drill=True,
            drill_phase=2,  # the first has as much traffic as the machine can bear
            threshold=("sql_p95_seconds", -1, 1e6),
        ),
        _SLOW_DATABASE_TESTS,
    )


def _statements(share: float, rate: float = 3, *, table: str = "articles") -> dict[str, str]:
    """`rate` statements a step, of which `share` take half a second to a second."""
    where = f'{JOB},db_collection_name="{table}",db_operation_name="SELECT"'
    name = "db_client_operation_duration_seconds"
    fast, all_ = f"0+{rate * (1 - share):g}x400", f"0+{rate:g}x400"
    return {
        f'{name}_bucket{{{where},le="0.1"}}': fast,
        f'{name}_bucket{{{where},le="0.5"}}': fast,
        f'{name}_bucket{{{where},le="1.0"}}': all_,
        f'{name}_bucket{{{where},le="+Inf"}}': all_,
        f"{name}_count{{{where}}}": all_,
    }


def _slow_table(table: str, value: str) -> tuple[ExpectedAlert, ...]:
    return (
        ExpectedAlert(
            {**BACKEND, "table": table},
            f"Statements on {table} are slow.",
            f"The 95th percentile of the duration of statements on {table} is {value}; the limit is 0.5 s.",
        ),
    )


_SLOW_DATABASE_TESTS: Final = UnitTests(
    "warning",
    "latency",
    "blogauto-database",
    cases=(
        Case("six of a hundred take longer", _statements(0.06), "20m", _slow_table("articles", "583.3ms")),
        Case("four of a hundred are below the limit", _statements(0.04), "20m"),
        Case(
            "all take nearly half a second",
            {key: "0x400" if 'le="0.1"' in key else values for key, values in _statements(0).items()},
            "20m",
        ),
        Case(
            "a slow table among fast ones",
            {**_statements(1, 0.6), **_statements(0, 300, table="users")},
            "20m",
            _slow_table("articles", "975ms"),
        ),
        Case("seven statements in five minutes are too few", _statements(1, rate=0.35), "20m"),
        Case(
            "tables are not added up: ten rarely used ones are too few each",
            {key: value for number in range(10) for key, value in _statements(1, 0.2, table=f"t{number}").items()},
            "20m",
        ),
        Case("pending before five minutes", _statements(1), "4m", pending=True),
        Case("no statements", dict.fromkeys(_statements(0), "500x400"), "20m"),
        Case("no data", {}, "20m"),
    ),
)
