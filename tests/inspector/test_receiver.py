"""OTLP arrives by the exporters of OpenTelemetry, as protobuf and JSON, over HTTP and gRPC; faults are answered."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from blogauto_otel.inspector import decoding
from blogauto_otel.inspector.ingest import Ingest
from blogauto_otel.inspector.store import Store
from testkit.otlp import traces
from testkit.processes import eventually
from tests.inspector.server import Page, get, page

SHOP = Resource({"service.name": "shop"})
PROTOBUF = {"Content-Type": decoding.PROTOBUF}


@pytest.fixture(scope="module")
def shared() -> Iterator[Page]:
    with page() as served:
        yield served


@pytest.fixture
def served(shared: Page) -> Page:
    shared.running.inspector.store.clear()
    return shared


def test_the_exporters_of_opentelemetry_deliver_all_three_signals(served: Page) -> None:
    tracing = TracerProvider(resource=SHOP)
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{served.endpoint}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{served.endpoint}/v1/metrics"))
    metering = MeterProvider([reader], resource=SHOP)
    logging_ = LoggerProvider(resource=SHOP)
    logging_.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=f"{served.endpoint}/v1/logs")))
    with tracing.get_tracer("shop").start_as_current_span("order") as current:
        logging_.get_logger("shop.orders").emit(body="card declined", severity_number=SeverityNumber.ERROR)
        metering.get_meter("shop").create_counter("orders").add(1)
    metering.force_flush()
    for provider in (tracing, metering, logging_):
        provider.shutdown()
    assert served.running.inspector.ingest.drain(10)
    trace = served.get(f"/api/traces/{current.get_span_context().trace_id:032x}")
    assert [one["name"] for one in trace["spans"]] == ["order"]
    assert [(one["body"], one["logger"]) for one in trace["logs"]] == [("card declined", "shop.orders")]
    assert "orders" in [one["name"] for one in served.get("/api/metrics")["metrics"]]
    assert [one["name"] for one in served.get("/api/services")["services"]] == ["shop"]


def test_grpc_is_received_too(served: Page) -> None:
    import grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    target = served.running.inspector.grpc_endpoint
    assert target is not None
    with grpc.insecure_channel(target) as channel:
        TraceServiceStub(channel).Export(traces([get("/by-grpc")]), timeout=10)  # type: ignore[no-untyped-call]
    assert served.running.inspector.ingest.drain(10)
    assert [one["path"] for one in served.get("/api/requests")["requests"]] == ["/by-grpc"]


def test_json_with_hexadecimal_ids_is_received(served: Page) -> None:
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "name": "GET /json",
        "kind": 2,
        "startTimeUnixNano": str(time.time_ns()),
        "endTimeUnixNano": str(time.time_ns()),
        "attributes": [{"key": "http.route", "value": {"stringValue": "/json"}}],
        "unknownField": 1,
    }
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]}
    answer = httpx.post(f"{served.endpoint}/v1/traces", json=body)
    assert (answer.status_code, answer.json()) == (200, {})
    assert served.running.inspector.ingest.drain(10)
    assert served.get("/api/traces/5b8efff798038103d269b633813fc60c")["spans"][0]["span_id"] == "eee19b7ec3c1b174"


def test_compressed_requests_are_received(served: Page) -> None:
    body = gzip.compress(traces([get("/gzip")]).SerializeToString())
    answer = httpx.post(f"{served.endpoint}/v1/traces", content=body, headers={**PROTOBUF, "Content-Encoding": "gzip"})
    assert answer.status_code == 200
    eventually(lambda: served.get("/api/requests")["total"], lambda total: total == 1, timeout=10)


BOMB = gzip.compress(b"\0" * (decoding.MAX_REQUEST + 1))


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/v1/traces", b"not protobuf", PROTOBUF, 400),
        ("/v1/traces", b"{", {"Content-Type": "application/json"}, 400),
        ("/v1/traces", b'{"resourceSpans": 7}', {"Content-Type": "application/json"}, 400),
        ("/v1/traces", b'{"resourceSpans":' + b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        ("/v1/traces", b"", {"Content-Type": "text/plain"}, 415),
        ("/v1/traces", b"xx", {**PROTOBUF, "Content-Encoding": "gzip"}, 400),
        ("/v1/traces", b"xx", {**PROTOBUF, "Content-Encoding": "br"}, 400),
        ("/v1/traces", BOMB, {**PROTOBUF, "Content-Encoding": "gzip"}, 400),
        ("/v1/profiles", b"", PROTOBUF, 404),
        ("/", b"", PROTOBUF, 404),
    ],
    ids=[
        "bytes",
        "half JSON",
        "other JSON",
        "deep JSON",
        "media type",
        "no gzip",
        "brotli",
        "bomb",
        "profiles",
        "root",
    ],
)
def test_what_is_no_export_request_is_refused(
    served: Page, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert httpx.post(served.endpoint + path, content=content, headers=headers, timeout=30).status_code == status
    assert served.get("/api/status")["store"]["spans"] == 0


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:4318"}], ids=["Origin", "Host"]
)
def test_a_page_of_the_browser_cannot_send(served: Page, headers: dict[str, str]) -> None:
    body = traces([get()]).SerializeToString()
    answer = httpx.post(f"{served.endpoint}/v1/traces", content=body, headers={**PROTOBUF, **headers})
    assert answer.status_code == 403


def test_the_page_is_not_served_by_the_receiver(served: Page) -> None:
    headers = {"Authorization": f"Bearer {served.running.token}"}
    assert httpx.get(f"{served.endpoint}/api/requests", headers=headers).status_code == 404
    assert httpx.post(f"{served.url}/v1/traces", content=b"", headers={**PROTOBUF, **headers}).status_code == 404


def test_a_full_queue_asks_the_sender_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost: exporters repeat after 503."""
    with page() as served:
        ingest = served.running.inspector.ingest
        monkeypatch.setattr(Ingest, "put", lambda *_: False)
        answer = httpx.post(f"{served.endpoint}/v1/traces", content=b"", headers=PROTOBUF)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        monkeypatch.undo()
        assert ingest.put("traces", traces([get()]), 100)


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    ingest = Ingest(store)
    with store.reading():  # nothing is stored meanwhile
        sizes = [ingest.put("traces", traces([get()]), 5 * 2**20) for _ in range(8)]
    assert sizes.count(True) in (3, 4)  # one may be in work
    assert ingest.drain(10)
    assert store.counts()["spans"] == sizes.count(True)
    ingest.stop(5)


def test_a_request_that_cannot_be_stored_is_counted_and_the_next_one_is_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
    ingest = Ingest(store)
    broken: Any = object()
    for _ in range(3):
        assert ingest.put("traces", broken, 1)
    assert ingest.put("traces", traces([get()]), 1)
    assert ingest.drain(10)
    assert (store.dropped, store.counts()["spans"]) == (3, 1)
    assert [record.levelname for record in caplog.records] == ["ERROR"]  # once
    ingest.stop(5)
