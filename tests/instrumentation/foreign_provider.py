"""A program: our instrumentation under a tracer provider of somebody else; prints what arrived there, as JSON.

python -m tests.instrumentation.foreign_provider "the SDK"|"the API alone"|logfire
"""

from __future__ import annotations

import json
import sys
from typing import Any

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

import blogauto_otel
from blogauto_otel import operation

exporter = InMemorySpanExporter()


class ApiSpan(trace.Span):
    """A span that has what the API demands, and nothing else."""

    __slots__ = ("__span",)

    def __init__(self, span: trace.Span) -> None:
        self.__span = span

    def end(self, end_time: int | None = None) -> None:
        self.__span.end(end_time)

    def get_span_context(self) -> trace.SpanContext:
        return self.__span.get_span_context()

    def set_attributes(self, attributes: Any) -> None:
        self.__span.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self.__span.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.__span.add_event(name, attributes, timestamp)

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        self.__span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self.__span.update_name(name)

    def is_recording(self) -> bool:
        return self.__span.is_recording()

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.__span.set_status(status, description)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        self.__span.record_exception(exception, attributes, timestamp, escaped)


class ApiTracer(trace.Tracer):
    """Likewise a tracer."""

    __slots__ = ("__tracer",)

    def __init__(self, tracer: trace.Tracer) -> None:
        self.__tracer = tracer

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return ApiSpan(self.__tracer.start_span(*args, **kwargs))

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return trace.use_span(self.start_span(*args, **kwargs), end_on_exit=True)


class ApiTracerProvider(trace.TracerProvider):
    """Likewise a provider."""

    __slots__ = ("__provider",)

    def __init__(self, provider: trace.TracerProvider) -> None:
        self.__provider = provider

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return ApiTracer(self.__provider.get_tracer(*args, **kwargs))


def install(provider_of: str) -> None:
    """Install the provider."""
    if provider_of == "logfire":
        import logfire

        logfire.configure(
            send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(exporter)]
        )
        return
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider if provider_of == "the SDK" else ApiTracerProvider(provider))


def main(provider_of: str) -> None:
    install(provider_of)
    telemetry = blogauto_otel.configure(
        service_name="shop", metrics_exporter="none", logs_exporter="none", console="off", sample_rate=1.0
    )
    app = FastAPI()
    engine = create_engine("sqlite://")

    @app.get("/orders/{number}")
    def order(number: int) -> int:
        trace.get_current_span().set_attribute("by", "the application")
        with operation("shop.find"), engine.connect() as connection:
            return int(connection.execute(text("SELECT 1")).scalar_one()) + number

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("no stock")

    with TestClient(app, raise_server_exceptions=False) as client:
        answers = [client.get(path).status_code for path in ("/orders/7", "/broken")]
    spans = [
        {
            "name": span.name,
            "id": span.context.span_id if span.context else None,
            "parent": span.parent.span_id if span.parent else None,
            "attributes": {key: str(value) for key, value in (span.attributes or {}).items()},
            "status": span.status.status_code.name,
        }
        for span in exporter.get_finished_spans()
    ]
    print(json.dumps({"answers": answers, "spans": spans, "swallowed": dict(telemetry.status().swallowed)}))


if __name__ == "__main__":
    main(sys.argv[1])
