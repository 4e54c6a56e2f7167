"""Names of attributes, scopes and label values that this package defines."""

from __future__ import annotations

from typing import Final

DISTRO_NAME: Final = "blogauto_otel"

# Instrumentation scopes.
SCOPE_HTTP: Final = "blogauto_otel.http"
SCOPE_SQL: Final = "blogauto_otel.sql"
SCOPE_SYSTEM: Final = "blogauto_otel.system"
SCOPE_SELF: Final = "blogauto_otel.self"
SCOPE_DOMAIN: Final = "blogauto_otel.domain"
SCOPE_OPERATION: Final = "blogauto_otel.operation"
SCOPE_AI: Final = "blogauto_otel.ai"
SCOPE_SENTRY: Final = "blogauto_otel.sentry"

# Attributes on spans and log records.
SAMPLING_REASON: Final = "blogauto.sampling.reason"  # "error" or "slow": why an unsampled request has a span
CLIENT_LEFT: Final = "blogauto.client_left"  # true when the client disconnected before the last byte
REDACTION: Final = "blogauto.redaction"  # "off" on the resource of a process that redacts nothing
REDELIVERED: Final = "blogauto.redelivered"  # true on the resource of replayed items
TRUNCATED: Final = "blogauto.truncated"  # true on an item with a truncated value
REQUEST_ID: Final = "request.id"
USER_ID: Final = "user.id"
SENTRY_EVENT_ID: Final = "sentry.event_id"
SENTRY_EVENT_URL: Final = "sentry.event_url"  # see BLOGAUTO_OTEL_SENTRY_EVENT_URL
SENTRY_PROFILER_ID: Final = "sentry.profiler_id"  # on the root span of a profiled process

# Label values of the request metrics.
UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "_OTHER"
