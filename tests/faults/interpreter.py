"""Rows of the interpreter and its surroundings: interrupted anywhere, crowded, started oddly, hung up on."""

from __future__ import annotations

import http.client
import time
from typing import Any

from testkit.children import python
from testkit.receiver import Receiver
from tests.faults.disk import without_privileges
from tests.faults.lab import APP, Command, Lab, Service, wait_until
from tests.faults.network import all_arrive

LOAD = 100


def interrupted_anywhere(lab: Lab) -> None:
    """What a signal handler or a finalizer records comes in the middle of recording: no lock may be waited for."""
    deeds = "record_in_signals,record_in_finalizers"
    with Receiver() as receiver, lab.service(receiver, DEEDS_BEFORE=deeds) as service:
        service.hit(3 * LOAD)
        assert service.get("/busy?seconds=3") > 1000
        made = service.do("record_in_peace")
        assert min(made.values()) > 20, made
        for name, count in made.items():
            receiver.wait_for(lambda r, name=name, count=count: _spans(r, name) == count)  # type: ignore[misc]
        all_arrive(service, receiver)


def _spans(receiver: Receiver, name: str) -> int:
    return sum(span.name == name for span in receiver.spans)


def very_many_threads(lab: Lab) -> None:
    with Receiver() as receiver, lab.service(receiver) as service:
        made = service.do("many_threads", threads=200, times=50)
        service.hit(LOAD)
        receiver.wait_for(lambda r: _spans(r, "of many") == made)
        receiver.wait_for(lambda r: sum(str(record.body).startswith("of many") for record in r.logs) == made)
        service.end()
        assert receiver.total("faults.of_many") == made


def interpreter_flags(lab: Lab) -> None:
    for flags in (("-OO",), ("-X", "dev"), ("-W", "error"), ("-X", "utf8=0", "-b")):
        with Receiver() as receiver, lab.service(receiver, server=_flagged(*flags), paired=False) as service:
            service.hit(LOAD)
            all_arrive(service, receiver)


def _flagged(*flags: str) -> Command:
    return lambda port: python(*flags, "-m", "uvicorn", APP, "--port", str(port), "--log-level", "warning")


def no_rights_on_what_is_made(lab: Lab) -> None:
    with Receiver() as receiver:
        receiver.stop()
        how: dict[str, Any] = {"server": without_privileges(), "DEEDS_BEFORE": "take_all_rights_away"}
        with lab.service(receiver, **how) as service:
            service.hit(LOAD)
            wait_until(lab.spooled)
            receiver.start()
            all_arrive(service, receiver, within=30.0)


def clients_that_hang_up(lab: Lab, *, clients: int = 200) -> None:
    with Receiver() as receiver, lab.service(receiver, OTEL_METRIC_EXPORT_INTERVAL="500") as service:
        for _ in range(clients):
            _hang_up(service, "/wait?seconds=0.3")
        service.hit(LOAD)
        receiver.wait_for(lambda r: _spans(r, "GET /wait") == clients, timeout=20.0)
        all_arrive(service, receiver)
        time.sleep(1.5)
        open_now = receiver.points("blogauto.api.requests.in_progress")
        assert {dict(point.attributes)["endpoint"] for point in open_now} >= {"/wait"}
        assert not sum(point.value or 0 for point in open_now if dict(point.attributes)["endpoint"] == "/wait")


def _hang_up(service: Service, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.child.port, timeout=10)
    connection.request("GET", path)
    connection.close()
