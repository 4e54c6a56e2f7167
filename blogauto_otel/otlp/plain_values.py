"""Plain values: any Python value as text, numbers, bytes, lists and maps of bounded size, without raising."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Protocol

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import is_foreign

UNSERIALISABLE: Final = "<unserialisable>"
STACKTRACE: Final = "exception.stacktrace"

MAX_DEPTH: Final = 8  # of nested lists and maps
MAX_NODES: Final = 1000  # values inside one value
MAX_KEY: Final = 256  # characters
MAX_BITS: Final = 4096  # of a whole number that is written as text: the conversion takes quadratic time

# Text is redacted before it is cut, together with this many characters after the cut: half a secret matches no pattern.
SLACK: Final = 4096


class ValueRedactor(Protocol):
    """The interface of `blogauto_otel.redaction.Redactor` that encoding uses."""

    # Optional, `knows_ids`: whether a random id (`values.is_random_id`) is replaced depends on its key alone.

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
