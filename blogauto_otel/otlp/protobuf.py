"""The protobuf wire format: the few byte patterns that OTLP uses.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from blogauto_otel.errors import MalformedError

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

DOUBLE: Final = struct.Struct("<d").pack
U64: Final = struct.Struct("<Q").pack

_MASK: Final = 2**64 - 1


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


# Lengths are almost always below this: a look-up instead of a loop.
SMALL: Final = tuple(_varint(value) for value in range(1024))
_SMALL: Final = len(SMALL)


def varint(value: int) -> bytes:
    """An integer from -2**63 to 2**64 - 1; a negative one takes ten bytes, as in int64."""
    return SMALL[value] if 0 <= value < _SMALL else _varint(value & _MASK)


def zigzag(value: int) -> bytes:
    """A signed number, as sint32 and sint64 encode it."""
    return varint((value << 1) ^ (value >> 63))


def tag(field: int, kind: int) -> bytes:
    """The tag before a value: field number and wire type."""
    return _varint(field << 3 | kind)


def message(tag_: bytes, content: bytes) -> bytes:
    """A length-delimited field: a message, a string or bytes."""
    return tag_ + varint(len(content)) + content


# --- reading: responses are untrusted, so everything is checked ----------------------------------------------------


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number, and an integer or the bytes of a length-delimited value.

    Raises:
        MalformedError: the bytes end in the middle of a field, or use a wire type that OTLP does not.
    """
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == VARINT:
            value, position = _read_varint(data, position)
            yield key >> 3, value
            continue
        if kind == LENGTH:
            length, position = _read_varint(data, position)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise MalformedError(f"wire type {kind}")
        content = data[position : position + length]
        if len(content) != length:
            raise MalformedError("truncated")
        position += length
        yield key >> 3, content if kind == LENGTH else int.from_bytes(content, "little")


_FIXED: Final = {FIXED64: 8, FIXED32: 4}


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if position >= len(data):
            raise MalformedError("truncated")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK, position
        shift += 7
    raise MalformedError("number too long")


def signed(value: int) -> int:
    """An int64 that was read as an unsigned number."""
    return value - 2**64 if value >= 2**63 else value
