"""A real Celery worker: whatever ends its children, what their tasks emitted arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testkit.ports import free_port
from testkit.processes import running
from testkit.receiver import Receiver
from tests.instrumentation.workers.celery_worker import ALL, TASKS, arrived, send, worker

pytestmark = pytest.mark.slow


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    folder = tmp_path / "queue"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("configured", ["import", "in each child"])
@pytest.mark.parametrize("options", [("--max-tasks-per-child", "1"), ()], ids=["recycled", "not recycled"])
def test_nothing_that_a_pool_child_emitted_is_lost(
    options: tuple[str, ...], configured: str, queue: Path, receiver: Receiver, tmp_path: Path
) -> None:
    send(queue)
    with running(
        worker(*options),
        tmp_path / "log",
        QUEUE=str(queue),
        CONFIGURE=configured,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_METRIC_EXPORT_INTERVAL="60000",
        C_FORCE_ROOT="1",
    ) as child:
        receiver.wait_for(lambda r: arrived(r)["spans"] == TASKS, timeout=60)
        child.terminate()
    assert arrived(receiver) == ALL, child.output
    processes = {str(span.resource["service.instance.id"]) for span in receiver.spans if span.name == "work"}
    closed = {str(span.resource["service.instance.id"]) for span in receiver.spans if span.name == "closed"}
    assert processes <= closed, "the handlers of the application come before ours"


def test_what_recycled_children_emitted_during_an_outage_arrives_after_it(queue: Path, tmp_path: Path) -> None:
    port = free_port()
    send(queue)
    with running(
        worker("--max-tasks-per-child", "1"),
        tmp_path / "log",
        QUEUE=str(queue),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_METRIC_EXPORT_INTERVAL="60000",
        C_FORCE_ROOT="1",
    ) as child:
        wait_until(lambda: child.output.count("worked") == TASKS)
        with Receiver(port=port) as receiver:
            receiver.wait_for(lambda r: arrived(r) == ALL, timeout=60)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
