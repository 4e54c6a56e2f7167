"""Lifecycle rows: start, fork, signals, kill; finished items are delivered."""

from __future__ import annotations

import contextlib
import http.client
import random
import signal
import threading
import time
from collections import Counter
from typing import Any

from testkit import receiver as peer
from testkit.processes import running
from testkit.receiver import Receiver
from testkit.servers import Command
from tests.export.peers import refusing
from tests.faults import harness as servers
from tests.faults.harness import Harness, succeeded, wait_until
from tests.faults.service import Service
from tests.instrumentation.workers import celery_worker

SEVERAL: dict[str, Any] = {"keep_alive": False}  # workers: a new connection for each request reaches all of them
LOAD = 100

# An item finished this long before a kill is delivered or on disk: the schedule delay (1 s), and
# another second while the Collector is unreachable (docs/reliability.md). The rest is for a loaded machine.
WINDOW = 1.0
WINDOW_UNREACHABLE = 2.0
SLACK = 1.5


def sigterm(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        service.hit(LOAD)
        _last_counts_are_delivered(service, receiver)


def sigterm_with_workers(harness: Harness) -> None:
    for command in (servers.UVICORN_WORKERS, servers.GUNICORN, servers.GUNICORN_PRELOAD):
        with (
            Receiver() as receiver,
            harness.service(receiver, server=command, with_control=False, **SEVERAL) as service,
        ):
            service.hit(LOAD)
            _last_counts_are_delivered(service, receiver)


def _last_counts_are_delivered(service: Service, receiver: Receiver) -> None:
    """The collection at exit includes what was counted after the last push."""
    service.end()
    hits = len(service.expected_logs)
    assert receiver.total("blogauto.keywords.analyzed") == hits
    labels = {"method": "GET", "endpoint": "/hit/{number}", "status": "200"}
    assert receiver.total("blogauto.api.requests", labels) == hits


def sigterm_without_collector(harness: Harness) -> None:
    for command in (servers.UVICORN, servers.GUNICORN):
        with Receiver() as receiver:
            receiver.freeze()
            with harness.service(receiver, server=command, with_control=False, **SEVERAL) as service:
                service.hit(LOAD)
                service.end()
                assert harness.spooled()
            receiver.clear()


def second_signal(harness: Harness) -> None:
    for second in (signal.SIGTERM, signal.SIGINT):
        with Receiver() as receiver:
            receiver.answer(peer.silence())
            with harness.service(receiver, with_control=False) as service:
                service.hit(LOAD)
                service.record_status()
                service.child.send_signal(signal.SIGTERM)
                time.sleep(0.5)
                assert service.signal_and_wait(second) <= 4.0
            assert not harness.spooled("bad")


def sigkill(harness: Harness, *, times: int = 4) -> None:
    rng = random.Random(22)
    for number in range(times):
        with Receiver() as receiver, refusing() as refused_url:
            unreachable = number % 2 == 1
            with harness.unchecked(refused_url if unreachable else receiver, with_control=False) as service:
                until = time.monotonic() + 1.5 + rng.random() * 3
                while time.monotonic() < until:
                    service.hit(5)
                    time.sleep(0.02)
                at = time.monotonic()
                service.signal_and_wait(signal.SIGKILL)
            _older_items_are_delivered(harness, service, at - (WINDOW_UNREACHABLE if unreachable else WINDOW) - SLACK)


def _older_items_are_delivered(harness: Harness, service: Service, until: float) -> None:
    """Items finished before that moment are delivered, now or by the next process."""
    with harness.drained_spool(service):
        arrived = service.received()
        for index, requested_at in enumerate(service.requested_at):
            if requested_at < until:
                ids = service.expected_spans[2 * index : 2 * index + 2]
                assert all(span in arrived.spans for span in ids), (
                    f"lost {until - requested_at:.2f} s before the window"
                )
                assert service.expected_logs[index] in arrived.logs
    assert not harness.spooled("bad")


def worker_timeout(harness: Harness) -> None:
    with Receiver() as receiver:
        with harness.unchecked(
            receiver, server=servers.GUNICORN_SHORT_TIMEOUT, with_control=False, **SEVERAL
        ) as service:
            service.hit(LOAD)
            at = time.monotonic()
            threading.Thread(target=_request_ignoring_errors, args=(service, "/freeze?seconds=8"), daemon=True).start()
            wait_until(lambda: "WORKER TIMEOUT" in service.child.output, 20.0)
            service.signal_and_wait(signal.SIGTERM)
        _older_items_are_delivered(harness, service, at)  # everything: the worker had seconds


def _request_ignoring_errors(service: Service, path: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        service.child.get(path)


def request_in_flight(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        service.hit(LOAD)
        request = threading.Thread(target=lambda: service.child.get("/wait?seconds=3"))
        request.start()
        time.sleep(0.5)
        # The server waits for the request; only the time after its response counts.
        service.record_status()
        service.child.send_signal(signal.SIGTERM)
        request.join()
        service.signal_and_wait(0)
    assert "GET /wait" in {span.name for span in receiver.spans}


def multiprocessing_children(harness: Harness) -> None:
    with Receiver() as receiver:
        for method in ("fork", "forkserver", "spawn"):
            recorded = succeeded(harness.run_script("multiprocessing_children", receiver, method)).result
            names = Counter(span.name for span in receiver.spans)
            assert names[method] == recorded, (method, names)
        succeeded(harness.run_script("multiprocessing_children", receiver, "os._exit"))
        assert Counter(span.name for span in receiver.spans)["os._exit"] == 5


def celery_children(harness: Harness) -> None:
    """A new child for each task, while the Collector answers and while it is away."""
    with Receiver() as receiver:
        _run_celery(harness, "answers", receiver)
    with Receiver() as receiver:
        receiver.answer(peer.status(503))
        _run_celery(harness, "away", receiver)


def _run_celery(harness: Harness, name: str, receiver: Receiver) -> None:
    queue = harness.folder / name / "queue"
    queue.mkdir(parents=True)
    celery_worker.send(queue)
    with running(
        celery_worker.worker("--max-tasks-per-child", "1"),
        harness.folder / name / "log",
        QUEUE=str(queue),
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_METRIC_EXPORT_INTERVAL="60000",
        BLOGAUTO_OTEL_SPOOL_DIR=str(harness.folder / name / "spool"),
        C_FORCE_ROOT="1",
    ) as child:
        wait_until(lambda: child.output.count("worked") == celery_worker.TASKS, 60.0)
        receiver.answer(peer.ok())
        wait_until(lambda: celery_worker.arrived(receiver) == celery_worker.ALL, 60.0)
        child.terminate()
    assert celery_worker.arrived(receiver) == celery_worker.ALL, child.output


def fork_identity(harness: Harness) -> None:
    with Receiver() as receiver:
        succeeded(harness.run_script("forks", receiver, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=mine"))
        ids = {span.name: str(span.resource["service.instance.id"]) for span in receiver.spans}
    assert ids.keys() == {"before", "parent", "child", "grandchild"}
    assert ids["parent"] == ids["before"] == "mine"  # both called `configure`
    assert ids["child"].startswith("mine-")
    assert ids["grandchild"].startswith("mine-")
    assert len({ids[name] for name in ("parent", "child", "grandchild")}) == 3


def forks_during_export(harness: Harness, *, forks: int = 40) -> None:
    with Receiver() as receiver:
        receiver.answer(peer.delay(0.02))
        result = succeeded(harness.run_script("forks_during_export", receiver, str(forks))).result
        assert result["failed_children"] == []
        names = Counter(span.name for span in receiver.spans)  # so every request was decodable
        assert names["child"] == result["children"]
        assert names["parent"] == result["parent"]
        assert all(request.answered == 200 for request in receiver.requests)


def recycled_workers(harness: Harness) -> None:
    with (
        Receiver() as receiver,
        harness.service(receiver, server=servers.GUNICORN_RECYCLING, with_control=False, **SEVERAL) as service,
    ):
        for _ in range(3):
            service.hit(20)
            time.sleep(1.0)  # uvicorn checks the limit ten times a second
    assert len({str(span.resource["service.instance.id"]) for span in receiver.spans}) >= 3


def configured_twice(harness: Harness) -> None:
    with Receiver() as receiver:
        with harness.service(receiver) as service:
            service.run_action("configure_again")
            service.hit(LOAD)
        assert service.received().duplicates == 0
    for command in (servers.UVICORN_RELOAD, servers.UVICORN_WORKERS):  # both spawn
        _no_duplicates_from(harness, command)


def _no_duplicates_from(harness: Harness, command: Command) -> None:
    with Receiver() as receiver:
        with harness.service(receiver, server=command, with_control=False, **SEVERAL) as service:
            service.hit(20)
        assert service.received().duplicates == 0
        assert receiver.total("blogauto.keywords.analyzed") == len(service.expected_logs)


def api_without_configure(harness: Harness) -> None:
    with Receiver() as receiver:
        succeeded(harness.run_script("api_without_configure", receiver))
        assert {span.name for span in receiver.spans} == {"in time", "once more"}


def no_threads(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, ACTIONS_BEFORE="no_threads") as service:
        service.hit(LOAD)
    assert len(service.lines_with("no thread can be started")) == 1
    # Without any thread even the SDK cannot be imported: the application runs without telemetry, logged once.
    script = harness.run_script("no_threads")
    assert script.result == "done"
    assert script.output.count("the application runs without telemetry") == 1


def exhausted_resources(harness: Harness) -> None:
    for action in ("exhaust_descriptors", "exhaust_memory"):
        with Receiver() as receiver, harness.service(receiver, with_control=False) as service:
            service.run_action(action)
            receiver.stop()
            receiver.start()  # so that a new connection is needed
            service.hit(LOAD)
            wait_until(lambda: service.lines_with("cannot deliver"))
            service.hit(LOAD)
            service.run_action("release_resources")
            receiver.wait_for(lambda _: not service.missing(), timeout=30.0)


def broken_output(harness: Harness) -> None:
    for action in ("break_output_pipe", "close_output_files", "fill_output_disk"):
        with Receiver() as receiver, harness.service(receiver, with_control=action == "break_output_pipe") as service:
            service.run_action(action)
            service.hit(LOAD)


def invalid_settings(harness: Harness) -> None:
    result = succeeded(harness.run_script("invalid_settings")).result
    assert len(result) > 60
    for variable, (ended, lines) in result.items():
        assert ended == "started", (variable, ended)
        assert lines <= 1, (variable, lines)


def unsupported_version(harness: Harness) -> None:
    with Receiver() as receiver:
        contrib = succeeded(harness.run_script("sql", receiver, BLOGAUTO_OTEL_SQLALCHEMY="contrib"))
        assert "wrong version" in contrib.result
        assert any("sqlalchemy wrong version" in line.text for line in contrib.own_lines)
        own = succeeded(harness.run_script("sql", receiver))
        assert own.result == "on"
        assert "SELECT" in {span.name.partition(" ")[0] for span in receiver.spans}
