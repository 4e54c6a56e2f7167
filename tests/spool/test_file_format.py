"""Spool files: the versioned format, and the names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blogauto_otel.errors import DamagedError, NewerVersionError
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool import file_format
from blogauto_otel.spool.file_format import (
    HEADER_SIZE,
    MAGIC,
    Name,
    StoredRequest,
    decode,
    encode,
    new_name,
    parse,
)

LIMIT = 2**20
PLAIN = encode(StoredRequest(Signal.TRACES, 3, b"short"))
COMPRESSED = encode(StoredRequest(Signal.LOGS, 300, b"a long content, said again and again; " * 50))


@given(st.sampled_from(Signal), st.integers(0, 2**32 - 1), st.binary(max_size=3000))
def test_an_encoded_request_is_decoded(signal: Signal, items: int, content: bytes) -> None:
    request = StoredRequest(signal, items, content)
    assert decode(encode(request), max_content=LIMIT) == request


@pytest.mark.parametrize("data", [PLAIN, COMPRESSED], ids=["plain", "compressed"])
def test_every_prefix_is_damaged(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(DamagedError):
            decode(data[:end], max_content=LIMIT)


@pytest.mark.parametrize("data", [PLAIN, COMPRESSED], ids=["plain", "compressed"])
def test_every_flipped_bit_of_every_byte_is_detected(data: bytes) -> None:
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(NewerVersionError if position == len(MAGIC) and flipped[position] > 1 else DamagedError):
                decode(bytes(flipped), max_content=LIMIT)


def test_a_file_of_an_older_version_is_read_by_the_reader_of_that_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_version_2(data: bytes, max_content: int) -> StoredRequest:
        return StoredRequest(Signal.METRICS, 2, data[len(MAGIC) + 1 :][:max_content])

    monkeypatch.setitem(file_format._READERS, 2, read_version_2)
    assert decode(MAGIC + b"\x02the next format", max_content=8) == StoredRequest(Signal.METRICS, 2, b"the next")
    assert decode(PLAIN, max_content=LIMIT) == StoredRequest(Signal.TRACES, 3, b"short")


def test_a_file_of_a_newer_version_raises_its_own_error() -> None:
    with pytest.raises(NewerVersionError, match="version 2; this package reads up to 1"):
        decode(MAGIC + b"\x02the next format", max_content=LIMIT)


def test_the_first_version_is_read_as_it_was_written_then() -> None:
    stored = bytes.fromhex("424f5301 83bfb877 00 00 0000 03000000 05000000") + b"short"
    assert decode(stored, max_content=LIMIT) == StoredRequest(Signal.TRACES, 3, b"short")


@given(st.binary(max_size=200))
def test_other_bytes_are_damaged(data: bytes) -> None:
    for foreign in (data, PLAIN + data if data else b"", PLAIN[:HEADER_SIZE] + data):
        if foreign != PLAIN:
            with pytest.raises(DamagedError):
                decode(foreign, max_content=LIMIT)


def test_a_file_that_decompresses_beyond_the_limit_is_refused_before_it_does() -> None:
    bomb = encode(StoredRequest(Signal.TRACES, 1, bytes(50_000_000)))
    assert len(bomb) < 300_000
    with pytest.raises(DamagedError):
        decode(bomb, max_content=LIMIT)


def test_repetitive_content_is_compressed() -> None:
    assert len(COMPRESSED) < 200


A_NAME = new_name(wall=17 * 10**17, boot="0badcafe", up=123456, pid=77, serial=5, items=2048, signal=Signal.LOGS)


def test_a_name_holds_time_owner_and_size() -> None:
    assert str(A_NAME) == "01700000000000000000-0badcafe-123456-77-000005-2048.logs"
    assert str(A_NAME.with_state("claim", "77-12-ab-1")) == str(A_NAME) + ".claim-77-12-ab-1"


@pytest.mark.parametrize(
    "name",
    [
        A_NAME,
        A_NAME.with_state("claim", "77-12-ab-1"),
        A_NAME.with_state("tmp", "77-12-ab-1"),
        A_NAME.with_state("bad"),
    ],
    ids=str,
)
def test_a_name_is_parsed_back(name: Name) -> None:
    assert parse(str(name)) == name
    assert parse(str(name.with_state(""))) == A_NAME


@given(st.text(max_size=100))
def test_other_names_are_not_parsed(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "text", ["notes.txt", ".drain.lock", str(A_NAME) + ".old", "../" + str(A_NAME), str(A_NAME) + "\n"]
)
def test_names_that_are_nearly_right_are_not_parsed(text: str) -> None:
    assert parse(text) is None


def test_names_sort_by_age() -> None:
    later = new_name(wall=A_NAME.wall + 1, boot="0", up=0, pid=1, serial=1, items=1, signal=Signal.LOGS)
    assert sorted([later.stem, A_NAME.stem]) == [A_NAME.stem, later.stem]
