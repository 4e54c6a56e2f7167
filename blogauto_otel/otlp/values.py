"""Encodes any Python value as an OTLP value: redacted, bounded, without raising."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Protocol, TypeVar

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import is_foreign, swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.otlp.protobuf import DOUBLE, LENGTH, message, tag, varint

K = TypeVar("K")
V = TypeVar("V")

UNSERIALISABLE: Final = "<unserialisable>"
STACKTRACE: Final = "exception.stacktrace"

MAX_DEPTH: Final = 8  # of nested lists and maps
MAX_NODES: Final = 1000  # values inside one value
MAX_KEY: Final = 256  # characters
MAX_BITS: Final = 4096  # of a whole number that is written as text: the conversion takes quadratic time

# Text is redacted before it is cut, together with this many characters after the cut: half a secret matches no pattern.
SLACK: Final = 4096

# Short values repeat (methods, routes, ports): their encoding is cached, within these bounds.
CACHED_VALUES: Final = 4096
CACHED_OF_KEY: Final = 256  # of them under one key
CACHED_LENGTH: Final = 128

CACHED_NAMES: Final = 2048
MAX_NAME: Final = 1024  # characters of a name, a description or a unit

# Ids are random: their encoding is not cached.
_ID_LENGTH: Final = 32
is_random_id: Final = re.compile("[0-9a-f]{32}").fullmatch

ITEM: Final = tag(2, LENGTH)  # an item in ScopeSpans, ScopeLogs and ScopeMetrics

_MAX_U64: Final = 2**64 - 1


class ValueRedactor(Protocol):
    """The interface of `blogauto_otel.redaction.Redactor` that encoding uses."""

    # Optional, `knows_ids`: whether a random id (`is_random_id`) is replaced depends on its key alone.

    def text(self, value: str) -> str:
        """Replace secrets in free text; the same object when there are none."""

    def value(self, key: str, value: object) -> object:
        """Replace a secret by its key, or secrets inside the value; the same object when there are none.

        Whether a number is replaced depends on its key alone.
        """


class _NoRedaction:
    def text(self, value: str) -> str:
        return value

    def value(self, key: str, value: object) -> object:  # noqa: ARG002 - the interface
        return value


# For names that libraries give themselves, and for values that are redacted later.
NO_REDACTION: Final = _NoRedaction()


@dataclass(frozen=True)
class TextLimits:
    """Maximum lengths of texts, in characters."""

    attribute: int = 4096
    stacktrace: int = 16_384
    text: int = 4096  # of what is no attribute: bodies, status descriptions

    @classmethod
    def of_attributes(cls, length: int) -> TextLimits:
        """The given limit for attribute values; stack traces and other text have at least their default."""
        return cls(attribute=length, stacktrace=max(length, cls.stacktrace), text=max(length, cls.text))

    def for_key(self, key: str) -> int:
        """The limit for the value of this attribute."""
        return self.stacktrace if key == STACKTRACE else self.attribute


def shorten(text: str, limit: int, *, key: str = "") -> str:
    """The first `limit` characters; of a stack trace the beginning and, mostly, the end, which names the error."""
    if len(text) <= limit:
        return text
    if key != STACKTRACE:
        return text[:limit]
    gap = f"... {len(text) - limit} characters cut ...\n"
    # Whole lines only: half a secret matches no pattern.
    head = text.rfind("\n", 0, limit // 4) + 1
    tail = text.find("\n", len(text) - (limit - head - len(gap))) + 1
    return text[:head] + gap + text[tail:] if head and tail else text[:limit]


def utf8(text: str) -> bytes:
    """UTF-8, with lone surrogates escaped: a receiver rejects a whole request because of one of them."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


