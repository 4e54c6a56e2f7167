"""Under freezegun the application's clocks are frozen, and telemetry is delivered nevertheless."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.processes import running
from testkit.receiver import Receiver
from tests.export.delivery import wait_for

# The process runs until it is killed: the worker sent what arrives, not the flush at exit.
SETUP = """
import logging, threading
from freezegun import freeze_time

freezer = freeze_time("2020-01-01")
"""
CONFIGURE = """
import blogauto_otel
from opentelemetry import metrics, trace

blogauto_otel.configure(service_name="shop", console="off")
"""
FREEZE = """
freezer.start()
"""
WORK = """
import time
assert time.time() == time.time() == 1577836800.0
with trace.get_tracer("app").start_as_current_span("frozen"):
    logging.getLogger("app").warning("frozen")
metrics.get_meter("app").create_counter("frozen").add(1)
threading.Event().wait()
"""
WHEN = {
    "after configure": SETUP + CONFIGURE + FREEZE + WORK,
    "before the import": SETUP + FREEZE + CONFIGURE + WORK,
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.mark.parametrize("when", WHEN)
def test_telemetry_is_delivered_while_time_is_frozen(receiver: Receiver, tmp_path: Path, when: str) -> None:
    with running(
        [sys.executable, "-c", WHEN[when]],
        tmp_path / "log",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_METRIC_EXPORT_INTERVAL="500",
    ):
        receiver.wait_for(lambda r: r.spans and any(log.body == "frozen" for log in r.logs), timeout=30.0)
        receiver.wait_for(lambda r: any(point.name == "frozen" for point in r.metrics), timeout=30.0)


def test_telemetry_waits_on_disk_and_comes_back_while_time_is_frozen(receiver: Receiver, tmp_path: Path) -> None:
    receiver.stop()
    spool = tmp_path / "spool"
    with running(
        [sys.executable, "-c", WHEN["after configure"]],
        tmp_path / "log",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        BLOGAUTO_OTEL_SPOOL_DIR=str(spool),
    ):
        wait_for(lambda: list(spool.glob("*/*.traces*")), timeout=30.0)
        receiver.start()
        receiver.wait_for(lambda r: r.spans, timeout=60.0)
