"""Secrets in a text are replaced by markers; the number of replacements in one text is limited."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.redaction.keys import MARKER
from blogauto_otel.redaction.pattern import Pattern
from blogauto_otel.redaction.sql import literals
from blogauto_otel.redaction.values import is_no_secret

# Limits for each text, against texts that are built to take time; the text is cut where it exceeds one.
MAX_CANDIDATES: Final = 200  # names with values, and matches of an expression
MAX_FOUND: Final = 100  # secrets of one kind
MAX_LINE: Final = 1_024  # characters that a user's own expression gets at a time: it may need quadratic time
EDGE: Final = 256  # characters before a cut, which may be the beginning of a secret

REST: Final = "too-long"
TOO_LONG: Final = f"[redacted:{REST}]"
STATEMENT: Final = "[SQL: "
_STATEMENT: Final = lazy_pattern(r"\[SQL: (?:[^\]]+|\](?!\n|\\n|\Z))*")

Secret: TypeAlias = tuple[int, int, str]  # start, end, kind


def marker(kind: str) -> str:
    """The text that replaces a secret."""
    return f"[redacted:{kind}]"


def replace_value(value: object, kind: str) -> object:
    """The marker, unless the value cannot be a secret."""
    if value is None or isinstance(value, bool) or (isinstance(value, str) and is_no_secret(value)):
        return value
    return marker(kind)


def replace_secrets(text: str, secrets: Iterable[Secret]) -> str:
    """The text with a marker in place of each secret; the same object when there are none."""
    parts: list[str] = []
    done = 0
    for start, end, kind in secrets:
        if len(parts) >= 2 * MAX_FOUND:
            return "".join((*parts, text[done:start], TOO_LONG))
        parts += (text[done:start], marker(kind))
        done = end
    return "".join((*parts, text[done:])) if parts else text


def matches(text: str, rule: Pattern) -> Iterator[Secret]:
    """The secrets that a pattern finds."""
    position = candidates = 0
    while found := rule.expression.search(text, position):
        candidates += 1
        if candidates > MAX_CANDIDATES:
            yield found.start(), len(text), REST
            return
        start = found.end("keep") if "keep" in rule.expression.groupindex else found.start()
        secret = text[start : found.end()]
        if MARKER.fullmatch(secret) or (rule.is_secret is not None and not rule.is_secret(secret)):
            position = found.start() + 1 if rule.overlaps else found.end()
            continue
        yield start, found.end(), rule.kind
        position = found.end()


def statement_literals(text: str) -> Iterator[Secret]:
    """The literals of statements that SQLAlchemy quotes in an error."""
    for statement in _STATEMENT.finditer(text):
        for number, (start, end) in enumerate(literals(text, *statement.span())):
            if number >= MAX_CANDIDATES:
                yield start, len(text), REST
                return
            if not is_no_secret(text[start:end]):
                yield start, end, "sql-values"


def apply_own(pattern: re.Pattern[str], text: str) -> str:
    """Apply a user's expression line by line."""

    def replace(found: re.Match[str]) -> str:
        start, end = found.span("secret" if "secret" in pattern.groupindex else 0)
        secret = found.string[start:end]
        if not secret or MARKER.fullmatch(secret):
            return found[0]
        return found.string[found.start() : start] + marker("custom") + found.string[end : found.end()]

    pieces = (
        line[start : start + MAX_LINE]
        for line in text.splitlines(keepends=True)
        for start in range(0, len(line), MAX_LINE)
    )
    return "".join(pattern.sub(replace, piece) for piece in pieces)


def shorten(text: str) -> str:
    """The text without its last characters, which may be half a secret; a marker is not cut in two."""
    kept = text[:-EDGE]
    opened = kept.rfind("[redacted:")
    if opened >= 0 and "]" not in kept[opened:]:
        kept = kept[:opened]
    return kept + TOO_LONG
