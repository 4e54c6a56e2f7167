"""Data rows: a bad value costs at most its own item."""

from __future__ import annotations

import http.client
import time
from typing import Any

from testkit.receiver import Receiver
from tests.faults.harness import Harness, wait_until
from tests.faults.invariants import MEBIBYTE, Tolerance
from tests.faults.service import Service

LOAD = 100
OVERFLOW = {"otel.metric.overflow": True}
# An item that cannot be repaired may be lost; then it is counted under one of these reasons.
SPOILT = Tolerance(lossless=False)


def invalid_names_and_times(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, tolerance=SPOILT) as service:
        recorded = service.run_action("invalid_names_and_times")
        assert not recorded["raised"], recorded["raised"]
        service.hit(LOAD)
        receiver.wait_for(lambda r: sum(span.name == "well" for span in r.spans) == recorded["well"])
        _only_these_were_lost(service, recorded["odd"])


def _only_these_were_lost(service: Service, at_most: int) -> None:
    dropped = service.delivery()["dropped"]
    assert set(dropped) <= {"unserialisable", "too_large"}
    assert sum(dropped.values()) <= at_most


def huge_values(harness: Harness) -> None:
    # The application itself holds 10 MB of text, and again as a message.
    with Receiver() as receiver, harness.service(receiver) as service:
        service.run_action("huge_values", size=10_000_000)
        receiver.wait_for(lambda r: [record for record in r.logs if str(record.body).startswith("aaaa")])
        receiver.wait_for(lambda r: [span for span in r.spans if span.name == "huge"])
        [span] = [span for span in receiver.spans if span.name == "huge"]
        assert len(span.attributes["text"]) <= 4096 + 64
        assert span.attributes["blogauto.truncated"] is True
        [event] = span.events
        assert len(event.attributes["exception.stacktrace"]) <= 16_384 + 64
        bodies = [record for record in receiver.logs if str(record.body).startswith("aaaa")]
        assert len(str(bodies[0].body)) <= 16_384 + 64
        assert bodies[0].attributes["blogauto.truncated"] is True
        service.hit(LOAD)
    assert max(len(request.payload) for request in receiver.requests) < MEBIBYTE


