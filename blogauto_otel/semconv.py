"""Names that are ours: attributes, scopes and environment; OpenTelemetry's own come from `opentelemetry.semconv`."""

from __future__ import annotations

from typing import Final

DISTRO_NAME: Final = "blogauto_otel"

# Instrumentation scopes: who recorded it.
SCOPE_HTTP: Final = "blogauto_otel.http"
SCOPE_SQL: Final = "blogauto_otel.sql"
SCOPE_SYSTEM: Final = "blogauto_otel.system"
SCOPE_SELF: Final = "blogauto_otel.self"
SCOPE_DOMAIN: Final = "blogauto_otel.domain"
SCOPE_OPERATION: Final = "blogauto_otel.operation"
SCOPE_SENTRY: Final = "blogauto_otel.sentry"

# Attributes on spans and log records.
SAMPLING_REASON: Final = "blogauto.sampling.reason"  # "error" or "slow": why a request that was not sampled has a span
CLIENT_LEFT: Final = "blogauto.client_left"  # true on a request whose client went away before the last byte
REDELIVERED: Final = "blogauto.redelivered"  # true on the resource of items that waited on disk
TRUNCATED: Final = "blogauto.truncated"  # true on an item of which a value was cut to its limit
REQUEST_ID: Final = "request.id"
USER_ID: Final = "user.id"
SENTRY_EVENT_ID: Final = "sentry.event_id"
SENTRY_EVENT_URL: Final = "sentry.event_url"  # by BLOGAUTO_OTEL_SENTRY_EVENT_URL
SENTRY_PROFILER_ID: Final = "sentry.profiler_id"  # on the root span of a process that is profiled

# Label values of the request metrics.
UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "_OTHER"
