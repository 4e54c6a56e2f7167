"""A file of the spool is read whole, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blogauto_otel.errors import DamagedError
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.file_format import HEAD_SIZE, Name, StoredRequest, named, pack, parse, unpack

LIMIT = 2**20
PLAIN = pack(StoredRequest(Signal.TRACES, 3, b"short"))
PACKED = pack(StoredRequest(Signal.LOGS, 300, b"a long content, said again and again; " * 50))


@given(st.sampled_from(Signal), st.integers(0, 2**32 - 1), st.binary(max_size=3000))
def test_what_is_packed_is_unpacked(signal: Signal, items: int, content: bytes) -> None:
    kept = StoredRequest(signal, items, content)
    assert unpack(pack(kept), max_content=LIMIT) == kept


@pytest.mark.parametrize("data", [PLAIN, PACKED], ids=["plain", "packed"])
def test_every_prefix_is_torn(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(DamagedError):
            unpack(data[:end], max_content=LIMIT)


@pytest.mark.parametrize("data", [PLAIN, PACKED], ids=["plain", "packed"])
def test_every_flipped_bit_of_every_byte_is_noticed(data: bytes) -> None:
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(DamagedError):
                unpack(bytes(flipped), max_content=LIMIT)


@given(st.binary(max_size=200))
def test_anything_else_is_not_ours(data: bytes) -> None:
    for foreign in (data, PLAIN + data if data else b"", PLAIN[:HEAD_SIZE] + data):
        if foreign != PLAIN:
            with pytest.raises(DamagedError):
                unpack(foreign, max_content=LIMIT)


def test_a_file_that_unpacks_to_more_than_it_may_is_refused_before_it_does() -> None:
    bomb = pack(StoredRequest(Signal.TRACES, 1, bytes(50_000_000)))
    assert len(bomb) < 300_000
    with pytest.raises(DamagedError):
        unpack(bomb, max_content=LIMIT)


def test_content_that_repeats_itself_is_packed() -> None:
    assert len(PACKED) < 200


A_NAME = named(wall=17 * 10**17, boot="0badcafe", up=123456, pid=77, serial=5, items=2048, signal=Signal.LOGS)


def test_a_name_says_when_who_and_how_much() -> None:
    assert str(A_NAME) == "01700000000000000000-0badcafe-123456-77-000005-2048.logs"
    assert str(A_NAME.as_("claim", "77-12-ab-1")) == str(A_NAME) + ".claim-77-12-ab-1"


@pytest.mark.parametrize(
    "name", [A_NAME, A_NAME.as_("claim", "77-12-ab-1"), A_NAME.as_("tmp", "77-12-ab-1"), A_NAME.as_("bad")], ids=str
)
def test_a_name_is_read_back(name: Name) -> None:
    assert parse(str(name)) == name
    assert parse(str(name.as_(""))) == A_NAME


@given(st.text(max_size=100))
def test_another_name_is_not_ours(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "text", ["notes.txt", ".drain.lock", str(A_NAME) + ".old", "../" + str(A_NAME), str(A_NAME) + "\n"]
)
def test_a_name_that_nearly_is_ours_is_not(text: str) -> None:
    assert parse(text) is None


def test_names_sort_by_age() -> None:
    later = named(wall=A_NAME.wall + 1, boot="0", up=0, pid=1, serial=1, items=1, signal=Signal.LOGS)
    assert sorted([later.stem, A_NAME.stem]) == [A_NAME.stem, later.stem]
