"""Rows of untrusted clients, and of routes that collide with ours."""

from __future__ import annotations

from testkit.processes import python
from testkit.receiver import Receiver
from testkit.servers import Command
from tests.faults.harness import Harness

TRACE = "0af7651916cd43dd8448eb211c80319c"
REQUESTS = 50


def _uvicorn(application: str, *options: str) -> Command:
    where = f"tests.faults.{application}"
    return lambda port: python("-m", "uvicorn", where, "--port", str(port), "--log-level", "warning", *options)


# A proxy unknown to the server: it does not resolve the client's address.
UNRESOLVED = _uvicorn("application:app", "--no-proxy-headers")


def trace_context_through_proxy(harness: Harness) -> None:
    """A proxy on loopback forwards an untrusted client's trace context, sampling flag and baggage."""
    sent = {
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
        "baggage": f"who=other,big={'x' * 7000}",
        "X-Forwarded-For": "203.0.113.7",
    }
    with (
        Receiver() as receiver,
        harness.unchecked(receiver, server=UNRESOLVED, BLOGAUTO_OTEL_SAMPLE_RATE="0") as service,
    ):
        for number in range(REQUESTS):
            assert service.child.get(f"/hit/{number}", sent)[0] == 200
        service.end()
        assert TRACE not in {span.trace_id for span in receiver.spans}
        assert TRACE not in {record.trace_id for record in receiver.logs}


def own_metrics_route(harness: Harness) -> None:
    """A working route is kept; a failing one is replaced, and its exception reaches no client."""
    with Receiver() as receiver, harness.service(receiver, server=_uvicorn("scripts.own_metrics_route:app")) as service:
        assert [service.child.get("/metrics") for _ in range(3)] == [(200, b"own 1\n")] * 3
        service.hit(20)
        service.end()
        assert service.child.output.count("ours is not served") == 1
    with (
        Receiver() as receiver,
        harness.unchecked(receiver, server=_uvicorn("scripts.own_metrics_route:broken")) as service,
    ):
        for _ in range(3):
            status, page = service.child.get("/metrics")
            assert status == 200
            assert b"blogauto_api_requests_total" in page
        service.end()
        assert service.child.output.count("ours answers in its place") == 1
