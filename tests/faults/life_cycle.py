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
from tests.export.peers import refusing
from tests.faults import lab as servers
from tests.faults.lab import Command, Lab, Program, Service, wait_until

SEVERAL: dict[str, Any] = {"keep": False}  # workers: each request over a connection of its own finds any of them
LOAD = 100

# An item that was finished so long before a kill is delivered or on disk: the longest wait for company (1 s), and
# another second while the Collector is away (docs/reliability.md). The rest is what a loaded machine may take for it.
WINDOW = 1.0
WINDOW_AWAY = 2.0
SLACK = 1.5


def terminated(lab: Lab) -> None:
    with Receiver() as receiver, lab.service(receiver) as service:
        service.hit(LOAD)
        _counts_arrive_at_the_end(service, receiver)


def terminated_with_workers(lab: Lab) -> None:
    for command in (servers.UVICORN_WORKERS, servers.GUNICORN, servers.GUNICORN_PRELOAD):
        with Receiver() as receiver, lab.service(receiver, server=command, paired=False, **SEVERAL) as service:
            service.hit(LOAD)
            _counts_arrive_at_the_end(service, receiver)


def _counts_arrive_at_the_end(service: Service, receiver: Receiver) -> None:
    """The last collection of the metrics counts what came after the last push as well."""
    service.end()
    hits = len(service.made_logs)
    assert receiver.total("blogauto.keywords.analyzed") == hits
    labels = {"method": "GET", "endpoint": "/hit/{number}", "status": "200"}
    assert receiver.total("blogauto.api.requests", labels) == hits


def terminated_while_the_collector_is_dead(lab: Lab) -> None:
    for command in (servers.UVICORN, servers.GUNICORN):
        with Receiver() as receiver:
            receiver.freeze()
            with lab.service(receiver, server=command, paired=False, **SEVERAL) as service:
                service.hit(LOAD)
                service.end()
                assert lab.spooled()
            receiver.clear()


def signalled_twice(lab: Lab) -> None:
    for second in (signal.SIGTERM, signal.SIGINT):
        with Receiver() as receiver:
            receiver.answer(peer.silence())
            with lab.service(receiver, paired=False) as service:
                service.hit(LOAD)
                service.look()
                service.child.send(signal.SIGTERM)
                time.sleep(0.5)
                assert service.go(second) <= 4.0
            assert not lab.spooled("bad")


def killed(lab: Lab, *, times: int = 4) -> None:
    dice = random.Random(22)
    for number in range(times):
        with Receiver() as receiver, refusing() as nowhere:
            away = number % 2 == 1
            with lab.unruled(nowhere if away else receiver, paired=False) as service:
                until = time.monotonic() + 1.5 + dice.random() * 3
                while time.monotonic() < until:
                    service.hit(5)
                    time.sleep(0.02)
                at = time.monotonic()
                service.go(signal.SIGKILL)
            _only_the_youngest_are_missing(lab, service, at - (WINDOW_AWAY if away else WINDOW) - SLACK)


def _only_the_youngest_are_missing(lab: Lab, service: Service, until: float) -> None:
    """What was finished before that moment is delivered, or comes with the next start."""
    with lab.next_start(service):
        arrived = service.arrived()
        for index, made_at in enumerate(service.made_at):
            if made_at < until:
                ids = service.made_spans[2 * index : 2 * index + 2]
                assert all(span in arrived.spans for span in ids), f"lost {until - made_at:.2f} s before the window"
                assert service.made_logs[index] in arrived.logs
    assert not lab.spooled("bad")


def worker_timed_out(lab: Lab) -> None:
    with Receiver() as receiver:
        with lab.unruled(receiver, server=servers.GUNICORN_IMPATIENT, paired=False, **SEVERAL) as service:
            service.hit(LOAD)
            at = time.monotonic()
            threading.Thread(target=_ask_in_vain, args=(service, "/freeze?seconds=8"), daemon=True).start()
            wait_until(lambda: "WORKER TIMEOUT" in service.child.output, 20.0)
            service.go(signal.SIGTERM)
        _only_the_youngest_are_missing(lab, service, at)  # all of it: the worker had seconds