class Plain:
    """Converts a value to text, numbers, bytes, lists and dicts of bounded size; `cut`: it was shortened."""

    __slots__ = ("_key", "_limit", "_nodes", "_redactor", "cut")

    def __init__(self, redactor: ValueRedactor, limit: int, key: str = "") -> None:
        self._redactor = redactor
        self._limit = limit
        self._key = key
        self._nodes = 0
        self.cut = False

    def convert(self, value: Any, depth: int = 0) -> object:
        """The plain value; `<unserialisable>` for a value that cannot be read or is nested too deep."""
        self._nodes += 1
        if depth > MAX_DEPTH:
            self.cut = True
            return UNSERIALISABLE
        try:
            return self._convert(value, depth)
        except BaseException as error:  # `__str__`, `__iter__` and the like may raise anything
            if not is_foreign(error):
                raise
            return UNSERIALISABLE

    def _convert(self, value: Any, depth: int) -> object:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, int):
            return _number(int.__int__(value))
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(value)
        if isinstance(value, Mapping):
            pairs = self._bounded(value.items())
            return {key_text(key): self.convert(item, depth + 1) for key, item in pairs}
        if isinstance(value, (Sequence, AbstractSet)):
            if isinstance(value, tuple) and hasattr(value, "_asdict"):  # field names may mark secrets
                return self._convert(value._asdict(), depth)
            return [self.convert(item, depth + 1) for item in self._bounded(value)]
        return self.text(str(value))

    def text(self, value: str) -> str:
        """The text, cut to the limit plus the slack that redaction needs."""
        if len(value) <= self._limit:
            return value
        self.cut = True
        return shorten(value, self._limit + (0 if self._key == STACKTRACE else SLACK), key=self._key)

    def _bytes(self, value: bytes | bytearray | memoryview) -> bytes | str:
        content = bytes(value[: self._limit + SLACK])
        self.cut |= len(content) > self._limit
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return content[: self._limit]
        redacted = self._redactor.text(text)  # bytes may hold secrets too
        return content[: self._limit] if redacted is text else redacted

    def _bounded(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if self._nodes >= MAX_NODES:
                self.cut = True
                return
            yield item


def key_text(key: object) -> str:
    """A key as text, cut to the limit plus the slack that redaction needs."""
    try:
        text = str.__str__(key) if isinstance(key, str) else str(key)
    except BaseException as error:
        if not is_foreign(error):
            raise
        return UNSERIALISABLE
    return text[: MAX_KEY + SLACK]


def _number(value: int) -> int | str:
    if -(2**63) <= value < 2**63:
        return value
    return str(value) if value.bit_length() <= MAX_BITS else UNSERIALISABLE


# --- AnyValue, KeyValue -----------------------------------------------------------------------------------------------

_STRING: Final = tag(1, LENGTH)
_BOOL: Final = (b"\x10\x00", b"\x10\x01")
_INT: Final = b"\x18"
_DOUBLE: Final = b"\x21"
_ARRAY: Final = tag(5, LENGTH)
_MAP: Final = tag(6, LENGTH)
_BYTES: Final = tag(7, LENGTH)
_ITEM: Final = tag(1, LENGTH)
_KEY: Final = tag(1, LENGTH)
_VALUE: Final = tag(2, LENGTH)


_NUMBERS: Final = frozenset((int, float, bool))  # by exact type


def any_value(value: Any, limit: int, key: str = "") -> bytes:
    """An AnyValue, without tag and length, of a plain value."""
    kind = type(value)
    if kind is str:
        return message(_STRING, utf8(shorten(value, limit, key=key)))
    if kind is bool:
        return _BOOL[value]
    if kind is int:
        return _INT + varint(value)
    if kind is float:
        return _DOUBLE + DOUBLE(value)
    if kind is bytes:
        return message(_BYTES, value)
    if kind is dict:
        return message(_MAP, b"".join([message(_ITEM, key_value(k, v, limit)) for k, v in value.items()]))
    if kind is list or kind is tuple:
        return message(_ARRAY, b"".join([message(_ITEM, any_value(item, limit)) for item in value]))
    return b"" if value is None else any_value(UNSERIALISABLE, limit)


def key_value(key: str, value: object, limit: int) -> bytes:
    """A KeyValue, without tag and length, of a plain value."""
    return message(_KEY, utf8(key[:MAX_KEY])) + message(_VALUE, any_value(value, limit, key))


class _Cache(dict[K, V]):
    """A dict that has a value for what it does not hold; a look-up is one step of the interpreter."""

    __slots__ = ("_missing",)

    def __init__(self, missing: V) -> None:
        self._missing = missing

    def __missing__(self, key: K) -> V:
        return self._missing


_NOTHING: Final[_Cache[Any, bytes | None]] = _Cache(None)


class AttributeEncoder:
    """Encodes attributes as one repeated field, and caches the encoding of short values without secrets.

    Each key has a cache of its own, so that values which a client makes up evict none but their own.
    """

    __slots__ = (
        "_count",
        "_heads",
        "_id_heads",
        "_keys",
        "_knows_ids",
        "_limits",
        "_redactor",
        "_tag",
        "_text_heads",
        "_values",
    )

    def __init__(self, field: int, redactor: ValueRedactor, limits: TextLimits) -> None:
        self._tag = tag(field, LENGTH)
        self._redactor = redactor
        self._limits = limits
        self._values: _Cache[str, _Cache[Any, bytes | None]] = _Cache(_NOTHING)
        self._count = 0  # of them all
        self._knows_ids = getattr(redactor, "knows_ids", False)
        self._id_heads: BoundedMemo[str, bytes] = BoundedMemo(CACHED_NAMES)
        self._keys: BoundedMemo[str, bytes] = BoundedMemo(CACHED_VALUES)
        self._text_heads: BoundedMemo[tuple[str, int], bytes] = BoundedMemo(CACHED_NAMES)
        self._heads: BoundedMemo[str, bytes] = BoundedMemo(CACHED_NAMES)

    def append(self, parts: list[bytes], attributes: Mapping[str, Any] | None) -> bool:
        """Append the encoded attributes to `parts`; True when a value was cut."""
        if not attributes:
            return False
        cut = False
        of_key, id_heads = self._values, self._id_heads
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                head = id_heads.get(key)
                if head is not None and is_random_id(value):  # each request has another
                    parts.append(head + value.encode())
                    continue
                cached = of_key[key][value]
                if cached is not None:
                    parts.append(cached)
                    continue
            elif kind in _NUMBERS and type(key) is str and self._append_number(parts, key, value):
                continue
            cut |= self._append_new(parts, key, value)
        return cut

    def _append_number(self, parts: list[bytes], key: str, value: float) -> bool:
        """Append an attribute whose value needs no look; False when its key or its size need one."""
        head = self._heads.get(key)
        if head is None:
            head = self._number_head(key)
        if not head:
            return False
        if type(value) is int:
            if not -(2**63) <= value < 2**63:
                return False
            encoded = _INT + varint(value)
        else:
            encoded = _DOUBLE + DOUBLE(value) if type(value) is float else _BOOL[bool(value)]
        parts.append(message(self._tag, head + message(_VALUE, encoded)))
        return True

    def _number_head(self, key: str) -> bytes:
        """The encoded key of numbers that may leave; empty for the name of a secret, which hides its numbers too."""
        may_leave = key and len(key) < CACHED_LENGTH and self._redactor.value(key, 0) == 0
        head = self._key(key) if may_leave else b""
        return self._heads.remember(key, head) if len(key) < CACHED_LENGTH else head

    def flag(self, key: str) -> bytes:
        """The attribute `key` = true."""
        return message(self._tag, key_value(key, True, 0))

    def _append_new(self, parts: list[bytes], key: object, value: object) -> bool:
        try:
            if type(value) is not str or type(key) is not str or not key or len(value) > self._limits.attribute:
                return self._append_safely(parts, key_text(key), value)
            if self._redactor.value(key, value) is not value:
                return self._append_safely(parts, key, value)
            data = utf8(value)
            size = len(data)
            if size == _ID_LENGTH and self._knows_ids and is_random_id(value):
                parts.append(self._id_heads.remember(key, self._text_head(key, size)) + data)
                return False
            encoded = (self._text_heads.get((key, size)) or self._text_head(key, size)) + data
            parts.append(encoded)
            if len(encoded) < CACHED_LENGTH:
                self._remember(key, value, encoded)
            return False
        except BaseException as error:
            if not swallow("encoding an attribute", error):
                raise
            return False

    def _append_safely(self, parts: list[bytes], key: str, value: object) -> bool:
        if not key:
            return False
        limit = self._limits.for_key(key)
        original, cut = value, False
        if type(value) is not str or len(value) > limit:  # nearly every value is short text
            plain = Plain(self._redactor, limit, key)
            original = plain.convert(value)
            cut = plain.cut
        redacted = self._redactor.value(key, original)
        parts.append(message(self._tag, self._key(key) + message(_VALUE, any_value(redacted, limit, key))))
        return cut

    def _remember(self, key: str, value: Any, encoded: bytes) -> None:
        of_key = self._values.get(key)
        if of_key is None:
            of_key = self._values[key] = _Cache(None)
        if len(of_key) >= CACHED_OF_KEY:
            self._count -= len(of_key)
            of_key.clear()
        if self._count >= CACHED_VALUES:  # by dozens of keys with many values each: none of them is a client's
            self._values.clear()
            self._count = 0
            return
        self._count += 1
        of_key[value] = encoded

    def _key(self, key: str) -> bytes:
        """The redacted name, encoded; cached."""
        found = self._keys.get(key)
        if found is None:
            found = message(_KEY, utf8(self._redactor.text(key)[:MAX_KEY]))
            if len(key) < CACHED_LENGTH:
                self._keys.remember(key, found)
        return found

    def _text_head(self, key: str, size: int) -> bytes:
        """What stands before the `size` bytes of a text; cached."""
        name, text = self._key(key), _STRING + varint(size)
        value = _VALUE + varint(len(text) + size) + text
        head = self._tag + varint(len(name) + len(value) + size) + name + value
        return self._text_heads.remember((key, size), head) if len(key) < CACHED_LENGTH else head


class NameEncoder:
    """NameEncoder as one encoded field: redacted, bounded, and remembered, for they repeat."""

    __slots__ = ("_cache", "_redactor", "_tag")

    def __init__(self, tag_: bytes, redactor: ValueRedactor) -> None:
        self._tag = tag_
        self._redactor = redactor
        self._cache: BoundedMemo[str, bytes] = BoundedMemo(CACHED_NAMES)

    def __call__(self, name: Any) -> bytes:
        """The encoded field."""
        cached = self._cache.get(name) if type(name) is str else None
        return self._encode(name) if cached is None else cached

    def _encode(self, name: object) -> bytes:
        text = str(Plain(self._redactor, MAX_NAME).convert("" if name is None else name))
        redacted = self._redactor.text(text)
        encoded = message(self._tag, utf8(redacted[:MAX_NAME]))
        if redacted is name:
            self._cache.remember(redacted, encoded)
        return encoded


def nanoseconds(value: Any) -> int:
    """A time that fits its field; an invalid time becomes 0, which OTLP reads as unknown."""
    try:
        return min(max(int(value), 0), _MAX_U64)
    except BaseException as error:
        if not is_foreign(error):
            raise
        return 0


def copied(attributes: Any) -> Mapping[str, Any] | None:
    """The attributes as a dict: the SDK's own mapping takes a lock and a Python call for every item."""
    copy = getattr(attributes, "copy", None)
    copied_ = attributes if copy is None else copy()
    return copied_ if type(copied_) is dict or copied_ is None else dict(copied_)


def append_count(parts: list[bytes], tag_: bytes, count: int) -> None:
    """Append a count as a varint field, unless it is 0."""
    if count:
        parts.append(tag_ + varint(count))
