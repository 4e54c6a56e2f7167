"""The benchmark of the tiers runs, and writes nothing unless asked."""

from __future__ import annotations

import re
import subprocess

import pytest

from testkit.processes import ROOT, environment, python

pytestmark = [pytest.mark.stack, pytest.mark.long]

TIERS = ("one Collector", "agent", "gateway", "sampler", "agent, into Kafka", "gateway, out of Kafka", "Kafka broker")
MEASURED = ROOT / "tools" / "scale" / "measured.json"


def test_each_tier_has_a_cost_beside_the_published_ones_and_nothing_is_written() -> None:
    before = MEASURED.read_bytes()
    command = python("-m", "benchmarks", "scale", "--quick")
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stderr
    for tier in TIERS:
        (costs,) = re.findall(
            rf"^\| {re.escape(tier)} \| 1 \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", done.stdout, re.MULTILINE
        )
        assert all(int(cost.replace(",", "")) > 100 for cost in costs), tier
    assert "15,000 | 20,000 | 10,000" in done.stdout
    assert MEASURED.read_bytes() == before
