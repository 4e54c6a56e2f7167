"""The Collector's overlays, and the combinations that make sense, with what each is for."""

from __future__ import annotations

from stack.processes import SHIPPED_OVERLAYS

OVERLAYS = (
    "process-redact",
    "process-sampling",
    "connect-red",
    "receive-fluentd",
    "receive-token",
    "receive-tls",
    "receive-mtls",
    "receive-tenants",
    "export-jaeger",
    "export-loki",
    "export-prometheus-pull",
    "export-prometheus-otlp",
    "export-prometheus-shards",
    "export-sentry",
    "export-collector",
    "export-debug",
    "export-file",
    "tier-agent",
    "tier-gateway",
    "tier-kafka-out",
    "tier-kafka-in",
)

# With these a sender needs more than an address: test_programs_secured.py, tests/scale
SECURED = ("receive-token", "receive-tls", "receive-mtls", "receive-tenants")

COMPOSE = ("process-redact", "receive-fluentd", "export-jaeger", "export-prometheus-pull", "export-loki")

COMBINATIONS: dict[str, tuple[str, ...]] = {
    "nothing but the base": (),
    "a first look": ("export-debug",),
    "docker-compose.yml": COMPOSE,
    "docker-compose.yml with Sentry": (*COMPOSE, "export-sentry"),
    "several Collectors": ("process-redact", "export-jaeger", "export-prometheus-otlp", "export-loki"),
    "metrics in two Prometheus servers": ("process-redact", "export-jaeger", "export-prometheus-shards", "export-loki"),
    "a service that sends every span": (
        "process-redact",
        "process-sampling",
        "connect-red",
        "export-jaeger",
        "export-prometheus-pull",
        "export-loki",
    ),
    "container output only": ("process-redact", "receive-fluentd", "export-loki"),
    "an agent without a disk": ("process-redact", "export-collector"),
    "beside the application": ("process-redact", "tier-agent"),
    "into Kafka": ("process-redact", "tier-kafka-out"),
    "out of Kafka, to the samplers": ("tier-kafka-in", "tier-gateway"),
    "a gateway without Kafka": ("process-redact", "tier-gateway"),
    "the tests": SHIPPED_OVERLAYS,
    "everything": tuple(name for name in OVERLAYS if name not in SECURED),
}
