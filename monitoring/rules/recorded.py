"""Names of the recorded series, which alerts and boards read."""

from __future__ import annotations

from typing import Final

from monitoring.parameters import Service

# About the Collector and the SDK: the same names for every service.
REFUSED: Final = "job_signal:otelcol_refused_items:increase5m"
LOST: Final = "job_exporter_signal:otelcol_lost_items:increase5m"
SENT: Final = "job_exporter_signal:otelcol_sent_items:rate5m"
QUEUED: Final = "job_exporter:otelcol_exporter_queue_size:sum"
DROPPED: Final = "job_signal_reason:blogauto_otel_items_dropped:increase5m"


class Recorded:
    """Names of the recorded series about one service."""

    def __init__(self, service: Service) -> None:
        prefix = service.namespace
        self.requests = f"job:{prefix}_api_requests:rate5m"
        self.requests_by_endpoint = f"job_endpoint:{prefix}_api_requests:rate5m"
        self.errors = f"job:{prefix}_api_errors:rate5m"
        self.slow = f"job:{prefix}_api_slow_requests:rate5m"
        self.p95_by_endpoint = f"job_endpoint:{prefix}_api_request_duration_seconds:p95_rate5m"
        self.secure_failures = f"job:{prefix}_secure_failures:increase5m"
        self.generations = f"job:{prefix}_content_generations:increase10m"
        self.generation_failures = f"job:{prefix}_content_generation_failures:increase10m"
        self.start_time = f"job:{prefix}_process_start_time_seconds:max"

    def ratio(self, window: str, *, of: str) -> str:
        """The share of bad requests in a window; `of` is `errors` or `slow`."""
        prefix = self.requests.split(":")[1]
        return f"job:{prefix.removesuffix('_requests')}_{of}_per_requests:ratio_rate{window}"

    def budget_left(self, *, of: str) -> str:
        """The share of the error budget of 30 days that is left; below 0 when it is overspent."""
        prefix = self.requests.split(":")[1].removesuffix("_requests")
        return f"job:{prefix}_{of}_budget_left:ratio30d"
