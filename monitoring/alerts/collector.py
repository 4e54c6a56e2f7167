"""Alerts about the Collector: down, refusing, losing items, or unable to export."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, stop_command
from monitoring.alerts.samples import down_alert, telemetry_tests, up
from monitoring.metrics import COLLECTOR_SIGNALS
from monitoring.parameters import COLLECTOR_JOB, Service, percent
from monitoring.promql import or_zero
from monitoring.rules.conditions import And, Comparison, Expr, Or
from monitoring.rules.model import Alert
from monitoring.rules.recorded import LOST, QUEUED, REFUSED, SENT

_COLLECTOR: Final = 'job="otel-collector",instance="c:8888"'
_CAUSES: Final = {"send_failed": "refused by the backend", "enqueue_failed": "queue full"}


def collector_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _otel_collector_down(),
        _otel_collector_refusing(),
        _otel_collector_export_failing(),
        _otel_collector_backend_away(),
        _otel_collector_queue_nearly_full(service),
    )


def _otel_collector_down() -> AlertDefinition:
    collector = f'up{{job="{COLLECTOR_JOB}"}}'
    return AlertDefinition(
        Alert(
            name="OtelCollectorDown",
            severity="critical",
            category="telemetry",
            condition=Or((Comparison(collector, "==", 0), Expr(f"absent({collector})"))),
            pending_for="2m",
            summary="The Collector does not respond.",
            description="Prometheus could not scrape the Collector's own metrics for 2 minutes. Applications store telemetry on disk while they have room.",
            board="telemetry",
        ),
        Trigger("stop the Collector", command=stop_command("otel-collector")),
        _OTEL_COLLECTOR_DOWN_TESTS,
    )


_DOWN_TEXTS: Final = (
    "The Collector does not respond.",
    (
        "Prometheus could not scrape the Collector's own metrics for 2 minutes."
        " Applications store telemetry on disk while they have room."
    ),
)

_OTEL_COLLECTOR_DOWN_TESTS: Final = telemetry_tests(
    "critical",
    Case(
        "it does not respond for two minutes",
        up("otel-collector", "1x10 0x400"),
        "6m",
        (down_alert("otel-collector", *_DOWN_TEXTS),),
    ),
    Case("no target is configured", {}, "6m", (ExpectedAlert({"job": "otel-collector"}, *_DOWN_TEXTS),)),
    Case("it responds", up("otel-collector", "1x400"), "6m"),
    Case("pending before two minutes", up("otel-collector", "1x10 0x400"), "4m", pending=True),
)


def _otel_collector_refusing() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="OtelCollectorRefusing",
            severity="warning",
            category="telemetry",
            condition=Comparison(f"round({REFUSED})", ">", 0),
            pending_for="2m",
            keep_firing_for="5m",
            summary="The Collector refuses {{ $labels.signal }}.",
            description="{{ $value }} {{ $labels.signal }} were refused in 5 minutes. Senders retry as long as their queues have room.",
            board="telemetry",
        ),
        Trigger(
            "limit the Collector's memory so that it refuses data, and send traffic",
            command="docker update --memory 40m --memory-swap 40m $(docker compose ps -q otel-collector)",
        ),
        _OTEL_COLLECTOR_REFUSING_TESTS,
    )


def _collector(name: str, values: str, extra: str) -> dict[str, str]:
    return {
        f"otelcol_process_uptime_seconds_total{{{_COLLECTOR}}}": "0+15x400",
        f"otelcol_{name}{{{_COLLECTOR},{extra}}}": values,
    }


def _seen_first(series: dict[str, str]) -> dict[str, str]:
    """An old Collector, from which Prometheus has had no sample before."""
    return {**series, f"otelcol_process_uptime_seconds_total{{{_COLLECTOR}}}": "_x40 90000+15x400"}


_RECEIVER: Final = 'receiver="otlp",transport="http"'


def _each_refused(values: str) -> dict[str, str]:
    series: dict[str, str] = {}
    for signal in COLLECTOR_SIGNALS:
        series |= _collector(f"receiver_refused_{signal}_total", values, _RECEIVER)
    return series


def _refused(signal: str, count: int) -> ExpectedAlert:
    return ExpectedAlert(
        {"job": "otel-collector", "signal": signal},
        f"The Collector refuses {signal}.",
        f"{count} {signal} were refused in 5 minutes. Senders retry as long as their queues have room.",
    )


_OTEL_COLLECTOR_REFUSING_TESTS: Final = telemetry_tests(
    "warning",
    Case(
        "spans are refused",
        _collector("receiver_refused_spans_total", "0x40 0+10x4 40x400", _RECEIVER),
        "14m",
        (_refused("spans", 40),),
    ),
    Case(
        "the first refusals, of counters that did not exist",
        _each_refused("_x40 7x400"),
        "14m",
        tuple(_refused(signal, 7) for signal in COLLECTOR_SIGNALS),
    ),
    Case("an old Collector that Prometheus sees for the first time", _seen_first(_each_refused("_x40 500x400")), "14m"),
    Case(
        "pending before two minutes",
        _collector("receiver_refused_metric_points_total", "_x40 7x400", _RECEIVER),
        "11m",
        pending=True,
    ),
    Case("nothing is refused", _collector("receiver_refused_spans_total", "40x400", _RECEIVER), "14m"),
    Case("no data", {}, "14m"),
)


def _otel_collector_export_failing() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="OtelCollectorExportFailing",
            severity="warning",
            category="telemetry",
            condition=Comparison(f"round({LOST})", ">", 0),
            pending_for="1m",
            keep_firing_for="5m",
            summary="The Collector loses {{ $labels.signal }} for {{ $labels.exporter }}.",
            description="{{ $value }} {{ $labels.signal }} were lost in 5 minutes: {{ $labels.cause }}.",
            board="telemetry",
            comment="These counters do not exist before the first failure, which increase() alone would miss.",
        ),
        Trigger(
            "make Loki reject logs: configure a wrong path",
            command="LOKI_OTLP_ENDPOINT=http://loki:3100/nowhere docker compose up -d otel-collector",
        ),
        _OTEL_COLLECTOR_EXPORT_FAILING_TESTS,
    )


def _each_lost(values: str) -> dict[str, str]:
    series: dict[str, str] = {}
    for counter in _CAUSES:
        for signal in COLLECTOR_SIGNALS:
            series |= _collector(f"exporter_{counter}_{signal}_total", values, 'exporter="otlp_grpc/jaeger"')
    return series


_OTEL_COLLECTOR_EXPORT_FAILING_TESTS: Final = telemetry_tests(
    "warning",
    Case(
        "the first losses, of counters that did not exist",
        _each_lost("_x40 500x400"),
        "13m",
        tuple(
            ExpectedAlert(
                {"job": "otel-collector", "signal": signal, "exporter": "otlp_grpc/jaeger", "cause": cause},
                f"The Collector loses {signal} for otlp_grpc/jaeger.",
                f"500 {signal} were lost in 5 minutes: {cause}.",
            )
            for cause in _CAUSES.values()
            for signal in COLLECTOR_SIGNALS
        ),
    ),
    Case(
        "pending before one minute",
        _collector("exporter_send_failed_metric_points_total", "_x40 5x400", 'exporter="x"'),
        "10m30s",
        pending=True,
    ),
    Case("nothing was lost lately", _collector("exporter_send_failed_spans_total", "500x400", 'exporter="x"'), "13m"),
    Case("an old Collector that Prometheus sees for the first time", _seen_first(_each_lost("_x40 500x400")), "13m"),
    Case("no data", {}, "13m"),
)


def _otel_collector_backend_away() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="OtelCollectorBackendAway",
            severity="warning",
            category="telemetry",
            condition=And(
                (Comparison(QUEUED, ">", 0), Comparison(or_zero(f"sum by (job, exporter) ({SENT})", QUEUED), "==", 0))
            ),
            pending_for="10m",
            summary="The exporter {{ $labels.exporter }} sends nothing.",
            description="{{ $value }} items are queued for {{ $labels.exporter }}, and none was sent for 5 minutes. Nothing is lost yet.",
            board="telemetry",
            comment="While a backend answers 503 no failure is counted: only the queue shows it. The health check stays green.",
        ),
        Trigger("stop Jaeger while the example receives requests", command=stop_command("jaeger")),
        _OTEL_COLLECTOR_BACKEND_AWAY_TESTS,
    )


def _queue(size: str, sent: str | None) -> dict[str, str]:
    where = f'{_COLLECTOR},exporter="otlp_grpc/jaeger"'
    queue = {f'otelcol_exporter_queue_size{{{where},data_type="traces"}}': size}
    return queue if sent is None else {**queue, f"otelcol_exporter_sent_spans_total{{{where}}}": sent}


def _silent(items: int) -> tuple[ExpectedAlert, ...]:
    return (
        ExpectedAlert(
            {"job": "otel-collector", "exporter": "otlp_grpc/jaeger"},
            "The exporter otlp_grpc/jaeger sends nothing.",
            f"{items} items are queued for otlp_grpc/jaeger, and none was sent for 5 minutes. Nothing is lost yet.",
        ),
    )


_SENDING_STOPS: Final = _queue("0x20 0+50x400", "0+50x20 1000x400")

_OTEL_COLLECTOR_BACKEND_AWAY_TESTS: Final = telemetry_tests(
    "warning",
    Case("nothing was sent for a quarter of an hour", _SENDING_STOPS, "21m", _silent(3150)),
    Case("it was never there", _queue("0+50x400", None), "20m", _silent(4000)),
    Case("items are queued and sent", _queue("50x400", "0+1x400"), "21m"),
    Case("the queue is empty", _queue("0x400", "1000x400"), "21m"),
    Case("pending before ten minutes", _SENDING_STOPS, "15m", pending=True),
    Case("no data", {}, "21m"),
)


def _otel_collector_queue_nearly_full(service: Service) -> AlertDefinition:
    limits = service.thresholds
    return AlertDefinition(
        Alert(
            name="OtelCollectorQueueNearlyFull",
            severity="critical",
            category="telemetry",
            condition=Comparison(
                "max by (job, exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                ">",
                limits.queue_ratio,
            ),
            pending_for="5m",
            keep_firing_for="5m",
            summary="The queue for {{ $labels.exporter }} is nearly full.",
            description=(
                "The Collector's queue for {{ $labels.exporter }} is {{ $value | humanizePercentage }} full;"
                f" the limit is {percent(limits.queue_ratio)}. When it is full, telemetry is lost."
            ),
            board="telemetry",
        ),
        Trigger("stop Jaeger and keep sending: the queue holds 200 000 spans", command=stop_command("jaeger")),
        _OTEL_COLLECTOR_QUEUE_NEARLY_FULL_TESTS,
    )


def _filled(size: int) -> dict[str, str]:
    where = f'{_COLLECTOR},exporter="otlp_grpc/jaeger",data_type="traces"'
    return {
        f"otelcol_exporter_queue_size{{{where}}}": f"{size}x400",
        f"otelcol_exporter_queue_capacity{{{where}}}": "200000x400",
    }


_OTEL_COLLECTOR_QUEUE_NEARLY_FULL_TESTS: Final = telemetry_tests(
    "critical",
    Case(
        "more than four fifths",
        _filled(170_000),
        "10m",
        (
            ExpectedAlert(
                {"job": "otel-collector", "exporter": "otlp_grpc/jaeger"},
                "The queue for otlp_grpc/jaeger is nearly full.",
                "The Collector's queue for otlp_grpc/jaeger is 85% full; the limit is 80 %. When it is full, telemetry is lost.",
            ),
        ),
    ),
    Case("just below", _filled(155_000), "10m"),
    Case("pending before five minutes", _filled(170_000), "4m", pending=True),
    Case("empty", _filled(0), "10m"),
    Case("no data", {}, "10m"),
)
