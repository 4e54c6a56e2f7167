"""What the Collector has acknowledged survives kills, restarts and absent backends: at least once, repeats counted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.processes import Collector, Jaeger, StackError, eventually, free_port, start_collector, start_jaeger
from testkit import otlp
from testkit.receiver import Receiver

pytestmark = pytest.mark.stack

# Batches that four consumers may have under way at the moment of a kill: at most so many spans are sent again.
UNDER_WAY = 4 * 8192


def send(endpoint: str, *, traces: int, spans: int) -> list[bytes]:
    """Whole traces of so many spans each, one request a trace; the ids of those that were acknowledged."""
    acknowledged = []
    for _ in range(traces):
        trace_id = os.urandom(16)
        message = otlp.traces([otlp.span(trace_id=trace_id) for _ in range(spans)])
        if otlp.post(endpoint, message) == 200:
            acknowledged.append(trace_id)
    return acknowledged


def assert_all_arrive(jaeger: Jaeger, trace_ids: list[bytes], *, spans: int) -> None:
    for trace_id in trace_ids:
        eventually(
            lambda trace_id=trace_id: len(jaeger.trace(trace_id.hex())),  # type: ignore[misc]
            lambda found: found == spans,
            timeout=90.0,
            what=f"{spans} spans of trace {trace_id.hex()}",
        )


@contextmanager
def pair(tmp: Path) -> Iterator[tuple[Collector, Jaeger]]:
    """A Collector and the Jaeger it sends to."""
    with start_jaeger(tmp=tmp) as jaeger:
        environment = {"JAEGER_OTLP_ENDPOINT": jaeger.otlp_endpoint}
        with start_collector(("process-redact", "export-jaeger"), tmp=tmp, env=environment) as collector:
            yield collector, jaeger


def test_no_acknowledged_span_is_lost_when_the_collector_is_killed_while_jaeger_is_down(
    tmp_path: Path,
) -> None:
    with pair(tmp_path) as (collector, jaeger):
        jaeger.kill()
        acknowledged = send(collector.endpoint, traces=40, spans=250)
        assert len(acknowledged) == 40
        collector.kill()

        jaeger.start()
        jaeger.wait_ready()
        collector.start()
        collector.wait_ready()
        assert_all_arrive(jaeger, acknowledged, spans=250)
        repeats = jaeger.received() - 40 * 250
        print(f"10000 spans acknowledged, all there, {repeats:.0f} repeated")
        assert 0 <= repeats <= UNDER_WAY


@pytest.mark.slow
def test_no_acknowledged_span_is_lost_when_the_collector_is_killed_again_and_again_while_it_delivers(
    tmp_path: Path,
) -> None:
    acknowledged: list[bytes] = []
    ending = threading.Event()

    def sender(endpoint: str) -> None:
        while not ending.is_set():
            acknowledged.extend(send(endpoint, traces=1, spans=50))

    with pair(tmp_path) as (collector, jaeger):
        thread = threading.Thread(target=sender, args=[collector.endpoint])
        thread.start()
        try:
            for _ in range(5):
                time.sleep(0.7)
                collector.kill()
                collector.start()
                collector.wait_ready()
        finally:
            ending.set()
            thread.join()
        assert len(acknowledged) > 20
        assert_all_arrive(jaeger, acknowledged, spans=50)
        spans = len(acknowledged) * 50
        print(f"{spans} spans acknowledged, all there, {jaeger.received() - spans:.0f} repeated or never answered")


def test_spans_wait_while_jaeger_is_down_and_across_a_restart(tmp_path: Path) -> None:
    with pair(tmp_path) as (collector, jaeger):
        jaeger.kill()
        acknowledged = send(collector.endpoint, traces=5, spans=20)
        assert collector.stop() == 0
        collector.start()
        collector.wait_ready()
        acknowledged += send(collector.endpoint, traces=5, spans=20)
        jaeger.start()
        jaeger.wait_ready()
        assert_all_arrive(jaeger, acknowledged, spans=20)
        assert len(acknowledged) == 10


def test_log_records_survive_the_same_way(tmp_path: Path) -> None:
    """Loki's place is taken by a receiver of OTLP, which is what the overlay speaks."""
    loki = Receiver(port=free_port())
    environment = {"LOKI_OTLP_ENDPOINT": f"{loki.url}/otlp"}
    with start_collector(("process-redact", "export-loki"), tmp=tmp_path, env=environment) as collector:
        bodies = {f"record {number}" for number in range(500)}
        message = otlp.logs([otlp.record(body) for body in sorted(bodies)])
        assert otlp.post(collector.endpoint, message) == 200
        collector.kill()
        with loki:
            collector.start()
            collector.wait_ready()
            loki.wait_for(lambda loki: {record.body for record in loki.logs} == bodies, timeout=90.0)


def test_a_dead_backend_does_not_delay_the_others(tmp_path: Path) -> None:
    with pair(tmp_path) as (collector, jaeger):
        collector.stop()
        environment = {"JAEGER_OTLP_ENDPOINT": jaeger.otlp_endpoint}
        overlays = ("process-redact", "export-jaeger", "export-loki", "export-sentry", "export-prometheus-otlp")
        with start_collector(overlays, tmp=tmp_path / "second", env=environment) as second:
            acknowledged = send(second.endpoint, traces=10, spans=100)
            assert len(acknowledged) == 10
            assert otlp.post(second.endpoint, otlp.logs([otlp.record("waits for Loki")])) == 200
            assert_all_arrive(jaeger, acknowledged, spans=100)
            assert jaeger.received() == 1000, "nothing was refused, so nothing was repeated"


def damaged(collector: Collector, tmp: Path, damage: Callable[[bytes], bytes]) -> Path:
    """Kill it and damage its one queue file."""
    assert otlp.post(collector.endpoint, otlp.traces([otlp.span() for _ in range(1000)])) == 200
    collector.kill()
    (file,) = [path for path in (tmp / "queue").iterdir() if path.is_file()]
    file.write_bytes(damage(file.read_bytes()))
    return file


@pytest.mark.parametrize("kept", [0, 0.5], ids=["empty", "cut in half"])
def test_a_torn_queue_file_does_not_keep_the_collector_from_starting(kept: float, tmp_path: Path) -> None:
    with start_collector(("export-jaeger",), tmp=tmp_path) as collector:
        damaged(collector, tmp_path, lambda content: content[: int(len(content) * kept)])
        collector.start()
        collector.wait_ready()
        assert otlp.post(collector.endpoint, otlp.traces([otlp.span()])) == 200


@pytest.mark.parametrize("first", [0, 8192], ids=["all of it", "all but the header"])
def test_a_corrupt_queue_file_keeps_the_collector_from_starting_until_it_is_moved(first: int, tmp_path: Path) -> None:
    """`recreate` does not reach this far (bbolt 1.5); README.md of the Collector says what to do."""
    with start_collector(("export-jaeger",), tmp=tmp_path) as collector:
        file = damaged(collector, tmp_path, lambda content: content[:first] + os.urandom(len(content) - first))
        collector.start()
        with pytest.raises(StackError, match="ended while starting"):
            collector.wait_ready()
        file.rename(tmp_path / "aside")
        collector.start()
        collector.wait_ready()
        assert otlp.post(collector.endpoint, otlp.traces([otlp.span()])) == 200
