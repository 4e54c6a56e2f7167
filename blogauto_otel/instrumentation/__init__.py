"""Instrumentations: libraries that are patched or configured, each a module with `instrument(context) -> Report`."""

from __future__ import annotations

from blogauto_otel.instrumentation.registry import Context, Report, State

__all__ = ["Context", "Report", "State"]
