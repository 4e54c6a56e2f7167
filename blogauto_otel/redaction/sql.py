"""Literal values in the text of an SQL statement whose dialect is not known, or is SQLite's.

`'x'` and `$tag$x$tag$` are values everywhere. `"x"` is a name by the standard and a value in MySQL, and SQLite takes a
name it does not know for a value: here it is a value where only a value can stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from blogauto_otel._lazy_pattern import lazy_pattern

_TOKEN: Final = lazy_pattern(
    r"[\['$\"\\VIORSFWAGviorsfwag](?:"  # one class at the beginning makes the search quick
    r"(?P<marker>(?<=\[)redacted:[a-z-]{1,40}\]?)"
    r"|(?P<single>(?<=')(?<!\w\w')(?P<text>[^'\\]*(?:(?:''|\\(?!'))[^'\\]*)*)(?:\\?')?)"
    r"|(?P<dollar>(?<=\$)(?<!\w\$)(?P<tag>(?:[^\W\d]\w{0,62})?)\$"
    r"(?P<body>[^$]*(?:\$(?!(?P=tag)\$)[^$]*)*)(?:\$(?P=tag)\$)?)"
    r"|(?:(?<=\")|(?<=\\)\")(?P<double>[^\"\\]*(?:\"\"[^\"\\]*)*)(?:\\?\"|\Z)"
    r"|(?<=\b[A-Za-z])(?=[A-Za-z])(?i:(?P<list>(?:(?<=V)ALUES|(?<=I)N)\b)"
    r"|(?P<end>(?:(?<=O)(?:N|R|RDER)|(?<=R)ETURNING|(?<=S)E(?:LECT|T)|(?<=F)ROM|(?<=W)HERE|(?<=A)(?:ND|S)|(?<=G)ROUP)\b)))"
)
_KEYWORDS: Final = ("LIKE", "GLOB", "MATCH", "REGEXP", "THEN", "ELSE", "BETWEEN")
_BEFORE_A_VALUE: Final = (*"=<>|+*/%-", *_KEYWORDS)
_KEYWORD: Final = lazy_pattern(rf"\b(?:{'|'.join(_KEYWORDS)})\Z")
_NAME_GOES_ON: Final = lazy_pattern(r"\\?\"?\s?[.(]")
_NAME: Final = lazy_pattern(r"[A-Za-z_][\w$]{0,62}")
MAX_TOKENS: Final = 400  # of one statement that are read; what follows is one value
LOOK_BACK: Final = 12  # characters of a keyword or sign before a value


def literals(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The positions of the values between two positions, without their quotes."""
    in_list = False
    for seen, found in enumerate(_TOKEN.finditer(text, start, end)):
        kind = found.lastgroup
        if kind == "marker":
            continue
        if seen >= MAX_TOKENS:
            yield found.start(), end
            return
        if kind == "list" or kind == "end":
            in_list = kind == "list"
        elif found["single"] is not None:
            yield found.span("text")
        elif found["dollar"] is not None:
            yield found.span("body")
        elif found["double"] and (in_list or _is_value(text, found)):
            yield found.span("double")


def double_quoted(text: str) -> Iterator[tuple[int, int]]:
    """The positions of values in double quotes, with their quotes."""
    in_list = False
    for seen, found in enumerate(_TOKEN.finditer(text)):
        kind = found.lastgroup
        if kind == "marker":
            continue
        if seen >= MAX_TOKENS:
            yield found.start(), len(text)
            return
        if kind == "list" or kind == "end":
            in_list = kind == "list"
        elif found["double"] is not None and (in_list or _is_value(text, found)):
            yield found.span()


def _is_value(text: str, found: re.Match[str]) -> bool:
    if _NAME_GOES_ON.match(text, found.end("double") + 1) or text.endswith(".", 0, found.start()):
        return False
    if _NAME.fullmatch(found["double"]) is None:
        return True
    before = text[max(0, found.start() - LOOK_BACK) : found.start()].rstrip().upper()
    if not before.endswith(_BEFORE_A_VALUE):
        return False
    return not before[-1].isalpha() or _KEYWORD.search(before) is not None
