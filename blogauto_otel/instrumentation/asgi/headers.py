"""What is taken from the headers of a request: its id, and the trace it belongs to if whoever sends it is trusted."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry.context import Context

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.asgi.protocol import Scope

REQUEST_ID: Final = b"x-request-id"
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")

# Loopback, private use (RFC 1918, RFC 4193), link-local. `ipaddress.is_private` has more, such as documentation.
PRIVATE: Final = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
_FIXED: Final[Mapping[tuple[str, ...], bool]] = {("always",): True, ("never",): False}
MAX_PEERS: Final = 4096


class Peers:
    """Whose trace context is believed: everybody's, nobody's, or that of some networks."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._fixed = _FIXED.get(trusted)
        networks = PRIVATE if trusted == ("private",) else () if self._fixed is not None else trusted
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)
        self._known: dict[str, bool] = {}

    def trusts(self, client: tuple[str, int] | None) -> bool:
        """Whether this peer of the connection is believed; one without an address is a Unix socket, hence local."""
        if self._fixed is not None:
            return self._fixed
        host = client[0] if client else ""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= MAX_PEERS:
                self._known.clear()
            known = self._known[host] = not host or self._holds(host)
        return known

    def _holds(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:  # a proxy's X-Forwarded-For may bring any text here
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)


class Headers:
    """Reads request ids and trace context with one look at the headers."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._peers = Peers(trusted)
        self._context_names = frozenset(name.lower().encode() for name in propagate.get_global_textmap().fields)

    def read(self, scope: Scope) -> tuple[bytes, Context | None]:
        """The request's id, taken over when well-formed and made up otherwise, and the context it brings, if any."""
        request_id = None
        brings_context = False
        names = self._context_names
        headers = scope["headers"]
        if type(headers) is not list:  # any iterable will do, also one that can be read only once
            headers = scope["headers"] = list(headers)
        for name, value in headers:
            if name in names:
                brings_context = True
            elif name == REQUEST_ID and request_id is None and _WELL_FORMED.fullmatch(value):
                request_id = value
        context = None
        if brings_context and self._peers.trusts(scope.get("client")):
            with guard("reading the trace context of a request"):
                context = propagate.extract(_carrier(headers), otel_context.get_current())
        return request_id or uuid.uuid4().hex.encode("ascii"), context


def _carrier(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The headers as the propagators want them; one that comes several times is one list (RFC 9110, section 5.3)."""
    carrier: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
    return carrier


def header(scope: Scope, wanted: bytes) -> str | None:
    """The first value of one header."""
    headers: Iterable[tuple[Any, Any]] = scope["headers"]
    for name, value in headers:
        if name == wanted:
            text: str = value.decode("latin-1")
            return text
    return None
