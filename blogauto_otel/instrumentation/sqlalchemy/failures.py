"""Attributes and message of a failed statement: the driver's exception, the database's code, no values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._class_names import module_name, type_name
from blogauto_otel._guard import guard
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.api.text import safe_text
from blogauto_otel.instrumentation.sqlalchemy.databases import Attributes

if TYPE_CHECKING:
    from blogauto_otel.redaction import Redactor

MAX_MESSAGE: Final = 256

# The ways in which databases quote a value in a message. A quoted value may contain quotes, so it ends at the last one
# of the line; one that was cut has none.
_QUOTED_VALUES: Final = lazy_pattern(
    r"""
    (?<!\w)'(?:.*'(?!\w)|.*\Z)
    | (?:(?<=value\ )|(?<=:\ ))"(?:.*"|.*\Z)
    | (?:(?<=value\ is\ )|(?<==))\((?:.*\)|.*\Z)
    """,
    re.VERBOSE,
)
# SQLSTATE, or a number as Oracle writes it.
_CODE: Final = lazy_pattern(r"[A-Z0-9]{5}|[A-Z]{3}-\d+")


def error_attributes(error: BaseException) -> Attributes:
    """`error.type`, the driver's own exception, and the database's code for it."""
    found: Attributes = {"error.type": type_name(type(error))}
    with guard("reading a driver's exception"):
        found["error.type"] = type_name(type(_driver_error(error)))
        code = _status_code(_original(error))
        if code:
            found["db.response.status_code"] = code
    return found


def error_message(error: BaseException, redactor: Redactor) -> str:
    """The database's message, without the statement, its parameters and the values it quotes."""
    original = error
    text: object = error
    with guard("reading a driver's exception"):
        original = _original(error)
        arguments: tuple[Any, ...] = getattr(original, "args", ())
        text = arguments[1] if len(arguments) == 2 else original  # MySQL and ODBC: a number and a message
    text = safe_text(text)
    first_line = text.partition("\n")[0][: 4 * MAX_MESSAGE]  # PostgreSQL's DETAIL, on the second line, quotes the row
    return redactor.text(_QUOTED_VALUES.sub("?", first_line))[:MAX_MESSAGE]


def _original(error: BaseException) -> BaseException:
    """The exception that SQLAlchemy wrapped, or the exception itself."""
    original = getattr(error, "orig", None)
    return original if isinstance(original, BaseException) else error


def _driver_error(error: BaseException) -> BaseException:
    """The driver's exception; SQLAlchemy wraps asyncpg's twice."""
    original = _original(error)
    is_adapter = module_name(type(original)).startswith("sqlalchemy.dialects.")
    return original.__cause__ if is_adapter and isinstance(original.__cause__, Exception) else original


def _status_code(original: BaseException) -> str | None:
    """SQLSTATE where there is one (PostgreSQL, ODBC), else the number or name of MySQL, Oracle and SQLite."""
    for attribute in ("sqlstate", "pgcode", "sqlite_errorname"):
        value = getattr(original, attribute, None)
        if isinstance(value, str) and value:
            return value
    first = original.args[0] if original.args else None
    code = getattr(first, "full_code", first)
    if isinstance(code, str):
        return code if _CODE.fullmatch(code) else None
    return str(code) if type(code) is int else None