def _ask_in_vain(service: Service, path: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        service.child.get(path)


def request_in_flight(lab: Lab) -> None:
    with Receiver() as receiver, lab.service(receiver) as service:
        service.hit(LOAD)
        asking = threading.Thread(target=lambda: service.child.get("/wait?seconds=3"))
        asking.start()
        time.sleep(0.5)
        # The server waits for the request; the time that counts is that from its answer to the end.
        service.look()
        service.child.send(signal.SIGTERM)
        asking.join()
        service.go(0)
    assert "GET /wait" in {span.name for span in receiver.spans}


def children_that_end(lab: Lab) -> None:
    with Receiver() as receiver:
        for method in ("fork", "forkserver", "spawn"):
            made = _ended_well(lab.program("processes", receiver, method)).said
            names = Counter(span.name for span in receiver.spans)
            assert names[method] == made, (method, names)
        _ended_well(lab.program("processes", receiver, "os._exit"))
        assert Counter(span.name for span in receiver.spans)["os._exit"] == 5


def forked(lab: Lab) -> None:
    with Receiver() as receiver:
        _ended_well(lab.program("forks", receiver, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=mine"))
        ids = {span.name: str(span.resource["service.instance.id"]) for span in receiver.spans}
    assert ids.keys() == {"before", "parent", "child", "grandchild"}
    assert ids["parent"] == ids["before"] == "mine"  # both configured for themselves
    assert ids["child"].startswith("mine-")
    assert ids["grandchild"].startswith("mine-")
    assert len({ids[name] for name in ("parent", "child", "grandchild")}) == 3


def forked_during_export(lab: Lab, *, forks: int = 40) -> None:
    with Receiver() as receiver:
        receiver.answer(peer.delay(0.02))
        said = _ended_well(lab.program("fork_storm", receiver, str(forks))).said
        assert said["ended_badly"] == []
        names = Counter(span.name for span in receiver.spans)  # each request could be decoded
        assert names["child"] == said["children"]
        assert names["parent"] == said["parent"]
        assert all(request.answered == 200 for request in receiver.requests)


def workers_recycled(lab: Lab) -> None:
    with (
        Receiver() as receiver,
        lab.service(receiver, server=servers.GUNICORN_RECYCLING, paired=False, **SEVERAL) as service,
    ):
        for _ in range(3):
            service.hit(20)
            time.sleep(1.0)  # uvicorn looks ten times a second whether its worker has answered enough
    assert len({str(span.resource["service.instance.id"]) for span in receiver.spans}) >= 3


def configured_twice(lab: Lab) -> None:
    with Receiver() as receiver:
        with lab.service(receiver) as service:
            service.do("configure_again")
            service.hit(LOAD)
        assert service.arrived().duplicates == 0
    for command in (servers.UVICORN_RELOAD, servers.UVICORN_WORKERS):  # both spawn
        _nothing_comes_twice_from(lab, command)


def _nothing_comes_twice_from(lab: Lab, command: Command) -> None:
    with Receiver() as receiver:
        with lab.service(receiver, server=command, paired=False, **SEVERAL) as service:
            service.hit(20)
        assert service.arrived().duplicates == 0
        assert receiver.total("blogauto.keywords.analyzed") == len(service.made_logs)


def too_early_and_too_late(lab: Lab) -> None:
    with Receiver() as receiver:
        _ended_well(lab.program("early_and_late", receiver))
        assert {span.name for span in receiver.spans} == {"in time", "once more"}


def no_threads(lab: Lab) -> None:
    with Receiver() as receiver, lab.service(receiver, DEEDS_BEFORE="no_threads") as service:
        service.hit(LOAD)
    assert len(service.told("no thread can be started")) == 1
    # From the very beginning even the SDK does not import: the application runs without telemetry, and is told so.
    program = lab.program("no_threads_at_all")
    assert program.said == "done"
    assert program.output.count("the application runs without telemetry") == 1


def no_descriptors_and_no_memory(lab: Lab) -> None:
    for deed in ("use_up_descriptors", "refuse_memory"):
        with Receiver() as receiver, lab.service(receiver, paired=False) as service:
            service.do(deed)
            receiver.stop()
            receiver.start()  # so that a new connection is needed
            service.hit(LOAD)
            wait_until(lambda: service.told("cannot deliver"))
            service.hit(LOAD)
            service.do("give_back")
            receiver.wait_for(lambda _: not service.missing(), timeout=30.0)


def output_gone(lab: Lab) -> None:
    for deed in ("break_output_pipe", "close_output_files", "fill_output"):
        with Receiver() as receiver, lab.service(receiver, paired=deed == "break_output_pipe") as service:
            service.do(deed)
            service.hit(LOAD)


def settings_that_cannot_be_used(lab: Lab) -> None:
    said = _ended_well(lab.program("odd_settings")).said
    assert len(said) > 60
    for variable, (ended, lines) in said.items():
        assert ended == "started", (variable, ended)
        assert lines <= 1, (variable, lines)


def instrumentation_refuses(lab: Lab) -> None:
    with Receiver() as receiver:
        contrib = _ended_well(lab.program("sql", receiver, BLOGAUTO_OTEL_SQLALCHEMY="contrib"))
        assert "wrong version" in contrib.said
        assert any("sqlalchemy wrong version" in line.text for line in contrib.own_lines)
        own = _ended_well(lab.program("sql", receiver))
        assert own.said == "on"
        assert "SELECT" in {span.name.partition(" ")[0] for span in receiver.spans}


def _ended_well(program: Program) -> Program:
    """It came to its end, nothing was raised, and telemetry did not hold it up."""
    assert program.code == 0, program.output
    assert "Traceback" not in program.output, program.output
    return program
