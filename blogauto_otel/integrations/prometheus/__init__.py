"""`/metrics`: the metrics of this process in Prometheus' text formats, in every ASGI application of it.

| module | contents |
|---|---|
| `families` | data points as metric families |
| `text` | the two text formats |
| `endpoint` | the ASGI application |
"""

from __future__ import annotations

from dataclasses import replace
from importlib import util
from typing import TYPE_CHECKING, Final

from blogauto_otel import _process
from blogauto_otel.instrumentation import Context, Report, State, server
from blogauto_otel.instrumentation.server import pages
from blogauto_otel.instrumentation.server.peers import build_client_peers
from blogauto_otel.integrations.prometheus.endpoint import MetricsEndpoint

if TYPE_CHECKING:
    from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider

__all__ = ["MetricsEndpoint", "link", "report", "unlink"]

# In the status line, in production without a token.
FOR_PRIVATE_NETWORKS: Final = " for private networks"


class _State:
    """The path that is served, with its report."""

    def __init__(self) -> None:
        self.served: dict[str, Report] = {}


_state: Final = _process.register(_State())


def link(context: Context, metering: BlogautoMeterProvider | None) -> Report:
    """Serve `settings.metrics_path` in every application without a working route there; nothing when it is empty.

    In production only clients with the token, or on a private network, may read it.
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
    peers = build_client_peers(settings.trust_incoming) if is_guarded else None
    server.serve(path, MetricsEndpoint(metering.reader.collect_now, settings.metrics_token, peers))
    detail = f"{path}{FOR_PRIVATE_NETWORKS if is_guarded else ''}"
    _state.served[path] = Report("prometheus", State.ON, detail)
    return _state.served[path]


def report() -> Report | None:
    """The current state; an application with a route of its own at the path answers itself."""
    for path, made in _state.served.items():
        return (
            replace(made, detail=f"{path} is the application's own") if pages.is_served_by_application(path) else made
        )
    return None


def unlink() -> None:
    """Stop serving the path."""
    while _state.served:
        server.unserve(_state.served.popitem()[0])
