"""Alerts about the SDK in the application: items dropped, and items that stay on disk."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, UnitTests, restart_command
from monitoring.alerts.samples import BACKEND, JOB, alive
from monitoring.metrics import sdk_metric
from monitoring.parameters import Service, percent
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
            summary="{{ $labels.job }} lost {{ $labels.signal }}.",
            description="{{ $value }} {{ $labels.signal }} were dropped by the SDK in 5 minutes: {{ $labels.reason }}.",
            board="telemetry",
        ),
        Trigger(
            "leave the SDK next to no room and no disk, and let requests come while the Collector is away",
            command=restart_command("BLOGAUTO_OTEL_QUEUE_BYTES=65536", "BLOGAUTO_OTEL_SPOOL_DIR=off")
            + "\ndocker compose stop otel-collector"
            "\npython -m examples.traffic http://localhost:8000 bugs --seconds 120"
            "\ndocker compose start otel-collector",
        ),
        _TELEMETRY_ITEMS_DROPPED_TESTS,
    )


def _dropped(values: str) -> dict[str, str]:
    return {**alive(), f'blogauto_otel_items_dropped_total{{{JOB},signal="traces",reason="queue_full"}}': values}


_TELEMETRY_ITEMS_DROPPED_TESTS: Final = UnitTests(
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case(
            "the first loss, of a counter that did not exist",
            _dropped("_x40 12x400"),
            "11m",
            (
                ExpectedAlert(
                    {**BACKEND, "signal": "traces", "reason": "queue_full"},
                    "blogauto-backend lost traces.",
                    "12 traces were dropped by the SDK in 5 minutes: queue_full.",
                ),
            ),
        ),
        Case(
            "it stays up for five minutes after the loss",
            _dropped("_x40 12x400"),
            "18m",
            (
                ExpectedAlert(
                    {**BACKEND, "signal": "traces", "reason": "queue_full"},
                    "blogauto-backend lost traces.",
                    "12 traces were dropped by the SDK in 5 minutes: queue_full.",
                ),
            ),
        ),
        Case("and not longer", _dropped("_x40 12x400"), "21m"),
        Case("nothing was lost lately", _dropped("12x400"), "11m"),
        Case(
            "an old process that Prometheus sees for the first time",
            {**_dropped("_x40 12x400"), f'target_info{{{JOB},service_name="blogauto-backend"}}': "_x40 1x400"},
            "11m",
        ),
        Case("no data", {}, "11m"),
    ),
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
            summary="{{ $labels.job }} cannot deliver what waits on disk.",
            description=(
                f"More than {percent(limits.spool_ratio)} of the room on disk is used, or the oldest file has been waiting"
                f" for more than {limits.spool_seconds / 60:.0f} minutes, although metrics arrive. When the room is used up, the oldest is lost."
            ),
            board="telemetry",
            comment="While nothing at all arrives this cannot be seen: OtelCollectorDown tells it. The Collector shows a metric for 5 minutes after it came, hence the wait.",
        ),
        Trigger(
            "let spans go to nowhere while metrics arrive, under traffic",
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
        "blogauto-backend cannot deliver what waits on disk.",
        "More than 50 % of the room on disk is used, or the oldest file has been waiting for more than 15 minutes,"
        " although metrics arrive. When the room is used up, the oldest is lost.",
    ),
)

_TELEMETRY_SPOOL_FILLING_TESTS: Final = UnitTests(
    "warning",
    "telemetry",
    "blogauto-telemetry",
    service="telemetry",
    cases=(
        Case("more than half of the room is used", _spool(0.6, "60x400"), "15m", _SPOOL_ALERT),
        Case("little waits, but for long", _spool(0.01, "1200x400"), "15m", _SPOOL_ALERT),
        Case("less than half, and not for long", _spool(0.4, "600x400"), "15m"),
        Case("pending before ten minutes", _spool(0.6, "60x400"), "8m", pending=True),
        Case("an outage of an hour, over for five minutes", _spool(0.3, "3600x20 0x400"), "14m"),
        Case("nothing waits", _spool(0, "0x400"), "15m"),
        Case("no data", {}, "15m"),
    ),
)
