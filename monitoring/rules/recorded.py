"""Names of the recorded series, which alerts and boards read."""

from __future__ import annotations

from typing import Final

from monitoring.parameters import Service

# About the Collector and the SDK: the same names for every service.
REFUSED: Final = "job_signal:otelcol_refused_items:increase5m"
LOST: Final = "job_exporter_signal:otelcol_lost_items:increase5m"
SENT: Final = "job_exporter_signal:otelcol_sent_items:rate5m"
QUEUED: Final = "job_exporter:otelcol_exporter_queue_size:sum"
KAFKA_LAG: Final = "job_topic:otelcol_kafka_waiting_records:sum"
KAFKA_READ: Final = "job_topic_partition:otelcol_kafka_read_records:rate5m"
KAFKA_WRITTEN: Final = "job_topic_partition:otelcol_kafka_written_records:rate5m"
KAFKA_SKIPPED: Final = "job_topic_signal:otelcol_kafka_skipped_records:increase5m"
SHARD_LOAD: Final = "job_tier_instance_signal:otelcol_accepted_items:rate5m"
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
        self.sql_p95 = f"job_table:{prefix}_sql_seconds:p95_rate5m"
        self.statements = f"job_table:{prefix}_sql_statements:rate5m"
        self.pool_in_use = f"job:{prefix}_pool_connections_in_use_per_max:ratio"
        self.pool_timeouts = f"job:{prefix}_pool_timeouts:increase5m"
        self.event_loop_blocked = f"job:{prefix}_event_loop_blocked:ratio_rate5m"
        self.ai_calls = f"job_provider:{prefix}_ai_calls:increase10m"
        self.ai_failures = f"job_provider:{prefix}_ai_failures:increase10m"
        self.ai_rate_limited = f"job_provider:{prefix}_ai_rate_limited:increase5m"
        self.ai_p95 = f"job_provider_model:{prefix}_ai_seconds:p95_rate10m"
        self.start_time = f"job:{prefix}_process_start_time_seconds:max"

    def ratio(self, window: str, *, of: str) -> str:
        """The share of bad requests in a window; `of` is `errors` or `slow`."""
        prefix = self.requests.split(":")[1]
        return f"job:{prefix.removesuffix('_requests')}_{of}_per_requests:ratio_rate{window}"

    def ai_cost(self, window: str) -> str:
        """The cost of AI calls in a window: `1h` or `1d`."""
        prefix = self.requests.split(":")[1].removesuffix("_api_requests")
        return f"job_currency:{prefix}_ai_cost:increase{window}"

    def budget_left(self, *, of: str) -> str:
        """The share of the error budget of 30 days that is left; below 0 when it is overspent."""
        prefix = self.requests.split(":")[1].removesuffix("_requests")
        return f"job:{prefix}_{of}_budget_left:ratio30d"
