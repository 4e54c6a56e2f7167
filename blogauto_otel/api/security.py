"""What the application fends off: one declaration per metric, `metrics.security` at call sites."""

from __future__ import annotations

from typing import Annotated

from blogauto_otel.api.instruments import AtMost, counter, gauge


@counter("rate_limit.rejected", unit="{request}", domain="security")
def rate_limit_rejected(*, endpoint: Annotated[str, AtMost(200)]) -> None:
    """Requests refused by the rate limit, by route template."""


@gauge("blocked_ips_total", unit="{ip}", domain="security")  # the literal suffix survives both ways to Prometheus
def blocked_ips() -> None:
    """IP addresses blocked now."""


@counter("security.events", unit="{event}", domain="security")
def security_events(*, type: Annotated[str, AtMost(50)]) -> None:  # noqa: A002 - the label's name
    """Security events, by kind: auth_failure, suspicious_pattern and others."""
