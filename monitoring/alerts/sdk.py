"""Alerts about the SDK in the application: items dropped, and items that stay on disk."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, restart_command
from monitoring.alerts.samples import BACKEND, JOB, alive, telemetry_tests
from monitoring.metrics import sdk_metric
from monitoring.parameters import Service, percent, promql_number
from monitoring.rules.conditions import Comparison, Or
from monitoring.rules.model import Alert
from monitoring.rules.recorded import DROPPED


def sdk_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _telemetry_items_dropped(),
        _telemetry_spool_filling(service),
    )


def _telemetry_items_dropped() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="TelemetryItemsDropped",
            severity="warning",
            category="telemetry",
            condition=Comparison(f"round({DROPPED})", ">", 0),
            pending_for="0s",
            keep_firing_for="5m",
            summary="{{ $labels.job }} drops {{ $labels.signal }}.",
            description="The SDK dropped {{ $value }} items ({{ $labels.signal }}) in 5 minutes. Reason: {{ $labels.reason }}.",
            board="telemetry",
        ),
        Trigger(
            "give the SDK a small queue and no spool, then send requests while the Collector is stopped",
            command=restart_command("BLOGAUTO_OTEL_QUEUE_BYTES=65536", "BLOGAUTO_OTEL_SPOOL_DIR=off")
            + "\ndocker compose stop otel-collector"
            "\npython -m examples.traffic http://localhost:8000 bugs --seconds 120"
            "\ndocker compose start otel-collector",
        ),
        _TELEMETRY_ITEMS_DROPPED_TESTS,
    )


def _dropped(values: str) -> dict[str, str]:
    return {**alive(), f'blogauto_otel_items_dropped_total{{{JOB},signal="traces",reason="queue_full"}}': values}


_TRACES_DROPPED: Final = (
    ExpectedAlert(
        {**BACKEND, "signal": "traces", "reason": "queue_full"},
        "blogauto-backend drops traces.",
        "The SDK dropped 12 items (traces) in 5 minutes. Reason: queue_full.",
    ),
)

_TELEMETRY_ITEMS_DROPPED_TESTS: Final = telemetry_tests(
    "warning",
    Case("the first loss, of a counter that did not exist", _dropped("_x40 12x400"), "11m", _TRACES_DROPPED),
    Case("it stays up for five minutes after the loss", _dropped("_x40 12x400"), "18m", _TRACES_DROPPED),
    Case("and not longer", _dropped("_x40 12x400"), "21m"),
    Case("nothing was lost lately", _dropped("12x400"), "11m"),
    Case(
        "an old process that Prometheus sees for the first time",
        {**_dropped("_x40 12x400"), f'target_info{{{JOB},service_name="blogauto-backend"}}': "_x40 1x400"},
        "11m",
    ),
    Case("no data", {}, "11m"),
)


def _telemetry_spool_filling(service: Service) -> AlertDefinition:
    limits = service.thresholds
    filled = f"{sdk_metric('spool.bytes')} / {sdk_metric('spool.capacity')}"
    return AlertDefinition(
        Alert(
            name="TelemetrySpoolFilling",
            severity="warning",
            category="telemetry",
            condition=Or(
                (
                    Comparison(f"max by (job) ({sdk_metric('spool.oldest_file_age')})", ">", limits.spool_seconds),
                    Comparison(f"max by (job) ({filled})", ">", limits.spool_ratio),
                )
            ),
            pending_for="10m",
            keep_firing_for="5m",
            summary="Telemetry of {{ $labels.job }} stays on disk.",
            description=(
                f"More than {percent(limits.spool_ratio)} of the spool is used, or its oldest file is"
                f" more than {promql_number(limits.spool_seconds / 60)} minutes old, although metrics arrive. A full spool deletes its oldest files."
            ),
            board="telemetry",
            comment="Without any metrics this cannot be seen; OtelCollectorDown covers that. The Collector exposes a metric for 5 minutes after its last update, hence `for`.",
        ),
        Trigger(
            "send spans to a closed port while metrics arrive, under traffic",
            command=restart_command("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://localhost:9/v1/traces")
            + "\npython -m examples.traffic http://localhost:8000 bugs --seconds 1800",
        ),
        _TELEMETRY_SPOOL_FILLING_TESTS,
    )


def _spool(used: float, age: str) -> dict[str, str]:
    return {
        f"blogauto_otel_spool_bytes{{{JOB}}}": f"{used * 67_108_864:.0f}x400",
        f"blogauto_otel_spool_capacity_bytes{{{JOB}}}": "67108864x400",
        f"blogauto_otel_spool_oldest_file_age_seconds{{{JOB}}}": age,
    }


_SPOOL_ALERT: Final = (
    ExpectedAlert(
        BACKEND,
        "Telemetry of blogauto-backend stays on disk.",
        "More than 50 % of the spool is used, or its oldest file is more than 15 minutes old,"
        " although metrics arrive. A full spool deletes its oldest files.",
    ),
)

_TELEMETRY_SPOOL_FILLING_TESTS: Final = telemetry_tests(
    "warning",
    Case("more than half of the room is used", _spool(0.6, "60x400"), "15m", _SPOOL_ALERT),
    Case("little is stored, but for long", _spool(0.01, "1200x400"), "15m", _SPOOL_ALERT),
    Case("less than half, and not for long", _spool(0.4, "600x400"), "15m"),
    Case("pending before ten minutes", _spool(0.6, "60x400"), "8m", pending=True),
    Case("an outage of an hour, over for five minutes", _spool(0.3, "3600x20 0x400"), "14m"),
    Case("the queue is empty", _spool(0, "0x400"), "15m"),
    Case("no data", {}, "15m"),
)
