"""`/metrics`: what the one metric reader collects, as Prometheus reads it, in every application of this process.

| module | what for |
|---|---|
| `names` | names as the Collector makes them |
| `families` | collected points as families of series |
| `text` | the two text formats |
| `endpoint` | the ASGI application |
"""

from __future__ import annotations

from importlib import util
from typing import TYPE_CHECKING

from blogauto_otel.instrumentation import Context, Report, State, asgi
from blogauto_otel.integrations.prometheus.endpoint import MetricsEndpoint

if TYPE_CHECKING:
    from blogauto_otel.providers.metrics import Metering

__all__ = ["MetricsEndpoint", "link", "unlink"]

_served: list[str] = []


def link(context: Context, metering: Metering | None) -> Report:
    """Answer `settings.metrics_path` in every application, whatever routes it has; nothing when the path is empty."""
    unlink()
    path = context.settings.metrics_path
    if not path:
        return Report("prometheus", State.OFF, "by BLOGAUTO_OTEL_METRICS_PATH")
    if metering is None:
        return Report("prometheus", State.SKIPPED, "the meter provider is not ours")
    if util.find_spec("starlette") is None:
        return Report("prometheus", State.MISSING, "starlette is not installed")
    asgi.serve(path, MetricsEndpoint(metering.reader.collect_now, context.settings.metrics_token))
    _served.append(path)
    return Report("prometheus", State.ON, path)


def unlink() -> None:
    """Leave the path to the applications again."""
    while _served:
        asgi.unserve(_served.pop())
