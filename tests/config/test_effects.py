"""What a variable changes is seen at the receiver: `configure()` in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testkit import certificates
from testkit.processes import environment, python
from testkit.receiver import Answer, Receiver, decode_logs, decode_spans, ok, silence
from tests.export.peers import GrpcReceiver

SCRIPT = """
import logging
import blogauto_otel
from opentelemetry import metrics, trace

telemetry = blogauto_otel.configure(console="off", spool_dir="off", system_metrics=False)
with trace.get_tracer("shop").start_as_current_span("sell") as span:
    span.add_event("packed", {{"first": 1, "second": 2}})
    span.add_link(span.get_span_context(), {{"first": 1, "second": 2}})
    span.set_attribute("customer", "a long name")
    logging.getLogger("shop").warning("a long body of a record", extra={{"customer": "a long name"}})
orders = metrics.get_meter("shop").create_counter("orders")
seconds = metrics.get_meter("shop").create_histogram("seconds")
for amount in (2, 3):
    orders.add(amount)
    seconds.record(amount)
    telemetry.force_flush(20.0)
{more}
telemetry.shutdown()
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sell(tmp_path: Path) -> Run:
    """Run the script, with further lines, and with these variables."""

    def run(*more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = environment(XDG_STATE_HOME=str(tmp_path), **variables)
        done = subprocess.run(
            python("-c", SCRIPT.format(more="\n".join(more))), capture_output=True, text=True, env=env, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def grpc_receiver() -> Iterator[GrpcReceiver]:
    with GrpcReceiver() as receiver:
        yield receiver


def paths(receiver: Receiver) -> set[str]:
    return {request.path for request in receiver.requests}


class TestExport:
    def test_traces_go_by_grpc_while_the_other_signals_go_by_http(
        self, sell: Run, receiver: Receiver, grpc_receiver: GrpcReceiver
    ) -> None:
        sell(
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=grpc_receiver.url,
        )
        assert paths(grpc_receiver) == {"/v1/traces"}
        assert paths(receiver) == {"/v1/metrics", "/v1/logs"}

    def test_metrics_go_by_http_while_the_other_signals_go_by_grpc(
        self, sell: Run, receiver: Receiver, grpc_receiver: GrpcReceiver
    ) -> None:
        sell(
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_ENDPOINT=grpc_receiver.url,
            OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{receiver.url}/v1/metrics",
        )
        assert paths(grpc_receiver) == {"/v1/traces", "/v1/logs"}
        assert paths(receiver) == {"/v1/metrics"}

    def test_a_grpc_endpoint_without_a_scheme_is_legal_and_insecure_on_request(
        self, sell: Run, grpc_receiver: GrpcReceiver
    ) -> None:
        done = sell(
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_ENDPOINT=grpc_receiver.url.removeprefix("http://"),
            OTEL_EXPORTER_OTLP_INSECURE="true",
        )
        assert paths(grpc_receiver) == {"/v1/traces", "/v1/metrics", "/v1/logs"}
        assert "expected" not in done.stderr

    def test_each_signal_has_an_authority_of_its_own(self, sell: Run, receiver: Receiver, tmp_path: Path) -> None:
        made = certificates.make(tmp_path)
        with Receiver(tls=made.server()) as secure:
            sell(
                OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
                OTEL_EXPORTER_OTLP_CERTIFICATE=str(made.unknown),
                OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{secure.url}/v1/traces",
                OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=str(made.authority),
            )
            assert paths(secure) == {"/v1/traces"}

    def test_each_signal_has_certificates_of_its_own_over_grpc(self, sell: Run, tmp_path: Path) -> None:
        """The receiver of spans requires client certificates; the general authority is unknown to both receivers."""
        made = certificates.make(tmp_path)
        server = {"key": made.folder / "server.key", "certificate": made.folder / "server.pem"}
        with GrpcReceiver(**server, clients=made.authority) as spans, GrpcReceiver(**server) as others:
            done = sell(
                OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
                OTEL_EXPORTER_OTLP_ENDPOINT=others.url.replace("http://", "https://"),
                OTEL_EXPORTER_OTLP_CERTIFICATE=str(made.unknown),
                OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE=str(made.authority),
                OTEL_LOGS_EXPORTER="none",
                OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=spans.url.removeprefix("http://"),  # secure without a scheme
                OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=str(made.authority),
                OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE=str(made.folder / "client.pem"),
                OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=str(made.folder / "client.key"),
            )
            assert (paths(spans), paths(others)) == ({"/v1/traces"}, {"/v1/metrics"}), done.stderr

    def test_header_values_may_stand_in_quotes(self, sell: Run, receiver: Receiver) -> None:
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_HEADERS='x-api-key="a,b=",tenant=7')
        for request in receiver.requests:
            assert (request.headers["x-api-key"], request.headers["tenant"]) == ("a,b=", "7")

    @pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
    def test_each_signal_has_a_compression_of_its_own(self, sell: Run, receiver: Receiver, signal: str) -> None:
        own = {f"OTEL_EXPORTER_OTLP_{signal.upper()}_COMPRESSION": "none"}
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_COMPRESSION="gzip", **own)
        plain = {request.path for request in receiver.requests if "content-encoding" not in request.headers}
        assert plain == {f"/v1/{signal}"}
        assert paths(receiver) > plain

    @pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
    def test_each_signal_has_a_timeout_of_its_own(self, sell: Run, receiver: Receiver, signal: str) -> None:
        unanswered = [f"/v1/{signal}"]

        def answer(path: str) -> Answer:
            if path in unanswered:
                unanswered.remove(path)
                return silence()
            return ok()

        receiver.answer(answer)
        own = {f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT": "300"}
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_TIMEOUT="15000", **own)
        first, again, *_ = (request.time for request in receiver.requests if request.path == f"/v1/{signal}")
        assert 0.2 <= again - first < 10.0  # the receiver may see the first one late

    def test_batches_of_spans_and_log_records_have_limits(self, sell: Run, receiver: Receiver) -> None:
        sell(
            "for number in range(10):",
            "    with trace.get_tracer('shop').start_as_current_span('sell'):",
            "        logging.getLogger('shop').warning('sold')",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4",
            OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="3",
        )
        spans, records = (
            [len(list(decode(request.payload))) for request in receiver.requests if request.path == path]
            for path, decode in (("/v1/traces", decode_spans), ("/v1/logs", decode_logs))
        )
        assert (max(spans), sum(spans)) == (4, 11)
        assert (max(records), sum(records) >= 11) == (3, True)


