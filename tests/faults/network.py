"""Collector and network rows: unreachable, silent, refusing, broken."""

from __future__ import annotations

import contextlib
import email.utils
import random
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from blogauto_otel import semconv
from testkit import certificates
from testkit import receiver as peer
from testkit.receiver import Answer, Receiver
from tests.export.peers import GrpcReceiver, refusing
from tests.faults.harness import Harness, wait_until
from tests.faults.invariants import LOSSY
from tests.faults.service import Service

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BATCH = 2048  # spans that fill a batch, so that the worker checks whether it may send
LOAD = 100  # requests during the fault; the invariants add more


@contextlib.contextmanager
def _never_accepting() -> Iterator[str]:
    """The kernel completes connections that the server never accepts, as with a stopped process."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def connection_refused(harness: Harness) -> None:
    with refusing() as refused_url, harness.service(refused_url) as service:
        assert service.get("/ready") < 2.0  # seconds for `configure`: it does not wait
        service.hit(LOAD)


def no_answer(harness: Harness) -> None:
    with _never_accepting() as refused_url, harness.service(refused_url) as service:
        assert service.get("/ready") < 2.0
        service.hit(LOAD)


def outage(harness: Harness, *, seconds: float = 6.0) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        service.hit(LOAD)
        all_arrive(service, receiver)  # before the outage, so that some data is not spooled
        receiver.stop()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            service.hit(20)
            time.sleep(0.2)
        receiver.start()
        service.hit(LOAD)
        all_arrive(service, receiver, within=45.0)
        assert service.received().duplicates == 0
        for came_from_disk in (True, False):
            numbers = _numbers(receiver, came_from_disk=came_from_disk)
            assert numbers, came_from_disk
            assert numbers == sorted(numbers), (came_from_disk, numbers)


def _numbers(receiver: Receiver, *, came_from_disk: bool) -> list[int]:
    """The request numbers in log records, in order of arrival."""
    bodies = [str(r.body) for r in receiver.logs if (semconv.REDELIVERED in r.resource) is came_from_disk]
    return [int(body.removeprefix("hit ")) for body in bodies if body.startswith("hit ")]


def flapping(harness: Harness) -> None:
    rng = random.Random(4)
    with Receiver() as receiver, harness.service(receiver) as service:
        receiver.answer(lambda _: peer.status(503) if rng.random() < 0.7 else peer.ok())
        for _ in range(10):
            service.hit(30)
            time.sleep(0.2)
        all_arrive(service, receiver)


def permanent_errors(harness: Harness) -> None:
    codes = (400, 401, 404, 413)
    with Receiver() as receiver, harness.service(receiver, tolerance=LOSSY) as service:
        for code in codes:
            receiver.answer(peer.status(code))
            service.hit(LOAD)
            wait_until(lambda code=code: f"http_{code}" in service.delivery()["dropped"])  # type: ignore[misc]
            service.hit(20)
        assert service.delivery()["retries"] == 0
        receiver.answer(peer.ok())
    spans = Counter(
        span.span_id
        for request in receiver.requests
        if "traces" in request.path
        for span in peer.decode_spans(request.payload)
    )
    assert set(spans.values()) == {1}  # no retry
    for code in codes:
        assert len(service.lines_with(f"refuses traces, and what it refuses is lost: HTTP {code}")) <= 1


def retry_after_honoured(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        service.hit(10)
        all_arrive(service, receiver)
        receiver.answer(lambda path: peer.status(503 if "logs" in path else 429, retry_after=30))
        service.hit(LOAD)
        receiver.wait_for(lambda r: any(q.answered == 429 for q in r.requests))
        receiver.wait_for(lambda r: any(q.answered == 503 for q in r.requests))
        for _ in range(5):
            service.hit(40)
            time.sleep(0.6)
        asked = Counter(request.path for request in receiver.requests if request.answered in (429, 503))
        assert max(asked.values()) == 1, asked  # later batches observe the delay too


def unusual_retry_after(harness: Harness) -> None:
    past = email.utils.formatdate(time.time() - 3600, usegmt=True)
    unreadable, too_short = ("soon", ""), ("0", "-5", past, "NaN")
    with Receiver() as receiver, harness.service(receiver) as service:
        receiver.answer(in_turn([peer.status(503, retry_after=value) for value in (*unreadable, *too_short)]))
        service.hit(LOAD)
        all_arrive(service, receiver)
        for path in ("/v1/traces", "/v1/logs"):
            pauses = _pauses(receiver, path)
            assert all(pause > 0.04 for pause in pauses[:2]), pauses  # the package's own first delays
            assert all(0.5 <= pause < 2.0 for pause in pauses[2:]), pauses
        receiver.answer(peer.status(503, retry_after="1e9"))
        service.hit(20)
        receiver.wait_for(_refuses_both)
        receiver.answer(peer.ok())
        asked = _asked(receiver)
        service.run_action("advance_monotonic_clock", seconds=50)
        service.run_action("burst", spans=BATCH)
        time.sleep(1.0)
        assert _asked(receiver) == asked
        service.run_action("advance_monotonic_clock", seconds=10)
        service.run_action("burst", spans=BATCH)
        receiver.wait_for(lambda _: _asked(receiver) > asked, timeout=1.0)
        all_arrive(service, receiver)


def _pauses(receiver: Receiver, path: str) -> list[float]:
    """Seconds between a request answered with 503 and the next."""
    asked = [request for request in receiver.requests if request.path == path]
    return [later.time - sooner.time for sooner, later in pairwise(asked) if sooner.answered == 503]


def _refuses_both(receiver: Receiver) -> bool:
    latest = {request.path: request.answered for request in receiver.requests}
    return latest["/v1/traces"] == latest["/v1/logs"] == 503


def _asked(receiver: Receiver) -> int:
    return sum(request.path == "/v1/traces" for request in receiver.requests)


def partial_success(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, tolerance=LOSSY) as service:
        receiver.answer(peer.partial_success(3, "too old"), times=4)
        service.hit(LOAD)
        wait_until(lambda: service.delivery()["dropped"].get("rejected", 0) % 3 == 0 and service.delivery()["dropped"])
        service.hit(LOAD)
    assert service.last["delivery"]["traces"]["dropped"].keys() <= {"rejected"}
    assert len(service.lines_with("rejected 3 of")) <= 3  # one for each signal


def request_size_limit(harness: Harness) -> None:
    receivers = {"http/protobuf": Receiver(), "grpc": GrpcReceiver()}  # the gRPC server enforces the limit itself
    for protocol, receiver in receivers.items():
        with receiver, harness.service(receiver, OTEL_EXPORTER_OTLP_PROTOCOL=protocol) as service:
            recorded = service.run_action("many_large_spans", count=1500, size=4000)
            all_arrive(service, receiver)
            receiver.wait_for(lambda r, recorded=recorded: sum(span.name == "large" for span in r.spans) == recorded)  # type: ignore[misc]
        assert max(len(request.payload) for request in receiver.requests) < 4 * 2**20


def huge_responses(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        for answer in (peer.huge_body(), peer.gzip_bomb()):
            receiver.answer(answer)
            service.hit(LOAD)
            all_arrive(service, receiver)
        receiver.answer(peer.ok())
        assert service.received().duplicates == 0


def broken_connections(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        for answer in (peer.reset("reading"), peer.closing(), peer.reset("reading"), peer.closing()):
            receiver.answer(answer, times=3)
            service.hit(LOAD)
            all_arrive(service, receiver, within=20.0)
        assert service.received().duplicates == 0


def dns_failure(harness: Harness) -> None:
    for action in ("", "dns_hangs"):
        with harness.service("http://collector.invalid:4318", ACTIONS_BEFORE=action) as service:
            assert service.get("/ready") < 2.0
            service.hit(LOAD)


def tls_errors(harness: Harness) -> None:
    certs = certificates.make(harness.folder)
    faults = {
        "unknown authority": (certs.server, str(certs.unknown)),
        "expired": (certs.expired, str(certs.authority)),
        "missing file": (certs.server, str(harness.folder / "missing.pem")),
        "not a certificate": (certs.server, __file__),
    }
    for fault, (served, trusted) in faults.items():
        with Receiver(tls=served()) as receiver:
            with harness.service(receiver, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted) as service:
                service.hit(20)
                wait_until(lambda: service.lines_with("cannot deliver"))
            assert not receiver.requests, fault
    with Receiver() as plain, harness.service(plain.url.replace("http", "https")) as service:
        service.hit(20)
        wait_until(lambda: service.lines_with("cannot deliver"))


def lost_acknowledgements(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        receiver.answer(peer.lost_acknowledgement(), times=6)
        service.hit(LOAD)
        all_arrive(service, receiver)
        wait_until(lambda: service.delivery()["queue_items"] == 0)
        assert service.received().duplicates > 0
        assert service.delivery()["retries"] + service.delivery("logs")["retries"] > 0


def in_turn(answers: Sequence[Answer]) -> Callable[[str], Answer]:
    """Each path gets each of the answers once; then 200."""
    turns: dict[str, Iterator[Answer]] = defaultdict(lambda: iter(answers))
    return lambda path: next(turns[path], peer.ok())


def all_arrive(service: Service, receiver: Receiver, *, within: float = 10.0) -> None:
    receiver.wait_for(lambda _: not service.missing(), timeout=within)
