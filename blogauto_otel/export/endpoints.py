"""The endpoint and export configuration of each signal, by the rules of the OpenTelemetry specification.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import log_once
from blogauto_otel.config import Settings, option_of, warn_or_raise
from blogauto_otel.errors import MissingDependencyError
from blogauto_otel.export.transport import Destination, Transport
from blogauto_otel.export.transport.http import HttpTransport
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.location import is_loopback

_METRIC_ITEMS: Final = 100_000  # metrics of one collection


@dataclass(frozen=True)
class ExportConfig:
    """The configuration of one signal's export."""

    signal: Signal
    endpoint: str  # for people, without credentials
    destination: Destination
    transport: Callable[[], Transport]
    delay: float
    batch_items: int
    queue_items: int


def export_configs(settings: Settings) -> tuple[ExportConfig, ...]:
    """The configuration of the three signals.

    Raises:
        ConfigurationError: only when `strict` is set: the protocol needs a package that is missing.
    """
    missing = missing_for_protocol(settings)
    if missing is not None:
        warn_or_raise(settings, f"{missing}; using http/protobuf")
    configs = tuple(_export_config(signal, settings) for signal in Signal)
    for url in sorted({each.destination.url for each in configs if _exposes_credentials(each.destination)}):
        log_once(
            f"plain {url}",
            "%s is not encrypted, and the headers of OTEL_EXPORTER_OTLP_HEADERS are sent there; use https",
            _masked(url),
        )
    return configs


def missing_for_protocol(settings: Settings) -> MissingDependencyError | None:
    """The package that the protocols of the settings need and that is not installed."""
    for signal in Signal:
        name = _protocol_setting(settings, signal)
        protocol: str = getattr(settings, name)
        package = PROTOCOLS[protocol].package
        if package is not None and not package.is_installed:
            return MissingDependencyError(f"{option_of(name).variable}={protocol}", package.name, extra=package.extra)
    return None


def _protocol_setting(settings: Settings, signal: Signal) -> str:
    """The name of the setting that chooses the protocol of a signal."""
    return f"{signal.value}_protocol" if _signal_setting(settings, signal, "protocol") else "protocol"


def protocol_of(settings: Settings, signal: Signal) -> str:
    """The protocol of a signal: `http/protobuf` where the package of the chosen one is missing."""
    protocol: str = getattr(settings, _protocol_setting(settings, signal))
    package = PROTOCOLS[protocol].package
    return protocol if package is None or package.is_installed else "http/protobuf"


def _export_config(signal: Signal, settings: Settings) -> ExportConfig:
    protocol = protocol_of(settings, signal)
    destination = _destination(signal, settings, protocol)
    delay, batch_items, queue_items = _BATCH_SETTINGS[signal](settings)
    return ExportConfig(
        signal=signal,
        endpoint=_display_name(signal, settings, destination),
        destination=destination,
        transport=partial(PROTOCOLS[protocol].transport, signal, destination),
        delay=delay,
        batch_items=batch_items,
        queue_items=queue_items,
    )


_BATCH_SETTINGS: Final[Mapping[Signal, Callable[[Settings], tuple[float, int, int]]]] = {
    Signal.TRACES: lambda s: (s.span_delay, s.span_batch_items, s.span_queue_items),
    Signal.LOGS: lambda s: (s.log_delay, s.log_batch_items, s.log_queue_items),
    Signal.METRICS: lambda s: (s.metric_interval, _METRIC_ITEMS, _METRIC_ITEMS),
}


def _destination(signal: Signal, settings: Settings, protocol: str) -> Destination:
    own = partial(_signal_setting, settings, signal)
    timeouts = (own("timeout") or settings.timeout, getattr(settings, _EXPORT_TIMEOUTS[signal]))
    headers = own("headers")
    return Destination(
        url=_url(signal, settings, protocol),
        headers=settings.headers if headers is None else headers,
        timeout=min(filter(None, timeouts)),
        gzip=(own("compression") or settings.compression) == "gzip",
        certificate=own("certificate") or settings.certificate,
        client_certificate=own("client_certificate") or settings.client_certificate,
        client_key=own("client_key") or settings.client_key,
    )


_EXPORT_TIMEOUTS: Final[Mapping[Signal, str]] = {
    Signal.TRACES: "span_export_timeout",
    Signal.LOGS: "log_export_timeout",
    Signal.METRICS: "metric_timeout",
}


def _signal_setting(settings: Settings, signal: Signal, name: str) -> Any:
    """The setting of this signal only, such as `traces_timeout`."""
    return getattr(settings, f"{signal.value}_{name}")


def _url(signal: Signal, settings: Settings, protocol: str) -> str:
    own: str | None = _signal_setting(settings, signal, "endpoint")
    url = own or settings.endpoint or PROTOCOLS[protocol].default_endpoint
    if "://" not in url:  # `host:port`, legal for gRPC
        insecure = _signal_setting(settings, signal, "insecure")
        url = f"http://{url}" if (settings.insecure if insecure is None else insecure) else f"https://{url}"
    if own or not PROTOCOLS[protocol].has_paths:
        return url
    return f"{url.rstrip('/')}/v1/{signal.value}"


def _http(_: Signal, destination: Destination) -> Transport:
    return HttpTransport(destination)


def _grpc(signal: Signal, destination: Destination) -> Transport:
    from blogauto_otel.export.transport.grpc import GrpcTransport

    return GrpcTransport(signal, destination)


@dataclass(frozen=True)
class RequiredPackage:
    """What a protocol needs beside this package: a module, the package that has it, and our extra that installs it."""

    module: str
    name: str
    extra: str

    @property
    def is_installed(self) -> bool:
        """Whether the module can be found."""
        return importlib.util.find_spec(self.module) is not None


@dataclass(frozen=True)
class OtlpProtocol:
    """One protocol of OTLP: its transport, and the specification's default endpoint."""

    transport: Callable[[Signal, Destination], Transport]
    default_endpoint: str
    has_paths: bool = True  # `/v1/traces` and its siblings are added to a base URL
    package: RequiredPackage | None = None


# By the name in OTEL_EXPORTER_OTLP_PROTOCOL; `config.settings.Protocol` has the same names.
PROTOCOLS: Final[dict[str, OtlpProtocol]] = {
    "http/protobuf": OtlpProtocol(_http, "http://localhost:4318"),
    "grpc": OtlpProtocol(
        _grpc, "http://localhost:4317", has_paths=False, package=RequiredPackage("grpc", "grpcio", extra="grpc")
    ),
}


def _display_name(signal: Signal, settings: Settings, destination: Destination) -> str:
    names: tuple[str, ...] = _signal_setting(settings, signal, "exporter")
    return ", ".join(_masked(destination.url) if name == "otlp" else name for name in names) or "nowhere"


def _masked(url: str) -> str:
    return re.sub(r"(?<=://)[^/@\s]*@", "****@", url)


def _exposes_credentials(destination: Destination) -> bool:
    parts = urlsplit(destination.url)
    return parts.scheme == "http" and bool(destination.headers or parts.username) and not is_loopback(parts.hostname)