class TestClients:
    """Read by contrib's client instrumentations, which are instrumented by `configure()`."""

    CALL = """
import http.server, threading, httpx, requests
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.send_header("x-shop", "seoul")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for client in (httpx, requests):
    client.get(f"http://127.0.0.1:{server.server_port}/stock", headers={"x-order": "7"})
"""

    def clients(self, receiver: Receiver) -> list[Any]:
        return [span for span in receiver.spans if span.kind == "CLIENT"]

    def test_urls_of_one_library_are_excluded(self, sell: Run, receiver: Receiver) -> None:
        for library in ("HTTPX", "REQUESTS"):
            receiver.clear()
            excluded = {f"OTEL_PYTHON_{library}_EXCLUDED_URLS": "stock"}
            sell(self.CALL, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **excluded)
            [span] = self.clients(receiver)
            assert library.lower() not in span.scope

    @pytest.mark.needs("opentelemetry-instrumentation-httpx>=0.63b0")
    def test_headers_are_captured(self, sell: Run, receiver: Receiver) -> None:
        sell(
            self.CALL,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST="x-order",
            OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE="x-shop",
        )
        spans = self.clients(receiver)
        assert len(spans) == 2
        for span in spans:
            assert list(span.attributes["http.request.header.x_order"]) == ["7"], span.attributes
            assert list(span.attributes["http.response.header.x_shop"]) == ["seoul"], span.attributes


