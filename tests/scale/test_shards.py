"""Metrics in two Prometheus servers: every service in one of them, and nothing in both or in none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stack.processes import (
    Collector,
    Prometheus,
    eventually,
    free_port,
    prometheus_config,
    start_collector,
    start_prometheus,
)
from testkit import otlp

pytestmark = pytest.mark.stack

SERVICES = [f"service-{number}" for number in range(12)]


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[list[Prometheus]]:
    with ExitStack() as ending:
        found = []
        for name in ("one", "two"):
            folder = tmp_path / name
            config = prometheus_config(folder, {}, rules=())
            found.append(ending.enter_context(start_prometheus(config, tmp=folder, port=free_port(), push=True)))
        yield found


def sender(shards: list[Prometheus], tmp: Path) -> Collector:
    env = {f"PROMETHEUS_SHARD_{number}_OTLP_ENDPOINT": f"{one.url}/api/v1/otlp" for number, one in enumerate(shards, 1)}
    return start_collector(("export-prometheus-shards",), tmp=tmp, env=env)


def send(collector: Collector, value: int) -> None:
    for service in SERVICES:
        resource = {"service.name": service, "service.instance.id": f"{service}-1"}
        message = otlp.metrics([otlp.counter("things", value)], resource)
        assert otlp.post(collector.endpoint, message) == 200


def services(shard: Prometheus, value: int) -> set[str]:
    return {sample.labels["job"] for sample in shard.query(f"things_total == {value}")}


def test_every_service_is_in_one_shard_whichever_collector_sends_it(shards: list[Prometheus], tmp_path: Path) -> None:
    wanted = {service for service in SERVICES if hashlib.sha256(service.encode()).hexdigest()[0] in "01234567"}
    assert 3 < len(wanted) < 9
    for value, name in ((7, "first Collector"), (8, "second Collector")):
        with sender(shards, tmp_path / name) as collector:
            send(collector, value)
            for shard, jobs in zip(shards, (wanted, {*SERVICES} - wanted), strict=True):
                shard.wait_for(
                    "things_total",
                    lambda found, jobs=jobs, value=value: (
                        {  # type: ignore[misc]
                            sample.labels["job"] for sample in found if sample.value == value
                        }
                        == jobs
                    ),
                )
    for shard, jobs in zip(shards, (wanted, {*SERVICES} - wanted), strict=True):
        assert services(shard, 8) == jobs


def test_a_shard_that_is_away_delays_no_other_and_gets_its_part_later(shards: list[Prometheus], tmp_path: Path) -> None:
    with sender(shards, tmp_path / "collector") as collector:
        shards[0].kill()
        send(collector, 7)
        shards[1].wait_for("things_total")
        shards[0].start()
        shards[0].wait_ready()
        shards[0].wait_for("things_total")


def test_metrics_without_a_service_are_in_one_shard_too(shards: list[Prometheus], tmp_path: Path) -> None:
    with sender(shards, tmp_path / "collector") as collector:
        nameless = otlp.metrics([otlp.counter("nameless", 1)], {"service.instance.id": "n-1"})
        assert otlp.post(collector.endpoint, nameless) == 200
        send(collector, 7)
        for shard in shards:
            shard.wait_for("things_total")
        eventually(lambda: [len(shard.query("nameless_total")) for shard in shards], lambda found: sum(found) > 0)
        assert sorted(len(shard.query("nameless_total")) for shard in shards) == [0, 1]
