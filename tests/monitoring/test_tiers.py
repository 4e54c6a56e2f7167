"""The panels about tiers and Kafka, which the recorded day of one Collector leaves empty, over Collectors in tiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from monitoring.boards.all import boards as built
from monitoring.parameters import BLOGAUTO, COLLECTOR_JOB
from monitoring.verification.day import BEGIN, END, RecordedTraffic, Series
from monitoring.verification.panels import MAY_BE_EMPTY, QueryResult, run_queries
from monitoring.verification.store import prometheus_with

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("replay")]

ROW: Final = "Collectors in tiers, and Kafka between them"
TIMES: Final = range(BEGIN, END + 1, 30)


def series(name: str, labels: Mapping[str, str], *, rate: float = 0, value: float = 0) -> Series:
    """A counter with a constant rate per second, or a constant value."""
    return Series(name, {"job": COLLECTOR_JOB, **labels}, [(when, value + rate * (when - BEGIN)) for when in TIMES])


def partition(number: str, *, written: float, read: float, waiting: float) -> Iterator[Series]:
    """What an agent and a gateway export about a partition of the topic of spans."""
    agent, gateway = (
        {"topic": "otlp_spans", "partition": number, "instance": name} for name in ("agent-1:8888", "gateway-1:8888")
    )
    counted = {"node_id": "1", "outcome": "success"}
    yield series("otelcol_kafka_exporter_records_total", agent | counted, rate=written)
    yield series("otelcol_kafka_receiver_records_total", gateway | counted, rate=read)
    yield series("otelcol_kafka_receiver_current_offset_ratio", gateway, rate=read)
    yield series("otelcol_kafka_receiver_offset_lag_ratio", gateway, value=waiting)


def sampler(name: str, *, spans: float, failed: float) -> Iterator[Series]:
    """What a sampler accepts, and the requests of a gateway to it: three a second."""
    received = {"instance": f"{name}:8888", "tier": "sampler", "receiver": "otlp", "transport": "grpc"}
    asked = {"instance": "gateway-1:8888", "endpoint": f"{name}:4317"}
    yield series("otelcol_receiver_accepted_spans_total", received, rate=spans)
    yield series("otelcol_loadbalancer_backend_outcome_total", asked | {"success": "true"}, rate=3 - failed)
    yield series("otelcol_loadbalancer_backend_outcome_total", asked | {"success": "false"}, rate=failed)


# By title, what each query shows at the end of the day: 3 records a second are written, 2 read, and 900 wait.
EXPECTED: Final[Mapping[str, list[dict[str, float]]]] = {
    "Waiting in Kafka": [{"otlp_spans": 900}],
    "Written to and read from Kafka": [{"otlp_spans": 3}, {"otlp_spans": 2}],
    "Time to read what waits (dashed: limit 5 min)": [{"otlp_spans": 450}],
    "Busiest partitions, 1 h": [{"0 otlp_spans": 5400, "1 otlp_spans": 1800}],
    "Busiest instance of each tier (dashed: limit 1.8)": [{"spans sampler": 1.5}],
    "Failing requests to Collectors behind gateways (dashed: limit 50 %)": [
        {"sampler-1:4317": 0, "sampler-2:4317": 0.75}
    ],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[QueryResult]:
    everything = [
        *partition("0", written=2, read=1.5, waiting=900),
        *partition("1", written=1, read=0.5, waiting=0),
        *sampler("sampler-1", spans=3, failed=0),
        *sampler("sampler-2", spans=1, failed=2.25),
    ]
    folder: Path = tmp_path_factory.mktemp("tiers")
    telemetry = BLOGAUTO.board("telemetry")
    with prometheus_with(RecordedTraffic(everything, [], []), folder) as prometheus:
        return list(run_queries(prometheus, {telemetry: built(BLOGAUTO)[telemetry]}))


def shown(result: QueryResult) -> dict[str, float]:
    """The last value of each series, by the values of its labels."""
    last = {" ".join(one["metric"].values()): one.get("values", [one.get("value")])[-1] for one in result.result}
    return {name: float(value) for name, (_, value) in last.items()}


@pytest.mark.parametrize("title", EXPECTED)
def test_a_panel_about_tiers_shows_them(title: str, results: list[QueryResult]) -> None:
    found = [result for result in results if result.panel["title"] == title]
    assert [problem for result in found for problem in result.problems] == []
    assert [shown(result) for result in found] == [pytest.approx(values) for values in EXPECTED[title]]


def test_every_panel_about_tiers_is_looked_at(boards: Mapping[str, dict[str, Any]]) -> None:
    (row,) = (row for row in boards["blogauto-telemetry"]["panels"] if row["title"] == ROW)
    assert {panel["title"] for panel in row["panels"]} == set(EXPECTED)
    assert set(EXPECTED) <= MAY_BE_EMPTY  # the recorded day has none of them
