"""The simulation of agents and the sizes: the pages are up to date, and the figures follow from what they claim."""

from __future__ import annotations

import random
import re
from itertools import islice

import pytest
import yaml

from stack import build
from tools.scale import agents, pages, sizing

SMALL = agents.Outage(agents=10, seconds=120.0, waiting=3, capacity=50.0)


def test_the_pages_and_the_picture_are_up_to_date() -> None:
    stale = [path.name for path, text in pages.contents().items() if path.read_text() != text]
    assert stale == [], "run: python -m tools.scale --write"


# -- retries


def test_delays_are_those_of_the_collectors_files() -> None:
    backoff = agents.Backoff()
    config = yaml.safe_load((build.ROOT / "collector" / "tier-agent.yaml").read_text())
    retry = config["exporters"]["otlp_grpc/gateway"]["retry_on_failure"]
    assert (f"{backoff.initial:g}s", f"{backoff.longest:g}s") == (retry["initial_interval"], retry["max_interval"])
    assert "randomization_factor" not in retry, "the Collector's own, a half"
    without = agents.Backoff(jitter=0.0).delays(random.Random(1))
    assert list(islice(without, 4)) == [1.0, 1.5, 2.25, 3.375]
    late = list(islice(backoff.delays(random.Random(1)), 200))[20:]
    assert min(late) >= 15.0
    assert max(late) <= 45.0


def test_every_queue_is_empty_at_the_end_and_each_request_was_taken_once() -> None:
    one = agents.storm(SMALL, agents.Backoff())
    answered = sum(count for second, count in one.seconds.items() if second >= 0) - one.late
    assert answered == SMALL.agents * SMALL.senders * SMALL.waiting
    assert one.drained >= answered / SMALL.capacity


def test_without_jitter_all_senders_come_at_the_same_moment_and_with_it_they_do_not() -> None:
    senders = SMALL.agents * SMALL.senders
    assert agents.storm(SMALL, agents.Backoff(jitter=0.0)).busiest_before == senders
    assert agents.storm(SMALL, agents.Backoff()).busiest_before < senders / 3


# -- rebalances


@pytest.mark.parametrize("sticky", [False, True])
def test_every_partition_has_one_reader_after_each_rebalance(sticky: bool) -> None:
    assigned = agents.spread(range(5), 12)
    for members in ([0, 1, 2, 3], [0, 1, 2, 3, 4], [4], [0, 4]):
        assigned = agents.keep(members, 12, assigned) if sticky else agents.spread(members, 12)
        assert sorted(partition for one in assigned.values() for partition in one) == list(range(12))
        sizes = [len(one) for one in assigned.values()]
        assert max(sizes) - min(sizes) <= 1


def test_the_receivers_strategy_moves_fewer_partitions() -> None:
    old, new = (agents.rolling_restart(4, 12, sticky=sticky) for sticky in (False, True))
    assert new.moves < old.moves
    assert new.stopped < old.stopped / 2
    assert agents.rolling_restart(4, 12, sticky=True, killed=True).stopped > new.stopped


# -- hot keys


def test_the_hash_of_a_key_is_kafkas() -> None:
    """Values of Kafka's own test of its hash."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: agents.murmur2(key) for key in known} == {key: value & 0x7FFFFFFF for key, value in known.items()}


def test_many_small_keys_are_spread_and_one_large_is_not() -> None:
    assert agents.kafka_skew(agents.traces(20_000), 12) < 1.1
    assert agents.kafka_skew([(b"all", 1.0)], 12) == 12
    assert agents.ring_skew([(b"all", 1.0)], 4) == 4


def test_connections_multiply() -> None:
    hundred, ten = agents.connections(100, 4, 4, 3), agents.connections(10, 4, 4, 3)
    assert hundred["agents to gateways"] == 10 * ten["agents to gateways"] == 3 * 100 * 4
    assert hundred["gateways to samplers"] == ten["gateways to samplers"]


# -- sizes

COST = {"spans": 50.0, "points": 10.0, "records": 20.0}  # microseconds
RATE = {"spans": 5_000, "points": 5_000, "records": 5_000}
TIERS = ("one Collector", "agent", "agent, into Kafka", "Kafka broker", "gateway, out of Kafka", "sampler")
KNOWN = {
    "cost": {tier: {"1": COST} for tier in TIERS},
    "rate": {tier: {"1": RATE} for tier in TIERS},
    "size": {
        "OTLP": {"spans": 600, "points": 60, "records": 120},
        "queue on disk": {"spans": 1_000, "points": 100, "records": 200},
    },
}


def test_one_host_needs_one_collector_and_its_numbers_are_measured() -> None:
    plan = sizing.plan(10, measured=KNOWN)
    assert plan.layout == "one Collector"
    assert plan.value("Collector: processes") == 1
    assert plan.value("Collector: CPU, all together") == pytest.approx((30 * 50 + 2 * 400 / 15 * 10 + 10 * 20) / 1e6)
    assert plan.value("Collector: queue on disk, each") == pytest.approx(
        (30 * 1000 + 53.33 * 100 + 10 * 200) * 600 / 1e9, rel=0.01
    )
    assert [figure.basis for figure in plan.figures] == ["assumed"] * 3 + ["measured"] * 3


def test_several_hosts_get_agents_and_two_gateways() -> None:
    plan = sizing.plan(1_000, measured=KNOWN)
    assert plan.layout == "agents, gateways"
    assert (plan.value("agents: processes"), plan.value("gateways: processes")) == (2, 2)


def test_a_load_beyond_what_was_run_is_marked() -> None:
    plan = sizing.plan(100_000, measured=KNOWN)
    assert plan.layout == "agents, Kafka, gateways, samplers"
    assert {figure.basis for figure in plan.figures[3:]} == {"extrapolated"}
    assert plan.value("agents: processes") == 125, "one for each host of eight processes"
    gateways = plan.value("gateways: processes")
    assert gateways == -(-plan.value("gateways: CPU, all together") // 1), "half of two cores each"
    assert plan.value("Kafka: partitions of each topic") >= 2 * gateways
    written = 300_000 * 100 + 1_000 * 400 / 15 * 10 + 100_000 * 20
    assert plan.value("Kafka: written") == pytest.approx(written / 1e6)
    assert plan.value("Kafka: disk, all together") == pytest.approx(written * 86_400 * 3 / 1e9)


def test_ten_times_the_load_needs_ten_times_the_cores() -> None:
    small, large = (
        sizing.plan(load, measured=KNOWN).value("samplers: CPU, all together") for load in (50_000, 500_000)
    )
    assert large == pytest.approx(10 * small)


def test_the_page_has_a_worked_example_of_three_loads_with_every_number_marked() -> None:
    page = pages.SIZING.read_text()
    for load in ("10", "1,000", "100,000"):
        assert f"**{load} requests a second" in page
    rows = re.findall(r"^\| .* \|$", page.partition("<!-- examples:begin")[2], re.MULTILINE)
    marked = [row for row in rows if row.endswith(("| assumed |", "| measured |", "| extrapolated |"))]
    assert len(marked) > 20
    assert len(rows) - len(marked) == 6, "headers of three tables"
