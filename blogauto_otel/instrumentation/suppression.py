"""Whether instrumentation is suppressed in a context; see `blogauto_otel._suppression`."""

from __future__ import annotations

from blogauto_otel._suppression import is_http_suppressed, is_suppressed

__all__ = ["is_http_suppressed", "is_suppressed"]
