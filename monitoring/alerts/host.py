"""Alerts about the host and the processes on it: CPU, memory, disk, restarts and a blocked event loop."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, UnitTests
from monitoring.alerts.samples import BACKEND
from monitoring.parameters import Service, percent, promql_number
from monitoring.rules.conditions import Comparison
from monitoring.rules.model import Alert
from monitoring.rules.recorded import Recorded


def host_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _high_cpu_usage(service),
        _low_memory_available(service),
        _low_disk_space(service),
        _backend_restarting(service),
        _event_loop_blocked(service),
    )


def _high_cpu_usage(service: Service) -> AlertDefinition:
    limits = service.thresholds
    cpu = service.metric("cpu.usage")
    return AlertDefinition(
        Alert(
            name="HighCpuUsage",
            severity="warning",
            category="saturation",
            condition=Comparison(f"max by (job) (avg_over_time({cpu}[5m]))", ">", limits.cpu_percent),
            pending_for="5m",
            keep_firing_for="5m",
            summary="CPU usage of {{ $labels.job }} is high.",
            description=(
                f'CPU usage averaged {{{{ $value | printf "%.0f" }}}} % over 5 minutes; the limit is {promql_number(limits.cpu_percent)} %.'
            ),
            comment="Maximum over workers: each reports the CPU of its host. Averaged over time: one idle moment does not reset `for`.",
        ),
        Trigger(
            "run the drill, which lowers the limit below the current usage instead of loading the CPU",
            command="python -m monitoring drill HighCpuUsage",
            drill=True,
            threshold=("cpu_percent", -1, 101),
        ),
        _HIGH_CPU_USAGE_TESTS,
    )


def _gauge(name: str, *values: str) -> dict[str, str]:
    """One series a worker."""
    return {
        f'blogauto_{name}{{job="blogauto-backend",instance="{chr(97 + index)}"}}': value
        for index, value in enumerate(values)
    }


_HIGH_CPU_USAGE_TESTS: Final = UnitTests(
    "warning",
    "saturation",
    "blogauto-overview",
    cases=(
        Case(
            "the busier of two hosts",
            _gauge("cpu_usage_percent", "82x400", "5x400"),
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "CPU usage of blogauto-backend is high.",
                    "CPU usage averaged 82 % over 5 minutes; the limit is 80 %.",
                ),
            ),
        ),
        Case(
            "one idle moment does not reset the wait",
            _gauge("cpu_usage_percent", "90x30 0 90x400"),
            "11m",
            (
                ExpectedAlert(
                    BACKEND,
                    "CPU usage of blogauto-backend is high.",
                    "CPU usage averaged 86 % over 5 minutes; the limit is 80 %.",
                ),
            ),
        ),
        Case("just below", _gauge("cpu_usage_percent", "79x400"), "20m"),
        Case("pending before five minutes", _gauge("cpu_usage_percent", "82x400"), "4m", pending=True),
        Case("no data", {}, "20m"),
    ),
)


def _low_memory_available(service: Service) -> AlertDefinition:
    limits = service.thresholds
    available, total = service.metric("memory.available"), service.metric("memory.total")
    return AlertDefinition(
        Alert(
            name="LowMemoryAvailable",
            severity="critical",
            category="saturation",
            condition=Comparison(
                f"min by (job) (avg_over_time({available}[5m]) / {total})", "<", limits.memory_available_ratio
            ),
            pending_for="5m",
            keep_firing_for="5m",
            summary="{{ $labels.job }} has little memory left.",
            description=(
                "Only {{ $value | humanizePercentage }} of the memory was available on average over 5 minutes;"
                f" the limit is {percent(limits.memory_available_ratio)}."
            ),
            comment="A ratio: 3.5 GiB in use are too much of 4 GiB and little of 64 GiB.",
        ),
        Trigger(
            "run the drill, which raises the limit above the available memory instead of using it up",
            command="python -m monitoring drill LowMemoryAvailable",
            drill=True,
            threshold=("memory_available_ratio", 2, 0),
        ),
        _LOW_MEMORY_AVAILABLE_TESTS,
    )


def _memory(available: float, total: float) -> dict[str, str]:
    gib = 1024**3
    return {
        **_gauge("memory_available_bytes", f"{available * gib:.0f}x400"),
        **_gauge("memory_total_bytes", f"{total * gib:.0f}x400"),
    }


_LOW_MEMORY_AVAILABLE_TESTS: Final = UnitTests(
    "critical",
    "saturation",
    "blogauto-overview",
    cases=(
        Case(
            "0.48 of 4 GiB",
            _memory(0.48, 4),
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "blogauto-backend has little memory left.",
                    "Only 12% of the memory was available on average over 5 minutes; the limit is 12.5 %.",
                ),
            ),
        ),
        Case("0.52 of 4 GiB", _memory(0.52, 4), "20m"),
        Case("60 of 64 GiB in use are no shortage when 10 are available", _memory(10, 64), "20m"),
        Case("pending before five minutes", _memory(0.48, 4), "4m", pending=True),
        Case("no data", {}, "20m"),
    ),
)


def _low_disk_space(service: Service) -> AlertDefinition:
    limits = service.thresholds
    disk = service.metric("disk.usage")
    return AlertDefinition(
        Alert(
            name="LowDiskSpace",
            severity="warning",
            category="saturation",
            condition=Comparison(f"max by (job) ({disk})", ">", limits.disk_percent),
            pending_for="5m",
            keep_firing_for="5m",
            summary="The disk of {{ $labels.job }} is nearly full.",
            description=(
                f'{{{{ $value | printf "%.0f" }}}} % of the root filesystem is in use; the limit is {promql_number(limits.disk_percent)} %.'
            ),
        ),
        Trigger(
            "run the drill, which lowers the limit below the current usage instead of filling the disk",
            command="python -m monitoring drill LowDiskSpace",
            drill=True,
            threshold=("disk_percent", -1, 101),
        ),
        _LOW_DISK_SPACE_TESTS,
    )


_LOW_DISK_SPACE_TESTS: Final = UnitTests(
    "warning",
    "saturation",
    "blogauto-overview",
    cases=(
        Case(
            "86 % in use",
            _gauge("disk_usage_percent", "86x400", "20x400"),
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "The disk of blogauto-backend is nearly full.",
                    "86 % of the root filesystem is in use; the limit is 85 %.",
                ),
            ),
        ),
        Case("84 % in use", _gauge("disk_usage_percent", "84x400"), "20m"),
        Case("pending before five minutes", _gauge("disk_usage_percent", "86x400"), "4m", pending=True),
        Case("no data", {}, "20m"),
    ),
)


def _backend_restarting(service: Service) -> AlertDefinition:
    recorded = Recorded(service)
    limits = service.thresholds
    return AlertDefinition(
        Alert(
            name="BackendRestarting",
            severity="warning",
            category="availability",
            condition=Comparison(f"changes({recorded.start_time}[15m])", ">", limits.restarts),
            pending_for="0s",
            keep_firing_for="5m",
            summary="{{ $labels.job }} restarts repeatedly.",
            description=f"It restarted {{{{ $value }}}} times in 15 minutes; the limit is {promql_number(limits.restarts)}.",
            comment="The newest start among all processes: workers that start together count once.",
        ),
        Trigger(
            "restart the example repeatedly",
            command="for i in 1 2 3 4; do docker compose --profile demo restart backend; sleep 120; done",
        ),
        _BACKEND_RESTARTING_TESTS,
    )


def _started(*values: str) -> dict[str, str]:
    """When each of the workers started."""
    name = "otel_process_start_time_seconds"
    return _gauge(name, *values)


_BACKEND_RESTARTING_TESTS: Final = UnitTests(
    "warning",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "three restarts in a quarter of an hour",
            _started("100x20 400x16 650x16 900x400"),
            "15m",
            (
                ExpectedAlert(
                    BACKEND,
                    "blogauto-backend restarts repeatedly.",
                    "It restarted 3 times in 15 minutes; the limit is 2.",
                ),
            ),
        ),
        Case(
            "one of two workers restarts, the other runs",
            _started("100x400", "100x20 400x16 650x16 900x400"),
            "15m",
            (
                ExpectedAlert(
                    BACKEND,
                    "blogauto-backend restarts repeatedly.",
                    "It restarted 3 times in 15 minutes; the limit is 2.",
                ),
            ),
        ),
        Case("two restarts are below the limit", _started("100x20 400x16 650x400"), "15m"),
        Case(
            "four workers that start together count once",
            _started("100x20 400x400", "100x20 401x400", "100x20 401x400"),
            "15m",
        ),
        Case("no restart", _started("100x400"), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _event_loop_blocked(service: Service) -> AlertDefinition:
    recorded, limits = Recorded(service), service.thresholds
    return AlertDefinition(
        Alert(
            name="EventLoopBlocked",
            severity="warning",
            category="saturation",
            condition=Comparison(recorded.event_loop_blocked, ">", limits.event_loop_ratio),
            pending_for="5m",
            keep_firing_for="5m",
            summary="The event loop of {{ $labels.job }} is blocked.",
            description=(
                "In 5 minutes the event loop was blocked for {{ $value | humanizePercentage }} of the time;"
                f" the limit is {percent(limits.event_loop_ratio)}. All requests of the process wait meanwhile."
            ),
            board="dependencies",
            comment="The most blocked process: the requests of one worker wait although the others are idle.",
        ),
        Trigger("requests that block the event loop with a computation", ("blocking",), drill=True, drill_phase=3),
        _EVENT_LOOP_BLOCKED_TESTS,
    )


def _lag(*values: str) -> dict[str, str]:
    """Seconds of lag, one series a worker."""
    return _gauge("event_loop_lag_seconds_sum", *values)


_EVENT_LOOP_BLOCKED_TESTS: Final = UnitTests(
    "warning",
    "saturation",
    "blogauto-dependencies",
    cases=(
        Case(
            "one of two workers, for an eighth of the time",
            _lag("0+1.875x400", "0+0.01x400"),
            "15m",
            (
                ExpectedAlert(
                    BACKEND,
                    "The event loop of blogauto-backend is blocked.",
                    "In 5 minutes the event loop was blocked for 12.5% of the time; the limit is 10 %."
                    " All requests of the process wait meanwhile.",
                ),
            ),
        ),
        Case("two workers, each below the limit", _lag("0+1.2x400", "0+1.2x400"), "15m"),
        Case("one long pause", _lag("0x20 4x400"), "15m"),
        Case("pending before five minutes", _lag("0+4x400"), "4m", pending=True),
        Case("no data", {}, "15m"),
    ),
)
