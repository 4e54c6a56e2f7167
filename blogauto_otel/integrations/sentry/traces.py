"""Spans sent to Sentry by this process, without a Collector: a share of all traces, each of them complete."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.resources import Resource

from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery, build_delivery
from blogauto_otel.integrations.sentry.dsn import otlp_destination
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import TextLimits
from blogauto_otel.redaction import Redactor
from blogauto_otel.sdk.span_processors import ExportingSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_LOW_64: Final = (1 << 64) - 1

# Settings of the Collector's endpoint that Sentry's must not take over.
_OF_THE_COLLECTOR: Final[dict[str, Any]] = dict.fromkeys(
    (
        *("traces_protocol", "metrics_protocol", "logs_protocol"),
        *("certificate", "client_certificate", "client_key"),
        *("traces_certificate", "traces_client_certificate", "traces_client_key"),
    )
)


class SentryTraceRatio:
    """The trace ids of a share of all traces.

    The rule is that of OpenTelemetry's `TraceIdRatioBased`: every process samples the same traces, and a sampler of a
    higher ratio samples all of these.
    """

    def __init__(self, ratio: float) -> None:
        self.below = round(ratio * (1 << 64))

    @property
    def below_in_hex(self) -> str:
        """For comparing text: the last 16 hexadecimal digits of a sampled trace id sort before it."""
        return f"{self.below:016x}" if self.below < 1 << 64 else "g"

    def __contains__(self, trace_id: int) -> bool:
        return trace_id & _LOW_64 < self.below


class SentryTraces(ExportingSpanProcessor):
    """Encodes and queues the spans of that share for Sentry."""

    def __init__(self, delivery: Delivery, encoder: Encoder, ratio: SentryTraceRatio) -> None:
        super().__init__(delivery, encoder)
        self._ratio = ratio
        self.enabled = True

    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor`."""
        if self.enabled and span.context is not None and span.context.trace_id in self._ratio:
            super().on_end(span)


def build_traces(settings: Settings, resource: Resource, redactor: Redactor) -> tuple[Delivery, SentryTraces]:
    """A delivery of its own, in memory, so that a slow Sentry delays no other signal; and the span processor for it."""
    assert settings.sentry_dsn is not None
    destination = otlp_destination(settings.sentry_dsn)
    for_sentry = replace(
        settings,
        protocol="http/protobuf",
        traces_endpoint=f"{destination.endpoint}/v1/traces",
        traces_headers={"x-sentry-auth": destination.auth},
        **_OF_THE_COLLECTOR,
        headers={},
        traces_exporter=("otlp",),
        metrics_exporter=(),
        logs_exporter=(),
        spool_dir="off",
    )
    delivery = build_delivery(for_sentry, resource)
    encoder = Encoder(redactor, TextLimits.of_attributes(settings.span_attribute_length))
    return delivery, SentryTraces(delivery, encoder, SentryTraceRatio(settings.sentry_traces_rate))
