"""Real servers and signals: finished items are delivered; an unreachable Collector delays neither start nor exit."""

from __future__ import annotations

import contextlib
import http.client
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from testkit.ports import free_port
from testkit.processes import Process, eventually, running
from testkit.receiver import Receiver, silence
from testkit.servers import Command, launched
from tests.lifecycle.servers import RECYCLING, SERVERS, STARTING_WORKERS

pytestmark = pytest.mark.slow

Start = Callable[..., AbstractContextManager[Process]]
REQUESTS = 50


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start(command: Command, endpoint: str, **variables: str) -> AbstractContextManager[Process]:
        port = free_port()
        return running(
            command(port), tmp_path / "server.log", port=port, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **variables
        )

    return start


def hit(child: Process, times: int = REQUESTS) -> int:
    """Send requests one after the other; how many were answered: a recycled worker may reset a connection."""
    answered = 0
    for _ in range(times):
        with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
            assert child.get("/hit")[0] == 200
            answered += 1
    return answered


def wait_until_it_serves(server: str, child: Process) -> None:
    """Until it answers, and where it must be with every worker."""
    child.wait_until_it_answers("/ready")
    workers: set[object] = set()
    eventually(lambda: workers.add(child.get("/pid")[1]), lambda _: len(workers) >= STARTING_WORKERS.get(server, 1))


def delivered(receiver: Receiver) -> dict[str, float]:
    """How many items of `/hit` arrived, by kind; of metrics the last value of each process."""
    names = Counter(span.name for span in receiver.spans)
    return {
        "server spans": names["GET /hit"],
        "inner spans": names["inner"],
        "logs": sum(record.body == "hit" for record in receiver.logs),
        "count": receiver.total("blogauto.keywords.analyzed"),
        "requests": receiver.total("blogauto.api.requests", {"method": "GET", "endpoint": "/hit", "status": "200"}),
    }


ALL = dict.fromkeys(("server spans", "inner spans", "logs", "count", "requests"), REQUESTS)


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_right_after_the_last_answer_loses_nothing(server: str, start: Start, receiver: Receiver) -> None:
    with start(SERVERS[server], receiver.url) as child:
        wait_until_it_serves(server, child)
        hit(child)
        seconds = child.terminate()
    assert delivered(receiver) == ALL, child.output
    assert seconds < 10


def test_idle_workers_export_metrics(start: Start, receiver: Receiver) -> None:
    with start(
        SERVERS["gunicorn-preload"], receiver.url, OTEL_METRIC_EXPORT_INTERVAL="500", BLOGAUTO_OTEL_LOG_LEVEL="error"
    ):
        receiver.wait_for(lambda r: len(_processes(r)) == 2, timeout=20.0)


def _processes(receiver: Receiver) -> set[str]:
    return {str(point.resource["service.instance.id"]) for point in receiver.points("blogauto.memory.usage")}


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_under_the_launcher_loses_nothing(server: str, start: Start, receiver: Receiver) -> None:
    with start(launched(SERVERS[server]), receiver.url, HIT_CONFIGURE="0") as child:
        wait_until_it_serves(server, child)
        hit(child)
        child.terminate()
    assert delivered(receiver) == ALL, child.output


def test_sigint_loses_nothing(start: Start, receiver: Receiver) -> None:
    with start(SERVERS["uvicorn"], receiver.url) as child:
        child.wait_until_it_answers("/ready")
        hit(child)
        child.terminate(signal.SIGINT)
    assert delivered(receiver) == ALL


def test_recycled_workers_lose_nothing(start: Start, receiver: Receiver) -> None:
    with start(RECYCLING, receiver.url) as child:
        child.wait_until_it_answers("/ready")
        answered = hit(child)
        child.terminate()
    assert answered > REQUESTS - 5
    assert all(answered <= arrived <= REQUESTS for arrived in delivered(receiver).values()), child.output


def test_a_request_in_flight_at_sigterm_is_delivered(start: Start, receiver: Receiver) -> None:
    import threading
    import time

    with start(SERVERS["uvicorn"], receiver.url) as child:
        child.wait_until_it_answers("/ready")
        request = threading.Thread(target=lambda: child.get("/slow?seconds=2"))
        request.start()
        time.sleep(0.7)
        child.terminate()
        request.join()
    assert {"GET /slow", "slow inner"} <= {span.name for span in receiver.spans}


def test_a_refused_connection_delays_neither_start_nor_exit(start: Start) -> None:
    with start(SERVERS["uvicorn"], f"http://127.0.0.1:{free_port()}") as child:
        child.wait_until_it_answers("/ready")
        hit(child)
        seconds = child.terminate()
    assert seconds < 2 + 3, child.output  # two seconds of shutdown timeout, the rest for a loaded machine


def test_a_silent_collector_delays_neither_start_nor_exit(start: Start, receiver: Receiver) -> None:
    receiver.answer(silence())
    with start(SERVERS["uvicorn"], receiver.url) as child:
        child.wait_until_it_answers("/ready")
        hit(child)
        seconds = child.terminate()
    assert seconds < 2 + 3, child.output


def test_every_worker_has_an_instance_id_of_its_own(start: Start, receiver: Receiver) -> None:
    with start(SERVERS["gunicorn-preload"], receiver.url, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=mine") as child:
        child.wait_until_it_answers("/ready")
        workers = {child.get("/pid")[1] for _ in range(40)}
        child.terminate()
    ids = {str(resource["service.instance.id"]) for resource in receiver.resources}
    assert {f"mine-{int(pid)}" for pid in workers} <= ids
