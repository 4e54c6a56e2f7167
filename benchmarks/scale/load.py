"""Load for Collectors: OTLP requests of 500 items, made once, with new ids at each sending."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from testkit import otlp

ITEMS: Final = 500  # in a request
TRACE: Final = 4  # spans of a trace
SERIES: Final = 10  # of a metric
OURS: Final = {"service.name": "blog", "service.version": "1.0", "telemetry.distro.name": "blogauto_otel"}
OTHERS: Final = {"service.name": "shop", "service.version": "1.0"}  # what no SDK has redacted
SIGNALS: Final = ("spans", "points", "records")
_TIMEOUT: Final = 30.0


@dataclass(frozen=True)
class Request:
    """The bytes of one request; `marker` is the part of its trace ids that is replaced at each sending."""

    path: str
    body: bytes
    marker: bytes = b""

    def fresh(self) -> bytes:
        """The body with new trace ids."""
        return self.body.replace(self.marker, os.urandom(len(self.marker))) if self.marker else self.body


def requests(process: str, resource: Mapping[str, str]) -> dict[str, Request]:
    """One request for each signal, as a process with that instance id sends it."""
    of = {**resource, "service.instance.id": process}
    marker = os.urandom(12)
    spans = [_span(marker, number) for number in range(ITEMS)]
    points = [_metric(number) for number in range(ITEMS // SERIES)]
    records = [_record(number) for number in range(ITEMS)]
    return {
        "spans": Request("/v1/traces", otlp.traces(spans, of).SerializeToString(), marker),
        "points": Request("/v1/metrics", otlp.metrics(points, of).SerializeToString()),
        "records": Request("/v1/logs", otlp.logs(records, of).SerializeToString()),
    }


def _span(marker: bytes, number: int) -> Span:
    trace_id = marker + (number // TRACE).to_bytes(4, "big")
    return otlp.span(trace_id=trace_id, attributes=otlp.SERVER_ATTRIBUTES)


def _metric(number: int) -> Metric:
    found = [otlp.counter(f"metric_{number}", 1, {"endpoint": f"/api/{one}", "method": "GET"}) for one in range(SERIES)]
    for one in found[1:]:
        found[0].sum.data_points.extend(one.sum.data_points)
    return found[0]


def _record(number: int) -> LogRecord:
    attributes = {"code.function.name": "analyze", "code.line.number": 120, "request.id": os.urandom(8).hex()}
    return otlp.record(f"analyzed {number} keywords of post {number * 7} in 0.012 s", attributes=attributes)


def send(endpoints: Sequence[tuple[str, Mapping[str, Request]]], signal: str, items: int) -> None:
    """Send that many items of a signal, an equal part to each endpoint, over one connection each.

    Raises:
        RuntimeError: A request was not accepted within 30 s.
    """
    failures: list[str] = []
    count = items // ITEMS // len(endpoints)
    threads = [
        threading.Thread(target=_send, args=(endpoint, prepared[signal], count, failures))
        for endpoint, prepared in endpoints
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(failures[0])


def _send(endpoint: str, request: Request, count: int, failures: list[str]) -> None:
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=_TIMEOUT)
    headers = {"Content-Type": "application/x-protobuf"}
    try:
        for _ in range(count):
            deadline = time.monotonic() + _TIMEOUT
            while (status := _post(connection, request, headers)) != 200:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{endpoint}{request.path} answered {status}")
                time.sleep(0.05)  # a queue is full: this is the fastest that the tier takes
    except (OSError, RuntimeError) as error:
        failures.append(str(error))
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, request: Request, headers: Mapping[str, str]) -> int:
    connection.request("POST", request.path, request.fresh(), dict(headers))
    response = connection.getresponse()
    response.read()
    return response.status
