"""Metrics that OpenTelemetry's semantic conventions name, so that one board can show any service.

Recorded by our instrumentation of SQLAlchemy, the process and AI calls, and by contrib's of HTTP clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from blogauto_otel.api.metric_spec import AttributeSpec, Kind, MetricSpec

__all__ = ["METRICS"]

_NO_ATTRIBUTES: Final[Mapping[str, AttributeSpec]] = MappingProxyType({})

_ERROR: Final = {"error.type": AttributeSpec(max_values=50)}

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/; the edges are those of contrib's instrumentations.
_HTTP_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_HTTP_CLIENT: Final = {
    "http.request.method": AttributeSpec(max_values=10),
    "server.address": AttributeSpec(max_values=100),
    "server.port": AttributeSpec(max_values=10),
    "http.response.status_code": AttributeSpec(max_values=63),
    "network.protocol.version": AttributeSpec(max_values=5),
    **_ERROR,
}

# https://opentelemetry.io/docs/specs/semconv/db/database-metrics/
_SQL_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_DATABASE: Final = {
    "db.system.name": AttributeSpec(max_values=5),
    "db.namespace": AttributeSpec(max_values=10),
    "db.operation.name": AttributeSpec(max_values=20),
    "db.collection.name": AttributeSpec(max_values=100),
    "server.address": AttributeSpec(max_values=10),
    "server.port": AttributeSpec(max_values=10),
    **_ERROR,
}
_POOL: Final = {"db.client.connection.pool.name": AttributeSpec(max_values=10)}

# github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md
_AI_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_AI_TOKENS: Final = tuple(float(4**power) for power in range(14))
_AI: Final = {
    "gen_ai.operation.name": AttributeSpec(max_values=20),
    "gen_ai.provider.name": AttributeSpec(max_values=20),
    "gen_ai.request.model": AttributeSpec(max_values=50),
    "gen_ai.response.model": AttributeSpec(max_values=50),
}


def _metric(
    name: str,
    kind: Kind,
    unit: str,
    description: str,
    domain: str,
    attributes: Mapping[str, AttributeSpec] = _NO_ATTRIBUTES,
    boundaries: tuple[float, ...] = (),
) -> MetricSpec:
    return MetricSpec(name, kind, unit, description, domain, attributes, boundaries, namespaced=False)


_HISTOGRAM, _COUNTER, _LEVEL = Kind.HISTOGRAM, Kind.OBSERVABLE_COUNTER, Kind.OBSERVABLE_UP_DOWN_COUNTER

# fmt: off
METRICS: Final[tuple[MetricSpec, ...]] = (
    _metric("process.memory.usage", _LEVEL, "By", "Physical memory of the process, in bytes.", "process"),
    _metric("process.thread.count", _LEVEL, "{thread}", "Threads of the process.", "process"),
    _metric("process.unix.file_descriptor.count", _LEVEL, "{file_descriptor}", "Open file descriptors of the process.",
            "process"),
    _metric("cpython.gc.collections", _COUNTER, "{collection}", "Garbage collections, by generation.", "process",
            {"cpython.gc.generation": AttributeSpec(values=("0", "1", "2"))}),
    _metric("db.client.operation.duration", _HISTOGRAM, "s", "Duration of database client operations.", "database",
            _DATABASE, _SQL_SECONDS),
    _metric("db.client.connection.count", _LEVEL, "{connection}",
            "The number of connections that are currently in state described by the state attribute.", "database",
            {**_POOL, "db.client.connection.state": AttributeSpec(values=("idle", "used"))}),
    _metric("db.client.connection.max", _LEVEL, "{connection}", "The maximum number of open connections allowed.",
            "database", _POOL),
    _metric("db.client.connection.pending_requests", _LEVEL, "{request}",
            "The number of current pending requests for an open connection.", "database", _POOL),
    _metric("db.client.connection.timeouts", _COUNTER, "{timeout}",
            "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
            "database", _POOL),
    _metric("http.client.request.duration", _HISTOGRAM, "s", "Duration of HTTP client requests.", "client",
            _HTTP_CLIENT, _HTTP_SECONDS),
    _metric("gen_ai.client.operation.duration", _HISTOGRAM, "s", "GenAI operation duration.", "ai",
            {**_AI, **_ERROR}, _AI_SECONDS),
    _metric("gen_ai.client.operation.time_to_first_chunk", _HISTOGRAM, "s",
            "Time from a streaming request to the first chunk of its response, in seconds.", "ai", _AI, _AI_SECONDS),
    _metric("gen_ai.client.token.usage", _HISTOGRAM, "{token}", "Number of input and output tokens used.", "ai",
            {**_AI, "gen_ai.token.type": AttributeSpec(values=("input", "output"))}, _AI_TOKENS),
)
# fmt: on
