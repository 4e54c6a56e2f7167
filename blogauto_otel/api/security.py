"""The security metrics of the blog automation: one declaration each, `metrics.security` at call sites."""

from __future__ import annotations

from typing import Annotated

from blogauto_otel.api.declarations import AtMost, counter, gauge


@counter("rate_limit.rejected", unit="{request}", domain="security")
def rate_limit_rejected(*, endpoint: Annotated[str, AtMost(200)]) -> None:
    """Requests rejected by the rate limit, by route template."""


@gauge("blocked_ips_total", unit="{ip}", domain="security")  # the literal suffix survives both ways to Prometheus
def blocked_ips() -> None:
    """Blocked IP addresses."""


@counter("security.events", unit="{event}", domain="security")
def security_events(*, type: Annotated[str, AtMost(50)]) -> None:  # noqa: A002 - the label's name
    """Security events, by type: auth_failure, suspicious_pattern and others."""
