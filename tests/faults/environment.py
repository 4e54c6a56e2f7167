"""Environment rows: proxies, unexpected peers, clocks, forks, closed descriptors."""

from __future__ import annotations

import dataclasses
import random
import signal
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import grpc

from testkit import certificates
from testkit import receiver as peer
from testkit.receiver import Answer, Receiver
from tests.export.peers import GrpcReceiver, failing, refusing
from tests.faults.harness import UVICORN_ASYNCIO, Harness, succeeded, wait_until
from tests.faults.invariants import LOSSY, Tolerance
from tests.faults.network import OK, all_arrive, in_turn

LOAD = 40
QUICK: dict[str, Any] = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100"}


def _items_received(answer: Answer) -> Answer:
    """The same answer, but the items of the request count as received."""
    return dataclasses.replace(answer, received=True)


# --- peers ------------------------------------------------------------------------------------------------------------


def proxy_variables(harness: Harness) -> None:
    netrc = harness.folder / ".netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    with Receiver() as proxy:
        names = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
        around: dict[str, Any] = {name: proxy.url for lower in names for name in (lower, lower.upper())}
        around |= {"no_proxy": "", "NO_PROXY": "", "HOME": str(harness.folder), "NETRC": str(netrc)}
        for receiver, protocol in ((Receiver(), "http/protobuf"), (GrpcReceiver(), "grpc")):
            with receiver, harness.service(receiver, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **around) as service:
                service.hit(LOAD)
                all_arrive(service, receiver)
            assert not any("authorization" in request.headers for request in receiver.requests)
        assert proxy.connections == 0


def system_ca_file(harness: Harness) -> None:
    """A private authority configured for OpenSSL is trusted by the exporter too."""
    certs = certificates.make(harness.folder)
    trusted: dict[str, Any] = {"SSL_CERT_FILE": str(certs.authority)}
    with Receiver(tls=certs.server()) as receiver, harness.service(receiver, **trusted) as service:
        service.hit(LOAD)
        all_arrive(service, receiver)


def redirects(harness: Harness) -> None:
    codes = (301, 302, 303, 307, 308)
    with Receiver() as elsewhere, Receiver() as receiver:
        token: dict[str, Any] = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20token-of-the-collector"}
        with harness.service(receiver, tolerance=LOSSY, **token, **QUICK) as service:
            for code in codes:
                receiver.answer(
                    dataclasses.replace(
                        peer.redirect(elsewhere.url, code),
                        headers={"Location": f"{elsewhere.url}/v1/traces", "Set-Cookie": "session=1; Path=/"},
                    )
                )
                service.hit(LOAD)
                wait_until(lambda code=code: f"http_{code}" in service.delivery()["dropped"])  # type: ignore[misc]
            receiver.answer(peer.status(302))  # without a location
            service.hit(LOAD)
            wait_until(lambda: "http_302" in service.delivery("logs")["dropped"])
            receiver.answer(peer.ok())
        assert elsewhere.connections == 0
        assert {request.headers["authorization"] for request in receiver.requests} == {"Bearer token-of-the-collector"}
        assert not any("cookie" in request.headers for request in receiver.requests)
        assert "token-of-the-collector" not in service.child.output


