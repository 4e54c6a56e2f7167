"""Encodes any Python value as an OTLP value: redacted, bounded, without raising."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from blogauto_otel._guard import is_foreign, swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.otlp.plain_values import (
    MAX_KEY,
    UNSERIALISABLE,
    Plain,
    TextLimits,
    ValueRedactor,
    key_text,
    shorten,
)
from blogauto_otel.otlp.protobuf import DOUBLE, LENGTH, message, tag, varint

K = TypeVar("K")
V = TypeVar("V")

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


def utf8(text: str) -> bytes:
    """UTF-8, with lone surrogates escaped: a receiver rejects a whole request because of one of them."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


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
        return message(_STRING, utf8(value if len(value) <= limit else shorten(value, limit, key=key)))
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
        """Append an attribute whose value needs no redaction; False when its key or its size does."""
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
        if self._count >= CACHED_VALUES:  # dozens of keys have many values: a client controls few keys
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
    """Encodes names as one field each: redacted, bounded and cached, because they repeat."""

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
