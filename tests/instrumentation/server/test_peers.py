"""Which senders are trusted, by address, by setting, and through proxies."""

from __future__ import annotations

import pytest

from blogauto_otel.instrumentation.server.peers import MAX_HOPS, MAX_PEERS, Peers, build_client_peers
from testkit.requests import LOCAL, PUBLIC

Client = tuple[str, int] | None
INSIDE = ("10.0.0.2", 4711)

NETWORKS: dict[str, dict[Client, bool]] = {
    "private": {
        LOCAL: True,
        None: False,
        ("", 0): False,
        ("10.1.2.3", 1): True,
        ("172.31.255.1", 1): True,
        ("172.32.0.1", 1): False,
        ("192.168.0.9", 1): True,
        ("::1", 1): True,
        ("fe80::1%eth0", 1): True,
        ("fd00::1", 1): True,
        ("::ffff:10.0.0.1", 1): True,
        ("::ffff:203.0.113.7", 1): False,
        ("100.64.0.1", 1): False,
        ("2001:db8::1", 1): False,
        ("unknown", 0): False,
        ("testclient", 0): False,
        ("127.0.0.1.evil.example", 0): False,
        ("1" * 10_000, 0): False,
        PUBLIC: False,
    },
    "always": {PUBLIC: True, ("unknown", 0): True, None: True},
    "never": {LOCAL: False, None: False},
    "203.0.113.0/24": {PUBLIC: True, LOCAL: False, ("203.0.114.1", 1): False},
    "private,100.64.0.0/10": {("100.64.0.1", 1): True, LOCAL: True, PUBLIC: False},
    "private,testclient": {("testclient", 0): True, LOCAL: True, PUBLIC: False},
    "unix": {None: True, ("", 0): True, LOCAL: False},
}


def peers(setting: str) -> Peers:
    return Peers(tuple(setting.split(",")))


@pytest.mark.parametrize(
    ("setting", "client", "trusted"),
    [(setting, client, trusted) for setting, clients in NETWORKS.items() for client, trusted in clients.items()],
    ids=lambda value: str(value)[:40],
)
def test_a_sender_is_trusted_by_its_address(setting: str, client: Client, *, trusted: bool) -> None:
    assert peers(setting).trust(client, []) is trusted


FORWARDED: dict[str, dict[tuple[str, str], bool]] = {
    "private": {
        ("x-forwarded-for", "203.0.113.7"): False,
        ("x-forwarded-for", "10.0.0.9"): True,
        ("x-forwarded-for", "10.0.0.9:5000"): True,
        ("x-forwarded-for", "[fd00::1]:5000"): True,
        ("x-forwarded-for", "fd00::1"): True,
        ("x-forwarded-for", "127.0.0.1, 203.0.113.7"): False,
        ("x-forwarded-for", "203.0.113.7, 10.0.0.9"): False,
        ("x-forwarded-for", ""): False,
        ("x-forwarded-for", "unknown"): False,
        ("x-forwarded-for", ", ".join(["10.0.0.9"] * (MAX_HOPS + 1))): False,
        ("forwarded", "for=203.0.113.7;proto=https"): False,
        ("forwarded", "for=10.0.0.9;proto=https"): True,
        ("forwarded", 'proto=https;For="[fd00::1]:4711", for=10.0.0.9'): True,
        ("forwarded", "for=_hidden"): False,
        ("forwarded", "proto=https"): False,
        ("forwarded", ""): False,
        ("via", "1.1 proxy"): False,
    },
    "private,10.0.0.2/32": {
        ("x-forwarded-for", "203.0.113.7"): True,
        ("via", "1.1 gateway"): True,
    },
    "private,10.0.0.9/32": {
        ("x-forwarded-for", "203.0.113.7, 10.0.0.9"): True,
        ("x-forwarded-for", "10.0.0.9, 203.0.113.7"): False,
    },
    "always": {("x-forwarded-for", "203.0.113.7"): True},
}


@pytest.mark.parametrize(
    ("setting", "header", "trusted"),
    [(setting, header, trusted) for setting, headers in FORWARDED.items() for header, trusted in headers.items()],
    ids=lambda value: str(value)[:60],
)
def test_a_forwarded_request_is_trusted_by_the_address_of_its_client(
    setting: str, header: tuple[str, str], *, trusted: bool
) -> None:
    name, value = header
    assert peers(setting).trust(INSIDE, [(name.encode(), value.encode())]) is trusted


def test_every_header_that_names_the_client_must_name_a_trusted_one() -> None:
    both = [(b"x-forwarded-for", b"10.0.0.9"), (b"forwarded", b"for=203.0.113.7")]
    assert not peers("private").trust(INSIDE, both)
    assert peers("private").trust(INSIDE, [both[0], (b"via", b"1.1 proxy")])


def test_a_header_that_comes_twice_is_one_list() -> None:
    twice = [(b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-for", b"10.0.0.9")]
    assert not peers("private").trust(INSIDE, twice)


def test_an_untrusted_sender_cannot_name_its_client() -> None:
    assert not peers("private").trust(PUBLIC, [(b"x-forwarded-for", b"127.0.0.1")])


def test_a_proxy_on_a_unix_socket_is_seen_through() -> None:
    for address, trusted in ((b"10.0.0.9", True), (b"203.0.113.7", False)):
        assert peers("private").trust(None, [(b"x-forwarded-for", address)]) is trusted


def test_what_a_gateway_forwards_is_not_trusted_as_a_client() -> None:
    trusting = build_client_peers(("private", "100.64.0.0/10"))
    assert trusting.trust(("100.64.0.1", 1), [])
    assert not trusting.trust(("100.64.0.1", 1), [(b"x-forwarded-for", b"203.0.113.7")])
    assert not build_client_peers(("always",)).trust(PUBLIC, [])
    assert build_client_peers(("never",)).trust(LOCAL, [])


def test_a_flood_of_addresses_does_not_increase_memory() -> None:
    trusting = peers("private")
    for number in range(MAX_PEERS + 100):
        assert not trusting.trust((f"2001:db8::{number:x}", 1), [])
    assert len(trusting._known) <= MAX_PEERS
