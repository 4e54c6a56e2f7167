"""Runtime rows: interrupts, many threads, interpreter flags, umask, disconnecting clients."""

from __future__ import annotations

import http.client
import time
from typing import Any

from testkit.processes import python
from testkit.receiver import Receiver
from testkit.servers import Command
from tests.faults.disk import without_privileges
from tests.faults.harness import APP, Harness, wait_until
from tests.faults.network import all_arrive
from tests.faults.service import Service

LOAD = 100


def recording_in_interrupts(harness: Harness) -> None:
    """Signal handlers and finalizers record while the same thread records: waiting for a lock would deadlock."""
    actions = "record_in_signal_handlers,record_in_finalizers"
    with Receiver() as receiver, harness.service(receiver, ACTIONS_BEFORE=actions) as service:
        service.hit(3 * LOAD)
        assert service.get("/busy?seconds=3") > 1000
        recorded = service.run_action("stop_interruptions")
        assert min(recorded.values()) > 20, recorded
        for name, count in recorded.items():
            receiver.wait_for(lambda r, name=name, count=count: _spans(r, name) == count)  # type: ignore[misc]
        all_arrive(service, receiver)


def _spans(receiver: Receiver, name: str) -> int:
    return sum(span.name == name for span in receiver.spans)


def many_threads(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        recorded = service.run_action("many_threads", threads=200, times=50)
        service.hit(LOAD)
        receiver.wait_for(lambda r: _spans(r, "of many") == recorded)
        receiver.wait_for(lambda r: sum(str(record.body).startswith("of many") for record in r.logs) == recorded)
        service.end()
        assert receiver.total("faults.of_many") == recorded


def interpreter_flags(harness: Harness) -> None:
    for flags in (("-OO",), ("-X", "dev"), ("-W", "error"), ("-X", "utf8=0", "-b")):
        with Receiver() as receiver, harness.service(receiver, server=_flagged(*flags), with_control=False) as service:
            service.hit(LOAD)
            all_arrive(service, receiver)


def _flagged(*flags: str) -> Command:
    return lambda port: python(*flags, "-m", "uvicorn", APP, "--port", str(port), "--log-level", "warning")


def umask_0777(harness: Harness) -> None:
    with Receiver() as receiver:
        receiver.stop()
        how: dict[str, Any] = {"server": without_privileges(), "ACTIONS_BEFORE": "set_umask_0777"}
        with harness.service(receiver, **how) as service:
            service.hit(LOAD)
            wait_until(harness.spooled)
            receiver.start()
            all_arrive(service, receiver, within=30.0)


def disconnecting_clients(harness: Harness, *, clients: int = 200) -> None:
    with Receiver() as receiver, harness.service(receiver, OTEL_METRIC_EXPORT_INTERVAL="500") as service:
        for _ in range(clients):
            _disconnect(service, "/wait?seconds=0.3")
        service.hit(LOAD)
        receiver.wait_for(lambda r: _spans(r, "GET /wait") == clients, timeout=20.0)
        all_arrive(service, receiver)
        time.sleep(1.5)
        open_now = receiver.points("blogauto.api.requests.in_progress")
        assert {dict(point.attributes)["endpoint"] for point in open_now} >= {"/wait"}
        assert not sum(point.value or 0 for point in open_now if dict(point.attributes)["endpoint"] == "/wait")


def _disconnect(service: Service, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.child.port, timeout=10)
    connection.request("GET", path)
    connection.close()
