"""`/metrics`: what the one metric reader collects, as Prometheus reads it, in every application of this process.

| module | what for |
|---|---|
| `names` | names as the Collector makes them |
| `families` | collected points as families of series |
| `text` | the two text formats |
| `endpoint` | the ASGI application |
"""

from __future__ import annotations

from dataclasses import replace
from importlib import util
from typing import TYPE_CHECKING, Final

from blogauto_otel.instrumentation import Context, Report, State, server
from blogauto_otel.instrumentation.server import pages
from blogauto_otel.instrumentation.server.peers import judging_clients
from blogauto_otel.integrations.prometheus.endpoint import MetricsEndpoint

if TYPE_CHECKING:
    from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider

__all__ = ["MetricsEndpoint", "link", "report", "unlink"]

# In the status line: production without a token.
FOR_PRIVATE_NETWORKS: Final = " for private networks"

_served: Final[dict[str, Report]] = {}


def link(context: Context, metering: BlogautoMeterProvider | None) -> Report:
    """Answer `settings.metrics_path` in every application without a working route there; nothing when it is empty.

    In production it takes a token, or a client on a private network.
    """
    unlink()
    settings = context.settings
    path = settings.metrics_path
    if not path:
        return Report("prometheus", State.OFF, "by BLOGAUTO_OTEL_METRICS_PATH")
    if metering is None:
        return Report("prometheus", State.SKIPPED, "the meter provider is not ours")
    if util.find_spec("starlette") is None:
        return Report("prometheus", State.MISSING, "starlette is not installed")
    is_guarded = settings.production and settings.metrics_token is None
    peers = judging_clients(settings.trust_incoming) if is_guarded else None
    server.serve(path, MetricsEndpoint(metering.reader.collect_now, settings.metrics_token, peers))
    detail = f"{path}{FOR_PRIVATE_NETWORKS if is_guarded else ''}"
    _served[path] = Report("prometheus", State.ON, detail)
    return _served[path]


def report() -> Report | None:
    """As it is now: an application may have turned out to answer the path itself."""
    for path, made in _served.items():
        return replace(made, detail=f"{path} is the application's own") if pages.stepped_back(path) else made
    return None


def unlink() -> None:
    """Leave the path to the applications again."""
    while _served:
        server.unserve(_served.popitem()[0])
