"""A file of the spool: its name tells enough to count it, its head enough to know that nothing of it is missing."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Final

from blogauto_otel.errors import DamagedError
from blogauto_otel.otlp.signal import Signal

MAGIC: Final = b"BOS\x01"  # the last byte is the version
_HEAD: Final = struct.Struct("<4sI")  # magic, CRC32 of all that follows
_FACTS: Final = struct.Struct("<BBxxII")  # signal, packing, two bytes of nothing, items, bytes of the content
HEAD_SIZE: Final = _HEAD.size + _FACTS.size
_PLAIN, _ZLIB = 0, 1
_WORTH_PACKING: Final = 512  # bytes
_SIGNALS: Final = tuple(Signal)


@dataclass(frozen=True)
class StoredRequest:
    """What a file holds: an export request's body, ready to be sent, and how many items it has."""

    signal: Signal
    items: int
    content: bytes


def pack(kept: StoredRequest) -> bytes:
    """The bytes of a file."""
    packing, stored = _PLAIN, kept.content
    if len(stored) >= _WORTH_PACKING:
        packing, stored = _ZLIB, zlib.compress(stored, 1)
    facts = _FACTS.pack(_SIGNALS.index(kept.signal), packing, kept.items, len(kept.content))
    return _HEAD.pack(MAGIC, zlib.crc32(stored, zlib.crc32(facts))) + facts + stored


def unpack(data: bytes, *, max_content: int) -> StoredRequest:
    """What the bytes of a file say.

    Raises:
        DamagedError: they are torn, altered, somebody else's, or say that they hold more than `max_content` bytes.
    """
    if len(data) < HEAD_SIZE:
        raise DamagedError("torn")
    magic, checksum = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise DamagedError("not ours, or of another version")
    if zlib.crc32(memoryview(data)[_HEAD.size :]) != checksum:
        raise DamagedError("altered or torn")
    signal, packing, items, size = _FACTS.unpack_from(data, _HEAD.size)
    if signal >= len(_SIGNALS) or packing not in (_PLAIN, _ZLIB) or size > max_content:
        raise DamagedError("of another version, or too large")
    return StoredRequest(_SIGNALS[signal], items, _content(data[HEAD_SIZE:], packing, size))


def _content(stored: bytes, packing: int, size: int) -> bytes:
    if packing == _ZLIB:
        unpacker = zlib.decompressobj()
        try:
            stored = unpacker.decompress(stored, size + 1)
        except zlib.error as error:
            raise DamagedError(str(error)) from None
    if len(stored) != size:
        raise DamagedError("of another length than it says")
    return stored


# --- names -----------------------------------------------------------------------------------------------------------

# When by the calendar, in which boot of the machine and how long after it, by whom, the how manieth; how much of what;
# and, when somebody works on it, who. Sorted by name is sorted by age.
_NAME: Final = re.compile(
    r"(?P<stem>(?P<wall>\d{20})-(?P<boot>[0-9a-f]{8})-(?P<up>\d{1,15})-\d{1,10}-\d{6,12})"
    r"-(?P<items>\d{1,9})\.(?P<signal>traces|metrics|logs)"
    r"(?:\.(?P<state>claim|tmp|bad)(?:-(?P<owner>[0-9a-f-]{1,80}))?)?"
)

FREE, CLAIMED, UNFINISHED, DAMAGED = "", "claim", "tmp", "bad"


@dataclass(frozen=True)
class Name:
    """The parts of a file's name."""

    stem: str  # unique, and the same for as long as the file lives
    wall: int  # nanoseconds since 1970 when it was begun
    boot: str  # of which start of the machine
    up: int  # milliseconds since that
    items: int
    signal: Signal
    state: str = FREE
    owner: str = ""

    def __str__(self) -> str:
        name = f"{self.stem}-{self.items}.{self.signal.value}"
        if self.state:
            name += f".{self.state}"
        return f"{name}-{self.owner}" if self.owner else name

    def as_(self, state: str, owner: str = "") -> Name:
        """The name of the same file in another state."""
        return replace(self, state=state, owner=owner)


def parse(name: str) -> Name | None:
    """The parts of a name; None when it is not one of ours."""
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


def named(*, wall: int, boot: str, up: int, pid: int, serial: int, items: int, signal: Signal) -> Name:
    """A name for a new file."""
    return Name(f"{wall:020d}-{boot}-{up}-{pid}-{serial:06d}", wall, boot, up, items, signal)