def endless_responses(harness: Harness) -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    kinds = (
        peer.Answer(drip=0.2, received=False),
        peer.raw(
            b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" * 100, endless=True
        ),
        _items_received(peer.raw(head + b"Content-Length: 1000\r\n\r\n", b"x", pause=0.1, endless=True)),
        _items_received(peer.raw(head + b"\r\n", b"x", pause=0.1, endless=True)),
        _items_received(peer.raw(head + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nabcde\r\n" * 1000, endless=True)),
        _items_received(peer.raw(head + b"X: ", b"x" * 65_536, endless=True)),
        _items_received(peer.raw(head, b"X: y\r\n" * 1000, endless=True)),
    )
    with Receiver() as receiver, harness.service(receiver, OTEL_EXPORTER_OTLP_TIMEOUT="500", **QUICK) as service:
        for kind in kinds:
            receiver.answer(kind, times=2)
            service.hit(LOAD)
            all_arrive(service, receiver)
        receiver.answer(peer.slow_reader(0.001), times=1)
        recorded = service.run_action("many_large_spans", count=1500, size=4000)
        receiver.wait_for(lambda r: sum(span.name == "large" for span in r.spans) == recorded)
        assert service.received().duplicates == 0
        figures = service.delivery()
        assert figures["request_seconds"] / figures["requests"] <= 0.5


def other_protocols(harness: Harness) -> None:
    page = b"<!doctype html><title>Sign in</title>"
    kinds = (
        peer.raw(page, close=True),  # HTTP/0.9
        peer.raw(b"\x15\x03\x01\x00\x02\x02\x46", close=True),  # a TLS alert
        peer.raw(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00"),  # SETTINGS of HTTP/2
        peer.raw(b"-ERR unknown command 'POST'\r\n"),
        peer.raw(b"HTTP/1.1 000 Nothing\r\n\r\n"),
        peer.raw(b"HTTP/1.1 -200 OK\r\n\r\n"),
        peer.Answer(headers={"Content-Type": "text/html"}, body=page, received=False),
        peer.Answer(body=b"\xff\x00 no message of anybody's \x0a\xff"),
        peer.status(204),
        _items_received(peer.raw(b"HTTP/1.0 206 Partial Content\r\n\r\n", close=True)),
    )
    with Receiver() as receiver, harness.service(receiver, **QUICK) as service:
        receiver.answer(in_turn(kinds))
        for _ in range(5):
            service.hit(LOAD)
            time.sleep(0.2)
        all_arrive(service, receiver, within=20.0)
        assert service.received().duplicates == 0


def unsolicited_responses(harness: Harness) -> None:
    """Each comes before a refusal: used as the response to that request, it would hide the loss."""
    kinds = (
        _items_received(peer.raw(OK, OK, pause=0.02)),
        _items_received(peer.raw(OK + OK)),
        _items_received(peer.raw(OK + OK[:10], OK[10:], pause=0.15)),
    )
    with Receiver() as receiver, harness.service(receiver, **QUICK) as service:
        receiver.answer(in_turn([answer for kind in kinds for answer in (kind, peer.status(503))]))
        for _ in range(10):
            service.hit(LOAD)
            time.sleep(0.1)
        all_arrive(service, receiver)
        assert service.received().duplicates == 0


# --- clocks -----------------------------------------------------------------------------------------------------------


def clock_changes(harness: Harness) -> None:
    """With a reachable Collector, and with data on disk."""
    jumps = (-3600.0, 2 * 86_400.0, 5.0 - time.time(), 0.0)
    quick: dict[str, Any] = {**QUICK, "OTEL_METRIC_EXPORT_INTERVAL": "500"}
    with Receiver() as receiver, harness.service(receiver, **quick) as service:
        for jump in jumps:
            service.run_action("set_clock", seconds=jump)
            service.hit(LOAD)
            before = len(receiver.requests)
            all_arrive(service, receiver)
            receiver.wait_for(lambda r, before=before: any("metrics" in q.path for q in r.requests[before:]))  # type: ignore[misc]
        receiver.stop()
        for jump in jumps:
            service.run_action("set_clock", seconds=jump)
            service.hit(LOAD)
        wait_until(harness.spooled)
        receiver.start()
        service.hit(LOAD)
        all_arrive(service, receiver, within=20.0)
        assert service.received().duplicates == 0
        lasted = [
            span.seconds for span in receiver.spans if span.kind == "SERVER"
        ]  # including those that set the clock
        assert 0.0 < min(lasted) < max(lasted) < 30.0


def frozen_clocks(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        service.run_action("freeze_clocks")
        service.hit(LOAD)
        all_arrive(service, receiver, within=30.0)
        receiver.stop()
        service.hit(LOAD)
        wait_until(lambda: harness.spooled("claim") or harness.spooled(), 30.0)
        receiver.start()
        all_arrive(service, receiver, within=60.0)


def no_poll(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, ACTIONS_BEFORE="no_poll") as service:
        service.hit(LOAD)
        all_arrive(service, receiver)
        assert receiver.connections <= 3  # one by signal: they are reused


def several_addresses(harness: Harness) -> None:
    """The first address of the Collector's name is unreachable; then another server has its port for a while."""
    with Receiver() as receiver:
        named = f"http://collector.test:{receiver.port}"
        with harness.service(named, ACTIONS_BEFORE="first_address_is_dead", **QUICK) as service:
            service.receivers.append(receiver)
            service.hit(LOAD)
            all_arrive(service, receiver)
            assert not service.lines_with("cannot deliver")
            receiver.stop()
            with Receiver(port=receiver.port) as other:
                other.answer(peer.raw(b"SSH-2.0-OpenSSH_9.9\r\n", close=True))
                service.hit(LOAD)
                other.wait_for(lambda r: r.requests)
            receiver.start()
            service.hit(LOAD)
            all_arrive(service, receiver)
            assert service.received().duplicates == 0


def grpc_errors(harness: Harness) -> None:
    rng = random.Random(7)
    busy, asks = failing(grpc.StatusCode.UNAVAILABLE), failing(grpc.StatusCode.RESOURCE_EXHAUSTED, wait=1.0)
    over_grpc: dict[str, Any] = {**QUICK, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    its_own_words = Tolerance(errors=("chttp2_transport",))  # printed by grpcio
    with GrpcReceiver() as receiver, harness.service(receiver, tolerance=its_own_words, **over_grpc) as service:
        receiver.reply = lambda context: busy(context) if rng.random() < 0.7 else b""
        service.hit(LOAD)
        all_arrive(service, receiver)
        receiver.reply = asks
        service.hit(LOAD)
        receiver.wait_for(lambda r: {"/v1/traces", "/v1/logs"} <= {q.path for q in r.requests if q.answered == 8})
        receiver.reply = lambda _: b""
        all_arrive(service, receiver)
        for path in ("/v1/traces", "/v1/logs"):
            asked = [request for request in receiver.requests if request.path == path]
            pauses = [later.time - sooner.time for sooner, later in pairwise(asked) if sooner.answered == 8]
            assert all(pause >= 1.0 for pause in pauses), pauses
        receiver.stop()  # GOAWAY, then refused connections
        service.hit(LOAD)
        wait_until(harness.spooled)
        receiver.start()
        service.hit(LOAD)
        all_arrive(service, receiver)
        assert service.received().duplicates == 0


# --- the process ------------------------------------------------------------------------------------------------------


def sigstop(harness: Harness) -> None:
    """Stopped for longer than the request timeout and the schedule delay; first with a request in flight."""
    short: dict[str, Any] = {**QUICK, "OTEL_EXPORTER_OTLP_TIMEOUT": "1000", "with_control": False}
    with Receiver() as receiver, harness.service(receiver, server=UVICORN_ASYNCIO, **short) as service:
        for answer, seconds in ((peer.delay(0.5), 1.5), (peer.ok(), 5.5)):
            receiver.answer(answer)
            service.hit(LOAD)
            receiver.wait_for(lambda _: not service.missing())  # received, not yet answered
            service.child.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            before = len(receiver.requests)
            service.child.send_signal(signal.SIGCONT)
            time.sleep(1.0)
            assert len(receiver.requests) - before <= 3, "a burst"
        service.hit(LOAD)
        all_arrive(service, receiver)
        assert service.received().duplicates == 0
        assert service.delivery()["retries"] == 0


def forks_in_threads(harness: Harness, *, each: int = 8) -> None:
    with refusing() as refused_url:
        result = succeeded(harness.run_script("forks_in_threads", refused_url, str(each))).result
    assert result["complete"]
    assert result["failed_children"] == []
    assert result["children"] == 4 * each
    with Receiver() as next_receiver:
        succeeded(harness.run_script("testkit.drain_spool", next_receiver))
        arrived = Counter(span.name for span in next_receiver.spans)
        assert arrived["child"] == result["child"]
        assert arrived["parent"] == result["parent"]
        assert len({span.span_id for span in next_receiver.spans}) == len(next_receiver.spans)


def subprocesses(harness: Harness) -> None:
    rng = random.Random(5)
    busy = failing(grpc.StatusCode.UNAVAILABLE)
    plain, other = Receiver(), GrpcReceiver()
    plain.answer(lambda _: peer.status(503) if rng.random() < 0.5 else peer.ok())  # so that data is spooled too
    other.reply = lambda context: busy(context) if rng.random() < 0.5 else b""
    for receiver, protocol in ((plain, "http/protobuf"), (other, "grpc")):
        with receiver:
            script = succeeded(harness.run_script("subprocesses", receiver, "10", OTEL_EXPORTER_OTLP_PROTOCOL=protocol))
            assert receiver.spans
        assert script.result == []


def closed_descriptors(harness: Harness) -> None:
    for way in ("at once", "daemon"):
        with Receiver() as receiver:
            script = harness.run_script("closed_descriptors", receiver, way)
            assert script.code == 0, script.output
            assert script.result == {"complete": True, "heard": {}}
            assert Counter(span.name for span in receiver.spans) == {"before": 10, "after": 20}


def no_environment(harness: Harness) -> None:
    with Receiver() as receiver:
        for kind in ("empty", "strange"):
            assert succeeded(harness.run_script("no_environment", receiver, kind)).result["complete"]
        assert Counter(span.name for span in receiver.spans)["from nowhere"] == 20
    with refusing() as refused_url:
        unreachable = succeeded(harness.run_script("no_environment", refused_url, "strange"))
        assert not unreachable.result["complete"]
        assert sum("cannot be kept on disk" in line.text for line in unreachable.own_lines) == 1
        assert sum("and lost: 10 traces" in line.text for line in unreachable.own_lines) == 1
        kept = succeeded(harness.run_script("no_environment", refused_url, "spool"))
        assert kept.result["complete"]
        assert kept.result["modes"] == ["0o600", "0o700"]  # whatever the umask


# --- interrupted calls ------------------------------------------------------------------------------------------------


def asynchronous_exceptions(harness: Harness) -> None:
    """Finished items arrive, whatever exception interrupted the next one."""
    with Receiver() as receiver:
        script = harness.run_script("asynchronous_exceptions", receiver)
        result = script.result
        assert script.code == 0, script.output
        assert result["ended"]
        assert not any(result["balance"].values()), result["balance"]
        counted = sum(sum(reasons.values()) for reasons in result["dropped"].values())  # lost to a stack overflow
        if any(result["spooled"].values()):  # on a slow machine more is recorded than sent
            succeeded(harness.run_script("testkit.drain_spool", receiver))
        spans = Counter(span.name for span in receiver.spans)
        logs = Counter(str(record.body) for record in receiver.logs if record.scope.startswith("faults"))
        for name, complete in result["complete"].items():
            at_most = counted if name == "deep" else 0
            assert name == "in the handler" or spans[name] >= complete - at_most, (name, spans[name], result)
            assert name == "outer" or logs[name] >= complete - at_most, (name, logs[name], result)
        assert spans["afterwards"] == logs["afterwards"] == result["complete"]["afterwards"]
        assert logs["in the handler"] == result["complete"]["in the handler"]
        assert all((r.scope == "faults.handler") == (r.body == "in the handler") for r in receiver.logs)


def mutating_values(harness: Harness) -> None:
    with Receiver() as receiver:
        script = harness.run_script("mutating_values", receiver)
        result = script.result
        assert script.code == 0, script.output
        assert result["raised"] == []
        assert result["complete"]
        assert (result["swallowed"], result["dropped"]) == ({}, {"traces": {}, "logs": {}})
        assert sum(span.name == "mutating" for span in receiver.spans) == result["recorded"]
        assert sum(str(record.body).startswith("mutating") for record in receiver.logs) == result["recorded"]
