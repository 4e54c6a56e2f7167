"""Rows of the process: however it begins, forks, is told to end or is killed, what was finished is delivered."""

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
from testkit.receiver import Receiver
from testkit.servers import Command
from tests.export.peers import refusing
from tests.faults import harness as servers
from tests.faults.harness import Harness, ScriptResult, wait_until
from tests.faults.service import Service

SEVERAL: dict[str, Any] = {"keep": False}  # workers: each request over a connection of its own finds any of them
LOAD = 100

# An item that was finished so long before a kill is delivered or on disk: the longest wait for company (1 s), and
# another second while the Collector is away (docs/reliability.md). The rest is what a loaded machine may take for it.
WINDOW = 1.0
WINDOW_AWAY = 2.0
SLACK = 1.5


def sigterm(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        service.hit(LOAD)
        _counts_arrive_at_the_end(service, receiver)


def sigterm_with_workers(harness: Harness) -> None:
    for command in (servers.UVICORN_WORKERS, servers.GUNICORN, servers.GUNICORN_PRELOAD):
        with (
            Receiver() as receiver,
            harness.service(receiver, server=command, with_control=False, **SEVERAL) as service,
        ):
            service.hit(LOAD)
            _counts_arrive_at_the_end(service, receiver)


def _counts_arrive_at_the_end(service: Service, receiver: Receiver) -> None:
    """The last collection of the metrics counts what came after the last push as well."""
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
        with Receiver() as receiver, refusing() as nowhere:
            away = number % 2 == 1
            with harness.unchecked(nowhere if away else receiver, with_control=False) as service:
                until = time.monotonic() + 1.5 + rng.random() * 3
                while time.monotonic() < until:
                    service.hit(5)
                    time.sleep(0.02)
                at = time.monotonic()
                service.signal_and_wait(signal.SIGKILL)
            _only_the_youngest_are_missing(harness, service, at - (WINDOW_AWAY if away else WINDOW) - SLACK)


def _only_the_youngest_are_missing(harness: Harness, service: Service, until: float) -> None:
    """What was finished before that moment is delivered, or comes with the next start."""
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
            threading.Thread(target=_ask_in_vain, args=(service, "/freeze?seconds=8"), daemon=True).start()
            wait_until(lambda: "WORKER TIMEOUT" in service.child.output, 20.0)
            service.signal_and_wait(signal.SIGTERM)
        _only_the_youngest_are_missing(harness, service, at)  # all of it: the worker had seconds


def _ask_in_vain(service: Service, path: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        service.child.get(path)


def request_in_flight(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        service.hit(LOAD)
        asking = threading.Thread(target=lambda: service.child.get("/wait?seconds=3"))
        asking.start()
        time.sleep(0.5)
        # The server waits for the request; the time that counts is that from its answer to the end.
        service.record_status()
        service.child.send_signal(signal.SIGTERM)
        asking.join()
        service.signal_and_wait(0)
    assert "GET /wait" in {span.name for span in receiver.spans}


def multiprocessing_children(harness: Harness) -> None:
    with Receiver() as receiver:
        for method in ("fork", "forkserver", "spawn"):
            made = _ended_well(harness.run_script("multiprocessing_children", receiver, method)).result
            names = Counter(span.name for span in receiver.spans)
            assert names[method] == made, (method, names)
        _ended_well(harness.run_script("multiprocessing_children", receiver, "os._exit"))
        assert Counter(span.name for span in receiver.spans)["os._exit"] == 5


def fork_identity(harness: Harness) -> None:
    with Receiver() as receiver:
        _ended_well(harness.run_script("forks", receiver, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=mine"))
        ids = {span.name: str(span.resource["service.instance.id"]) for span in receiver.spans}
    assert ids.keys() == {"before", "parent", "child", "grandchild"}
    assert ids["parent"] == ids["before"] == "mine"  # both configured for themselves
    assert ids["child"].startswith("mine-")
    assert ids["grandchild"].startswith("mine-")
    assert len({ids[name] for name in ("parent", "child", "grandchild")}) == 3


def forks_during_export(harness: Harness, *, forks: int = 40) -> None:
    with Receiver() as receiver:
        receiver.answer(peer.delay(0.02))
        said = _ended_well(harness.run_script("forks_during_export", receiver, str(forks))).result
        assert said["ended_badly"] == []
        names = Counter(span.name for span in receiver.spans)  # each request could be decoded
        assert names["child"] == said["children"]
        assert names["parent"] == said["parent"]
        assert all(request.answered == 200 for request in receiver.requests)


def recycled_workers(harness: Harness) -> None:
    with (
        Receiver() as receiver,
        harness.service(receiver, server=servers.GUNICORN_RECYCLING, with_control=False, **SEVERAL) as service,
    ):
        for _ in range(3):
            service.hit(20)
            time.sleep(1.0)  # uvicorn looks ten times a second whether its worker has answered enough
    assert len({str(span.resource["service.instance.id"]) for span in receiver.spans}) >= 3


def configured_twice(harness: Harness) -> None:
    with Receiver() as receiver:
        with harness.service(receiver) as service:
            service.run_action("configure_again")
            service.hit(LOAD)
        assert service.received().duplicates == 0
    for command in (servers.UVICORN_RELOAD, servers.UVICORN_WORKERS):  # both spawn
        _nothing_comes_twice_from(harness, command)


def _nothing_comes_twice_from(harness: Harness, command: Command) -> None:
    with Receiver() as receiver:
        with harness.service(receiver, server=command, with_control=False, **SEVERAL) as service:
            service.hit(20)
        assert service.received().duplicates == 0
        assert receiver.total("blogauto.keywords.analyzed") == len(service.expected_logs)


def api_without_configure(harness: Harness) -> None:
    with Receiver() as receiver:
        _ended_well(harness.run_script("api_without_configure", receiver))
        assert {span.name for span in receiver.spans} == {"in time", "once more"}


def no_threads(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, ACTIONS_BEFORE="no_threads") as service:
        service.hit(LOAD)
    assert len(service.lines_with("no thread can be started")) == 1
    # From the very beginning even the SDK does not import: the application runs without telemetry, and is told so.
    program = harness.run_script("no_threads")
    assert program.result == "done"
    assert program.output.count("the application runs without telemetry") == 1


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
    said = _ended_well(harness.run_script("invalid_settings")).result
    assert len(said) > 60
    for variable, (ended, lines) in said.items():
        assert ended == "started", (variable, ended)
        assert lines <= 1, (variable, lines)


def unsupported_version(harness: Harness) -> None:
    with Receiver() as receiver:
        contrib = _ended_well(harness.run_script("sql", receiver, BLOGAUTO_OTEL_SQLALCHEMY="contrib"))
        assert "wrong version" in contrib.result
        assert any("sqlalchemy wrong version" in line.text for line in contrib.own_lines)
        own = _ended_well(harness.run_script("sql", receiver))
        assert own.result == "on"
        assert "SELECT" in {span.name.partition(" ")[0] for span in receiver.spans}


def _ended_well(program: ScriptResult) -> ScriptResult:
    """It came to its end, nothing was raised, and telemetry did not hold it up."""
    assert program.code == 0, program.output
    assert "Traceback" not in program.output, program.output
    return program