class TestLimits:
    def test_a_limit_of_0_is_a_limit(self, sell: Run, receiver: Receiver) -> None:
        sell(
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_SPAN_EVENT_COUNT_LIMIT="0",
            OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="0",
            OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT="0",
        )
        [span] = receiver.spans
        assert (span.events, dict(span.attributes)) == ((), {})
        assert "customer" not in record_of(receiver).attributes

    def test_a_short_length_cuts_attributes_and_no_other_text(self, sell: Run, receiver: Receiver) -> None:
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="6")
        [span] = receiver.spans
        assert span.attributes["customer"] == "a long"
        assert (record_of(receiver).attributes["customer"], record_of(receiver).body) == (
            "a long",
            "a long body of a record",
        )

    def test_attributes_of_events_have_a_limit_of_their_own(self, sell: Run, receiver: Receiver) -> None:
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="1")
        [span] = receiver.spans
        assert (len(span.events[0].attributes), len(span.links[0].attributes)) == (1, 2)
        assert "customer" in span.attributes

    def test_so_have_attributes_of_links(self, sell: Run, receiver: Receiver) -> None:
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_LINK_ATTRIBUTE_COUNT_LIMIT="1")
        [span] = receiver.spans
        assert (len(span.events[0].attributes), len(span.links[0].attributes)) == (2, 1)


def record_of(receiver: Receiver) -> Any:
    return next(record for record in receiver.logs if record.body == "a long body of a record")


class TestMetrics:
    def points(self, receiver: Receiver, name: str) -> list[Any]:
        return [point for point in receiver.metrics if point.name == name]

    def test_cumulative_is_the_default(self, sell: Run, receiver: Receiver) -> None:
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        orders = self.points(receiver, "orders")
        assert [point.value for point in orders][:2] == [2, 5]
        assert {point.temporality for point in orders} == {"cumulative"}

    @pytest.mark.parametrize("preference", ["delta", "lowmemory"])
    def test_the_push_is_delta_where_the_variable_says_so(self, sell: Run, receiver: Receiver, preference: str) -> None:
        sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=preference)
        orders = self.points(receiver, "orders")
        assert [point.value for point in orders] == [2, 3]
        assert {point.temporality for point in orders} == {"delta"}

    def test_histograms_are_exponential_where_the_variable_says_so(self, sell: Run, receiver: Receiver) -> None:
        sell(
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram",
        )
        assert {point.kind for point in self.points(receiver, "seconds")} == {"exponential_histogram"}


class TestLogging:
    def test_the_level_of_telemetry_itself(self, sell: Run, receiver: Receiver) -> None:
        assert "blogauto" not in sell(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_LOG_LEVEL="fatal").stderr
        unsupported = {"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        assert "ZIPKIN" in sell(**unsupported, OTEL_LOG_LEVEL="warn").stderr
        assert "ZIPKIN" not in sell(**unsupported, OTEL_LOG_LEVEL="error").stderr

    def test_format_strings_of_the_application_may_name_the_trace(self) -> None:
        script = """
import logging
import blogauto_otel
from opentelemetry import trace

blogauto_otel.configure(console="off", traces_exporter="none", metrics_exporter="none", logs_exporter="none")
logging.basicConfig(format="%(otelTraceID)s %(otelSpanID)s %(otelTraceSampled)s %(otelServiceName)s", force=True)
logging.warning("outside")
logging.getLogger("blogauto_otel").warning("of telemetry itself")
with trace.get_tracer("shop").start_as_current_span("sell") as span:
    logging.warning("inside")
    print(format(span.get_span_context().trace_id, "032x"), format(span.get_span_context().span_id, "016x"))
"""
        env = environment(OTEL_PYTHON_LOG_CORRELATION="true", OTEL_SERVICE_NAME="shop")
        done = subprocess.run(python("-c", script), capture_output=True, text=True, env=env, timeout=120)
        ids = done.stdout.strip()
        assert done.stderr.splitlines()[-3:] == ["0 0 False shop"] * 2 + [f"{ids} True shop"], done.stderr
