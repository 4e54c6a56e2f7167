"""Trusted senders, by network address, with the proxies between sender and server taken into account.

A proxy has an address of its own network, whatever it forwards. A forwarded request is therefore trusted by the address
that it was forwarded for: the nearest one that is not trusted, in the order in which the proxies added them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from blogauto_otel._memo import BoundedMemo

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

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
UNIX: Final = ""  # the address of a peer on a Unix socket
TEST_CLIENT: Final = "testclient"  # of Starlette's

FORWARDED_FOR: Final = b"x-forwarded-for"
FORWARDED: Final = b"forwarded"
VIA: Final = b"via"

_FIXED: Final[Mapping[tuple[str, ...], bool]] = {("always",): True, ("never",): False}
_NAMES: Final[Mapping[str, str]] = {"unix": UNIX, "testclient": TEST_CLIENT}
_WORDS: Final = frozenset({"always", "never", "private", *_NAMES})

MAX_PEERS: Final = 4096
MAX_ADDRESS_LENGTH: Final = 64
MAX_HOPS: Final = 32

UNTRUSTED, INTERNAL, GATEWAY = range(3)  # 0 is what an unknown name gets


class Peers:
    """Trusts every sender, none, private networks, or listed senders with everything that they forward.

    Args:
        trusted: The value of `BLOGAUTO_OTEL_TRUST_INCOMING`.
        gateways: Listed senders are trusted with everything they forward; otherwise they count as private networks.
    """

    def __init__(self, trusted: tuple[str, ...], *, gateways: bool = True) -> None:
        self._fixed = _FIXED.get(trusted)
        self._listed = GATEWAY if gateways else INTERNAL
        private = PRIVATE if "private" in trusted else ()
        self._private = tuple(map(ipaddress.ip_network, private))
        self._networks = tuple(ipaddress.ip_network(name) for name in trusted if name not in _WORDS)
        self._names = {_NAMES[name]: self._listed for name in trusted if name in _NAMES}
        self._known: BoundedMemo[str, int] = BoundedMemo(MAX_PEERS)

    def trust(self, client: tuple[str, int] | None, headers: Headers) -> bool:
        """Whether the sender is trusted; one without an address, as on a Unix socket, is not unless it is listed."""
        if self._fixed is not None:
            return self._fixed
        peer = client[0] if client and client[0] else UNIX
        chains = tuple(_forwarded_for(headers))
        if not chains:
            return self._kind_of(peer) != UNTRUSTED
        return all(self._is_chain_trusted(peer, chain) for chain in chains)

    def _is_chain_trusted(self, peer: str, chain: list[str]) -> bool:
        """Whether the chain of proxies reaches a gateway, or ends, before an untrusted address."""
        kind = self._kind_of(peer)
        if kind == GATEWAY:
            return True
        if kind == UNTRUSTED and peer != UNIX:
            return False
        for address in reversed(chain[-MAX_HOPS:]):
            kind = self._kind_of(address)
            if kind != INTERNAL:
                return kind == GATEWAY
        return 0 < len(chain) <= MAX_HOPS

    def _kind_of(self, address: str) -> int:
        named = self._names.get(address)
        if named is not None or len(address) > MAX_ADDRESS_LENGTH:
            return named or UNTRUSTED
        known = self._known.get(address)
        if known is None:
            known = self._known.remember(address, self._look_up(address))
        return known

    def _look_up(self, host: str) -> int:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:  # a proxy's header may bring any text here
            return UNTRUSTED
        mapped = getattr(address, "ipv4_mapped", None) or address
        if any(mapped in network for network in self._networks):
            return self._listed
        return INTERNAL if any(mapped in network for network in self._private) else UNTRUSTED


def build_client_peers(trusted: tuple[str, ...]) -> Peers:
    """Trust clients on private networks and on the listed ones, and not because a gateway forwards for them."""
    listed = (name for name in trusted if name not in {"always", "never", "private"})
    return Peers(("private", *listed), gateways=False)


# --- forwarded headers ------------------------------------------------------------------------------------------------


def _forwarded_for(headers: Headers) -> Iterator[list[str]]:
    """The addresses that the request was forwarded for, nearest last: one list per header.

    A question mark stands for a hop without an address, and an empty list for a proxy that names none.
    """
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in {FORWARDED_FOR, FORWARDED, VIA}:
            found.setdefault(name, []).append(value.decode("latin-1"))
    for name, address_of in ((FORWARDED_FOR, _without_port), (FORWARDED, _for_parameter)):
        if name in found:
            yield [address_of(hop.strip()) for hop in ",".join(found[name]).split(",")[-MAX_HOPS - 1 :]]
    if found.keys() == {VIA}:
        yield []


def _without_port(text: str) -> str:
    """`203.0.113.7:1234`, `[2001:db8::1]:1234`, or the address alone."""
    if text.startswith("["):
        return text[1:].partition("]")[0] or "?"
    if text.count(":") == 1:
        text = text.partition(":")[0]
    return text or "?"


def _for_parameter(element: str) -> str:
    """What `for=` says in one element of `Forwarded` (RFC 7239)."""
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return _without_port(value.strip('"'))
    return "?"