def hostile_objects(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        recorded = service.run_action("hostile_objects")
        assert not recorded["raised"], recorded["raised"]
        for kind, seconds in recorded["seconds"].items():
            assert seconds <= 0.001, f"{kind} took {seconds * 1e3:.2f} ms"
        receiver.wait_for(lambda r: sum(span.name == "hostile" for span in r.spans) == recorded["spans"])
        values = {str(v) for span in receiver.spans if span.name == "hostile" for v in span.attributes.values()}
        assert "<unserialisable>" in values
        service.hit(LOAD)


def invalid_log_calls(harness: Harness) -> None:
    # The standard library prints the error of a handler on stderr and does not raise; neither does the package.
    with Receiver() as receiver, harness.service(receiver, tolerance=Tolerance(errors=("a bad call",))) as service:
        assert service.run_action("invalid_log_calls") == []
        receiver.wait_for(lambda r: [record for record in r.logs if record.body == "after all of it"])
        service.hit(LOAD)


def idle_at_debug(harness: Harness, *, seconds: float = 8.0) -> None:
    quick = {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "BLOGAUTO_OTEL_LOG_LEVEL": "debug"}
    with Receiver() as receiver, harness.service(receiver, **quick) as service:  # type: ignore[arg-type]
        service.run_action("log_at_debug")
        service.hit(LOAD)
        receiver.wait_for(lambda _: not service.missing())
        time.sleep(1.5)
        before = service.state()["delivery"]
        time.sleep(seconds)
        after = service.state()["delivery"]
        assert after["metrics"]["requests"] > before["metrics"]["requests"]  # it exports continuously
        assert after["logs"]["accepted"] == before["logs"]["accepted"]
        assert after["traces"]["accepted"] == before["traces"]["accepted"]


def noisy_exporter(harness: Harness) -> None:
    # 600 calls of the standard library alone hold the interpreter for longer than its threads' switch interval, and a
    # request waits for as long; `test_a_suppressed_line_costs_no_more_than_a_printed_one` bounds what we add to them.
    tolerance = Tolerance(errors=("noise",), latency=0.05)
    with Receiver() as receiver:
        with_it = '{"span_processors": "noisy_exporter"}'
        with harness.service(receiver, tolerance=tolerance, CONFIGURE_WITH=with_it) as service:
            service.hit(LOAD)
            wait_until(lambda: service.run_action("noisy_exports") >= 5)
        exported = [record for record in receiver.logs if "noise" in str(record.body)]
        printed = [line for line in service.lines if "noise" in line.text]
        assert len(exported) <= 10
        assert len(printed) <= 10
        assert len(service.own_lines) <= 10


def many_attribute_sets(harness: Harness, *, sets: int = 100_000) -> None:
    with Receiver() as receiver, harness.service(receiver, tolerance=Tolerance(memory=24 * MEBIBYTE)) as service:
        service.run_action("many_attribute_sets", sets=sets)
        service.hit(LOAD)
        service.end()
        points = receiver.points("faults.labels")
        assert len(points) == 2001  # one for the overflow
        assert sum(point.value or 0 for point in points) == sets
        assert [point for point in points if dict(point.attributes) == OVERFLOW]


def many_clients(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        for number in range(60):
            _visit(service, "GET", "/hit/0", {"Host": f"host-{number}.example", "User-Agent": f"agent {number}"})
            _visit(service, f"METHOD{number}", "/hit/0", {})
            _visit(service, "GET", f"/no/such/page/{number}", {})
            _visit(service, "GET", f"/hit/{number}?q={number}", {"X-Forwarded-Host": f"{number}.example"})
        service.end()
        labels = {
            (point.name, *sorted(point.attributes.items()))
            for point in receiver.metrics
            if point.name.startswith(("blogauto.api", "blogauto.errors", "http.server"))
        }
        assert len(labels) <= 16, labels


def _visit(service: Service, method: str, path: str, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.child.port, timeout=30)
    connection.request(method, path, headers=headers)
    connection.getresponse().read()
    connection.close()


def burst(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver) as service:
        recorded = service.run_action("burst", spans=20_000)
        receiver.wait_for(lambda r: sum(span.name == "burst" for span in r.spans) >= recorded, timeout=30.0)
        service.hit(LOAD)


def memory_and_disk_full(harness: Harness) -> None:
    """More than memory and disk can hold while the Collector is down; then it is up again."""
    bounds = {"BLOGAUTO_OTEL_QUEUE_BYTES": str(4 * MEBIBYTE), "BLOGAUTO_OTEL_SPOOL_BYTES": str(4 * MEBIBYTE)}
    with Receiver() as receiver:
        receiver.freeze()
        with harness.service(receiver, tolerance=Tolerance(lossless=False), **bounds) as service:  # type: ignore[arg-type]
            recorded = service.run_action("items_of_100_kb", items=300)
            service.hit(LOAD)
            wait_until(lambda: service.lines_with("traces are being lost"), 20.0)
            assert service.delivery()["queue_bytes"] <= 4 * MEBIBYTE
            assert sum(path.stat().st_size for path in harness.spooled()) <= 5 * MEBIBYTE
            receiver.thaw()
            wait_until(lambda: service.lines_with("traces are no longer lost"), 60.0)
            dropped = service.delivery()["dropped"]
            kept = recorded - sum(dropped.values())
            receiver.wait_for(lambda r: sum(span.name == "large item" for span in r.spans) >= kept, timeout=30.0)
            assert set(dropped) <= {"queue_full", "spool_full"}


def base_exceptions(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, OTEL_METRIC_EXPORT_INTERVAL="500") as service:
        service.run_action("callbacks_that_exit")
        service.run_action("transport_exits_once")
        service.hit(LOAD)
        receiver.wait_for(lambda _: not service.missing())
        service.hit(LOAD)
        receiver.wait_for(lambda _: not service.missing())
        before = len(receiver.metrics)
        receiver.wait_for(lambda r: len(r.metrics) > before)


def objects_that_raise_base_exceptions(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, tolerance=Tolerance(errors=("ending",))) as service:
        recorded = service.run_action("objects_that_raise_base_exceptions")
        assert not recorded["raised"], recorded["raised"]
        receiver.wait_for(
            lambda r: sum(str(record.body).startswith("ending") for record in r.logs) == recorded["recorded"] / 2
        )
        service.hit(LOAD)
        receiver.wait_for(lambda _: not service.missing())


def streamed_response_after_sized(harness: Harness) -> None:
    with Receiver() as receiver, harness.service(receiver, BLOGAUTO_OTEL_HTTP_SEMCONV_METRICS="true") as service:
        assert len(service.get("/sized")) == 300_000
        assert service.get("/streamed") == "streamed"
        service.hit(LOAD)
        receiver.wait_for(lambda r: [span for span in r.spans if span.name == "GET /streamed"])
    [span] = [span for span in receiver.spans if span.name == "GET /streamed"]
    sizes: dict[str, Any] = {key: value for key, value in span.attributes.items() if "size" in key or "length" in key}
    assert all(value == len('"streamed"') for value in sizes.values()), sizes
    assert sum(p.sum or 0 for p in receiver.points("http.server.response.body.size")) <= 310_000
