"""Where each signal goes, by the rules of the OpenTelemetry specification.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from blogauto_otel._guard import log_once
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.errors import MissingDependencyError
from blogauto_otel.export.http import HttpTransport
from blogauto_otel.export.transport import Destination, Transport
from blogauto_otel.otlp.signal import Signal

# The specification's, where no endpoint is set.
DEFAULT_ENDPOINTS: Final = MappingProxyType({"http/protobuf": "http://localhost:4318", "grpc": "http://localhost:4317"})

_METRIC_ITEMS: Final = 100_000  # metrics of one collection


@dataclass(frozen=True)
class Route:
    """All that is decided about one signal's way out."""

    signal: Signal
    place: str  # in words, without credentials
    destination: Destination
    transport: Callable[[], Transport]
    delay: float
    batch_items: int
    queue_items: int


def routes(settings: Settings) -> tuple[Route, ...]:
    """The three routes.

    Raises:
        ConfigurationError: only when `strict` is set: the protocol needs a package that is missing.
    """
    protocol = _usable_protocol(settings)
    made = tuple(_route(signal, settings, protocol) for signal in Signal)
    for url in sorted({route.destination.url for route in made if _exposes_credentials(route.destination)}):
        log_once(
            f"plain {url}", "%s is not encrypted, and the headers of OTEL_EXPORTER_OTLP_HEADERS go there", _masked(url)
        )
    return made


def missing_for_protocol(settings: Settings) -> MissingDependencyError | None:
    """What the protocol of the settings needs and this environment does not have."""
    if settings.protocol == "grpc" and importlib.util.find_spec("grpc") is None:
        return MissingDependencyError("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "grpcio", extra="grpc")
    return None


def _usable_protocol(settings: Settings) -> str:
    missing = missing_for_protocol(settings)
    if missing is not None:
        warn_or_raise(settings, f"{missing}; using http/protobuf")
        return "http/protobuf"
    return settings.protocol


def _route(signal: Signal, settings: Settings, protocol: str) -> Route:
    destination = _destination(signal, settings, protocol)
    delay, batch_items, queue_items = _PACES[signal](settings)
    return Route(
        signal=signal,
        place=_place(signal, settings, destination),
        destination=destination,
        transport=partial(_TRANSPORTS[protocol], signal, destination),
        delay=delay,
        batch_items=batch_items,
        queue_items=queue_items,
    )


_PACES: Final[Mapping[Signal, Callable[[Settings], tuple[float, int, int]]]] = {
    Signal.TRACES: lambda s: (s.span_delay, s.span_batch_items, s.span_queue_items),
    Signal.LOGS: lambda s: (s.log_delay, s.log_batch_items, s.log_queue_items),
    Signal.METRICS: lambda s: (s.metric_interval, _METRIC_ITEMS, _METRIC_ITEMS),
}


def _destination(signal: Signal, settings: Settings, protocol: str) -> Destination:
    own = partial(_own, settings, signal)
    timeout = own("timeout") or settings.timeout
    if signal is Signal.METRICS and settings.metric_timeout:
        timeout = min(timeout, settings.metric_timeout)
    headers = own("headers")
    return Destination(
        url=_url(signal, settings, protocol),
        headers=settings.headers if headers is None else headers,
        timeout=timeout,
        gzip=(own("compression") or settings.compression) == "gzip",
        certificate=settings.certificate,
        client_certificate=settings.client_certificate,
        client_key=settings.client_key,
    )


def _own(settings: Settings, signal: Signal, name: str) -> Any:
    """The setting of this signal alone, such as `traces_timeout`."""
    return getattr(settings, f"{signal.value}_{name}")


def _url(signal: Signal, settings: Settings, protocol: str) -> str:
    own: str | None = _own(settings, signal, "endpoint")
    if own:
        return own
    base = settings.endpoint or DEFAULT_ENDPOINTS[protocol]
    return base if protocol == "grpc" else f"{base.rstrip('/')}/v1/{signal.value}"


def _http(_: Signal, destination: Destination) -> Transport:
    return HttpTransport(destination)


def _grpc(signal: Signal, destination: Destination) -> Transport:
    from blogauto_otel.export.grpc import GrpcTransport

    return GrpcTransport(signal, destination)


_TRANSPORTS: Final[Mapping[str, Callable[[Signal, Destination], Transport]]] = {"http/protobuf": _http, "grpc": _grpc}


def _place(signal: Signal, settings: Settings, destination: Destination) -> str:
    names: tuple[str, ...] = _own(settings, signal, "exporter")
    return ", ".join(_masked(destination.url) if name == "otlp" else name for name in names) or "nowhere"


def _masked(url: str) -> str:
    return re.sub(r"(?<=://)[^/@\s]*@", "****@", url)


def _exposes_credentials(destination: Destination) -> bool:
    parts = urlsplit(destination.url)
    return parts.scheme == "http" and bool(destination.headers or parts.username) and not _is_local(parts.hostname)


def _is_local(host: str | None) -> bool:
    if host is None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
