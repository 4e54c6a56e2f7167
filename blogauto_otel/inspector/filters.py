"""The query language of the lists: words, all of which must match, as conditions of SQL."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from blogauto_otel.errors import FilterError

_WORD: Final = re.compile(r"^(?P<name>[a-z]+)(?P<operator>>=|<=|!=|[:=<>])(?P<value>.*)$")
_DURATION: Final = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MAX_QUERY: Final = 1000  # characters
SLOW_SECONDS: Final = 1.0  # from which a request is `is:slow`

# Least SeverityNumber of OTLP by the name of the level.
LEVELS: Final = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "WARNING": 13, "ERROR": 17, "FATAL": 21, "CRITICAL": 21}


class Condition(NamedTuple):
    """A condition of SQL and its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


Build = Callable[[str, str], Condition]


def conditions(query: str, fields: Mapping[str, Build], text_columns: tuple[str, ...]) -> Condition:
    """The condition of a query.

    Args:
        query: words separated by spaces; `"a b"` is one word.
        fields: by name, what builds the condition of `name<operator>value`.
        text_columns: searched for every other word, without regard to case.

    Raises:
        FilterError: a word names no field, or its value cannot be read.
    """
    if len(query) > MAX_QUERY:
        raise FilterError(f"the query is longer than {MAX_QUERY} characters")
    built = [_condition(word, fields, text_columns) for word in _words(query)]
    return Condition(
        " AND ".join(f"({one.sql})" for one in built) or "1",
        tuple(parameter for one in built for parameter in one.parameters),
    )


def _words(query: str) -> list[str]:
    return [word.replace('"', "") for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', query)]


def _condition(word: str, fields: Mapping[str, Build], text_columns: tuple[str, ...]) -> Condition:
    found = _WORD.match(word)
    if found and found["name"] in fields:
        if not found["value"]:
            raise FilterError(f"{word}: a value is missing")
        return fields[found["name"]](found["operator"], found["value"])
    if found and found["operator"] == ":" and not found["value"].startswith("//"):
        raise FilterError(f"{word}: unknown field {found['name']!r}; there are {', '.join(sorted(fields))}")
    like = f"%{_escaped(word)}%"
    return Condition(
        " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in text_columns), (like,) * len(text_columns)
    )


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


# --- kinds of fields -------------------------------------------------------------------------------------------------


def number(column: str, *, scale: float = 1.0) -> Build:
    """Compares a column that holds `scale` times what the user writes."""

    def build(operator: str, value: str) -> Condition:
        try:
            wanted = float(value) * scale
        except ValueError:
            raise FilterError(f"{column}{operator}{value}: expected a number") from None
        return Condition(f"{column} {'=' if operator == ':' else operator} ?", (wanted,))

    return build


def text(column: str) -> Build:
    """Equal without regard to case, or by `*` as a wildcard."""

    def build(operator: str, value: str) -> Condition:
        if operator not in (":", "=", "!="):
            raise FilterError(f"{operator}{value}: a text is compared by `:` or `!=`")
        like = _escaped(value).replace("*", "%")
        return Condition(f"COALESCE({column}, '') {'NOT ' if operator == '!=' else ''}LIKE ? ESCAPE '\\'", (like,))

    return build


def identifier(column: str, *, length: int) -> Build:
    """An id in hexadecimal, or its beginning."""

    def build(_operator: str, value: str) -> Condition:
        digits = value.lower()
        if not re.fullmatch(rf"[0-9a-f]{{1,{2 * length}}}", digits):
            raise FilterError(f"{value}: expected up to {2 * length} hexadecimal digits")
        return Condition(f"lower(hex({column})) LIKE ?", (f"{digits}%",))

    return build


def since(column: str, *, now: Callable[[], float] = time.time) -> Build:
    """Younger than a duration, such as `10m`."""

    def build(_operator: str, value: str) -> Condition:
        return Condition(f"{column} >= ?", (int((now() - seconds(value)) * 1e9),))

    return build


def seconds(value: str) -> float:
    """A duration such as `30s`, `10m`, `1h`.

    Raises:
        FilterError: it is none.
    """
    found = _DURATION.match(value)
    if not found:
        raise FilterError(f"{value}: expected a duration such as 30s, 10m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def flag(meanings: Mapping[str, str]) -> Build:
    """`is:name`, by the condition of each name."""

    def build(_operator: str, value: str) -> Condition:
        if value not in meanings:
            raise FilterError(f"is:{value}: expected {', '.join(meanings)}")
        return Condition(meanings[value])

    return build


def level(column: str) -> Build:
    """A severity by its name: `level>=WARN`."""

    def build(operator: str, value: str) -> Condition:
        least = LEVELS.get(value.upper())
        if least is None:
            raise FilterError(f"level{operator}{value}: expected one of {', '.join(LEVELS)}")
        if operator in (":", "="):
            return Condition(f"{column} BETWEEN ? AND ?", (least, least + 3))
        bound = least + 3 if operator in (">", "<=") else least
        return Condition(f"{column} {operator} ?", (bound,))

    return build


REQUESTS: Final[Mapping[str, Build]] = {
    "status": number("status"),
    "duration": number("duration", scale=1e6),
    "statements": number("statements"),
    "method": text("method"),
    "route": text("route"),
    "service": text("service"),
    "kind": text("kind"),
    "trace": identifier("trace_id", length=16),
    "since": since("start"),
    "is": flag({"error": "is_error", "slow": f"duration >= {int(SLOW_SECONDS * 1e9)}", "repeated": "repeated > 0"}),
}
REQUEST_TEXT: Final = ("name", "path", "route", "error_type")

LOGS: Final[Mapping[str, Build]] = {
    "level": level("severity"),
    "logger": text("logger"),
    "service": text("resources.service"),
    "trace": identifier("trace_id", length=16),
    "since": since("time"),
}
LOG_TEXT: Final = ("body", "logger")
