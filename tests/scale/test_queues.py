"""The agent's queue: what an item takes on disk, and who is told when it is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.processes import Collector, eventually, start_collector
from testkit import otlp
from tests.scale.topology import items_of

pytestmark = pytest.mark.stack

BYTES = 1_000  # for an item, by the assumptions of collector/README.md
SPANS = 500  # in a request


def send(agent: Collector) -> tuple[int, set[str]]:
    """Status of one request, and the identities of its spans."""
    spans = [otlp.span(attributes=otlp.SERVER_ATTRIBUTES) for _ in range(SPANS)]
    status = otlp.post(agent.endpoint, otlp.traces(spans))
    return status, {f"{span.trace_id.hex()}/{span.span_id.hex()}" for span in spans}


def test_a_span_takes_no_more_on_disk_than_the_table_assumes(tmp_path: Path) -> None:
    with start_collector(("tier-agent",), tmp=tmp_path) as agent:
        assert all(send(agent)[0] == 200 for _ in range(40))
        size = sum(path.stat().st_size for path in (tmp_path / "queue").iterdir() if path.is_file())
        assert size / (40 * SPANS) <= BYTES


def test_a_full_queue_refuses_and_nothing_that_was_accepted_is_lost(tmp_path: Path) -> None:
    with start_collector(("export-file",), tmp=tmp_path / "next") as following:
        following.kill()
        env = {
            "OTELCOL_NEXT_ENDPOINT": f"127.0.0.1:{following.ports['GRPC']}",
            "OTELCOL_AGENT_QUEUE_ITEMS": str(5 * SPANS),
        }
        with start_collector(("tier-agent",), tmp=tmp_path / "agent", env=env) as agent:
            answers = [send(agent) for _ in range(20)]
            accepted: set[str] = set().union(*(spans for status, spans in answers if status == 200))
            assert 0 < len(accepted) < 20 * SPANS
            assert {status for status, _ in answers} == {200, 503}, "503: the sender keeps it and comes again"
            following.start()
            following.wait_ready()
            eventually(lambda: items_of(following).spans >= accepted, timeout=90.0, what="all that was accepted")
