"""The format of a spool file: a name that can be counted unread, and a versioned header with a checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.errors import DamagedError, NewerVersionError
from blogauto_otel.otlp.signal import Signal

MAGIC: Final = b"BOS"  # the first bytes of every version; the version follows as one byte
VERSION: Final = 1  # the version that is written; to add one, add a reader to _READERS
_PREFIX_SIZE: Final = len(MAGIC) + 1

# Version 1: CRC32 of all that follows; signal, compression, two unused bytes, items, bytes of the content.
_CHECKSUM: Final = struct.Struct("<I")
_FIELDS: Final = struct.Struct("<BBxxII")
HEADER_SIZE: Final = _PREFIX_SIZE + _CHECKSUM.size + _FIELDS.size
_UNCOMPRESSED, _ZLIB = 0, 1
_MIN_COMPRESSED: Final = 512  # bytes; smaller contents are stored as they are
_SIGNALS: Final = tuple(Signal)


@dataclass(frozen=True)
class StoredRequest:
    """The body of an export request as it is stored, with its number of items."""

    signal: Signal
    items: int
    content: bytes


def encode(request: StoredRequest) -> bytes:
    """The bytes of a file, in the current version."""
    compression, stored = _UNCOMPRESSED, request.content
    if len(stored) >= _MIN_COMPRESSED:
        compression, stored = _ZLIB, zlib.compress(stored, 1)
    fields = _FIELDS.pack(_SIGNALS.index(request.signal), compression, request.items, len(request.content))
    checksum = _CHECKSUM.pack(zlib.crc32(stored, zlib.crc32(fields)))
    return MAGIC + bytes((VERSION,)) + checksum + fields + stored


def decode(data: bytes, *, max_content: int) -> StoredRequest:
    """The request that the bytes of a file hold, in any version up to the current one.

    Raises:
        DamagedError: they are torn, altered, not a spool file, or hold more than `max_content` bytes.
        NewerVersionError: their version is newer than those this package reads.
    """
    if len(data) < _PREFIX_SIZE or not data.startswith(MAGIC):
        raise DamagedError("torn, or not a spool file")
    version = data[len(MAGIC)]
    reader = _READERS.get(version)
    if reader is not None:
        return reader(data, max_content)
    if version > max(_READERS):
        raise NewerVersionError(f"version {version}; this package reads up to {max(_READERS)}")
    raise DamagedError(f"unknown version {version}")


def _read_version_1(data: bytes, max_content: int) -> StoredRequest:
    if len(data) < HEADER_SIZE:
        raise DamagedError("torn")
    (checksum,) = _CHECKSUM.unpack_from(data, _PREFIX_SIZE)
    if zlib.crc32(memoryview(data)[_PREFIX_SIZE + _CHECKSUM.size :]) != checksum:
        raise DamagedError("altered or torn")
    signal, compression, items, size = _FIELDS.unpack_from(data, _PREFIX_SIZE + _CHECKSUM.size)
    if signal >= len(_SIGNALS) or compression not in (_UNCOMPRESSED, _ZLIB) or size > max_content:
        raise DamagedError("unknown signal or compression, or too large")
    return StoredRequest(_SIGNALS[signal], items, _content(data[HEADER_SIZE:], compression, size))


def _content(stored: bytes, compression: int, size: int) -> bytes:
    if compression == _ZLIB:
        decompressor = zlib.decompressobj()
        try:
            stored = decompressor.decompress(stored, size + 1)
        except zlib.error as error:
            raise DamagedError(str(error)) from None
    if len(stored) != size:
        raise DamagedError("the length differs from the header's")
    return stored


_READERS: Final[Mapping[int, Callable[[bytes, int], StoredRequest]]] = {1: _read_version_1}


# --- names -----------------------------------------------------------------------------------------------------------

# Calendar time, boot id, uptime, pid, serial number; items; signal; and, while a process works on the file, its owner.
# The order by name is the order by age.
_NAME: Final = lazy_pattern(
    r"(?P<stem>(?P<wall>\d{20})-(?P<boot>[0-9a-f]{8})-(?P<up>\d{1,15})-\d{1,10}-\d{6,12})"
    r"-(?P<items>\d{1,9})\.(?P<signal>traces|metrics|logs)"
    r"(?:\.(?P<state>claim|tmp|bad)(?:-(?P<owner>[0-9a-f-]{1,80}))?)?"
)

FREE, CLAIMED, UNFINISHED, DAMAGED = "", "claim", "tmp", "bad"


@dataclass(frozen=True)
class Name:
    """The parts of a file's name."""

    stem: str  # unique, and the same in every state of the file
    wall: int  # nanoseconds since 1970 at creation
    boot: str  # boot id of the machine at creation
    up: int  # milliseconds since that boot
    items: int
    signal: Signal
    state: str = FREE
    owner: str = ""

    def __str__(self) -> str:
        name = f"{self.stem}-{self.items}.{self.signal.value}"
        if self.state:
            name += f".{self.state}"
        return f"{name}-{self.owner}" if self.owner else name

    def with_state(self, state: str, owner: str = "") -> Name:
        """The name of the same file in another state."""
        return replace(self, state=state, owner=owner)

    def with_items(self, items: int) -> Name:
        """The name of the same file with another number of items."""
        return replace(self, items=items)


def parse(name: str) -> Name | None:
    """The parts of a name; None when it is not the name of a spool file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    parts = match.groupdict(default="")
    return Name(
        stem=parts["stem"],
        wall=int(parts["wall"]),
        boot=parts["boot"],
        up=int(parts["up"]),
        items=int(parts["items"]),
        signal=Signal(parts["signal"]),
        state=parts["state"],
        owner=parts["owner"],
    )


def new_name(*, wall: int, boot: str, up: int, pid: int, serial: int, items: int, signal: Signal) -> Name:
    """A name for a new file."""
    return Name(f"{wall:020d}-{boot}-{up}-{pid}-{serial:06d}", wall, boot, up, items, signal)
