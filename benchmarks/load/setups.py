"""What watches the application, by name: each builds the application within its instrumentation."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Build = Callable[..., tuple[Any, Any]]  # arguments of FastAPI; the application, and its engine
QUEUE = 1 << 14  # items: nothing is dropped in place of being exported

NO_EXPORT = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


def bare(build: Build) -> Any:
    return build()[0]


def ours(build: Build) -> Any:
    import blogauto_otel

    blogauto_otel.configure()
    return build()[0]


def contrib(build: Build) -> Any:
    """Every span once, no spans for single ASGI messages, stable names: what contrib can do best."""
    _stock_providers()
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app, engine = build()
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"])
    _instrument(engine)
    return app


def native(build: Build) -> Any:
    """FastAPI's own telemetry, without its operation spans."""
    _stock_providers()
    app, engine = build(telemetry={"operation_spans": False})
    _instrument(engine)
    return app


def sentry(build: Build) -> Any:
    """Errors only, and there are none."""
    import sentry_sdk

    sentry_sdk.init(dsn=os.environ["LOAD_SINK"].replace("://", "://key@") + "/1", traces_sample_rate=None)
    return build()[0]


def logfire(build: Build) -> Any:
    import logfire  # type: ignore[import-not-found,unused-ignore]
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logfire.configure(
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=QUEUE)],
        metrics=logfire.MetricsOptions(additional_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())]),
    )
    app, engine = build()
    logfire.instrument_fastapi(app)
    logfire.instrument_sqlalchemy(engine=engine, skip_dep_check=True)
    logging.getLogger().addHandler(logfire.LogfireLoggingHandler())
    return app


def ddtrace(build: Build) -> Any:
    """Traces, and their ids in log records; it has no metrics and no export of log records."""
    os.environ.update(
        DD_TRACE_AGENT_URL=os.environ["LOAD_SINK"],
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
        DD_LOGS_INJECTION="true",
    )
    import ddtrace as library  # type: ignore[import-not-found,unused-ignore]

    library.patch(fastapi=True, starlette=True, sqlalchemy=True, logging=True)
    return build()[0]


def _stock_providers() -> None:
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers, logs = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=QUEUE))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(), max_queue_size=QUEUE))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
    _logs.set_logger_provider(logs)
    logging.getLogger().addHandler(LoggingHandler(logger_provider=logs))


def _instrument(engine: Any) -> None:
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    SQLAlchemyInstrumentor().instrument(engine=engine, skip_dep_check=True)


@dataclass(frozen=True)
class Setup:
    """One variant: how the application is built, and with which variables.

    `environment` names packages of an environment of its own; empty: the Python that was asked for.
    """

    build: Callable[[Build], Any]
    variables: dict[str, str] = field(default_factory=dict)
    environment: tuple[str, ...] = ()


_SERVER = ("fastapi", "uvicorn[standard]", "sqlalchemy>=2")

SETUPS: dict[str, Setup] = {
    "bare": Setup(bare),
    "ours": Setup(ours, {"BLOGAUTO_OTEL_SAMPLE_RATE": "1.0"}),
    "ours unsampled": Setup(ours, {"BLOGAUTO_OTEL_SAMPLE_RATE": "0"}),
    "ours, export off": Setup(ours, {"BLOGAUTO_OTEL_SAMPLE_RATE": "1.0", **NO_EXPORT}),
    "contrib": Setup(contrib, {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"}),
}
OTHERS: dict[str, Setup] = {
    "Sentry, errors only": Setup(sentry),
    "FastAPI native": Setup(native, {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"}),
    "logfire": Setup(logfire, environment=(*_SERVER, "logfire[fastapi,sqlalchemy]>=4")),
    "ddtrace": Setup(ddtrace, environment=(*_SERVER, "ddtrace>=4")),
}
