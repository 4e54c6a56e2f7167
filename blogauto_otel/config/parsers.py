"""Parsers: the text of a variable becomes a value, or a `ValueError` that says what was expected."""

from __future__ import annotations

import ipaddress
import math
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast, get_args

from blogauto_otel._lazy_pattern import lazy_pattern

try:
    from re import _parser as _regex_parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_parse as _regex_parser

Parser = Callable[[str], Any]


def text(raw: str) -> str:
    """Any text, without surrounding spaces."""
    if not raw.strip():
        raise ValueError("expected some text")
    return raw.strip()


def flag(raw: str) -> bool:
    """`true` or `false`, as in the specification, and the usual synonyms."""
    lowered = raw.strip().lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off"}:
        return False
    raise ValueError("expected true or false")


def one_of(kind: Any) -> Parser:
    """A parser for the words of a `Literal` type."""
    words = cast("tuple[str, ...]", get_args(kind))

    def parse(raw: str) -> str:
        lowered = raw.strip().lower()
        if lowered not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return lowered

    return parse


def whole(low: int, high: int) -> Parser:
    """A parser for whole numbers within bounds."""

    def parse(raw: str) -> int:
        try:
            number = int(raw)
        except ValueError:
            raise ValueError(f"expected a whole number from {low} to {high}") from None
        if not low <= number <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return number

    return parse


def number(low: float, high: float, unit: str = "") -> Parser:
    """A parser for finite numbers within bounds."""
    expected = f"expected a number from {low:g} to {high:g}{' ' + unit if unit else ''}"

    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            raise ValueError(expected) from None
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(expected)
        return value

    return parse


def milliseconds(low: float, high: float) -> Parser:
    """A parser for the specification's millisecond durations; the value is in seconds."""
    parse_number = number(low, high, "milliseconds")
    return lambda raw: parse_number(raw) / 1000.0


def otlp_timeout(raw: str) -> float:
    """The specification's milliseconds; below 100 the seconds that OpenTelemetry Python takes (docs/decisions/0004)."""
    value = cast("float", number(0.001, 600_000, "milliseconds")(raw))
    return value if value < 100 else value / 1000.0


def words(raw: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(word.strip() for word in raw.split(",") if word.strip())


def exporters(*known: str) -> Parser:
    """A parser for a comma-separated list of exporter names."""

    def parse(raw: str) -> tuple[str, ...]:
        names = tuple(word.lower() for word in words(raw))
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise ValueError(f"expected {', '.join(known)}, or several of them with commas")
        return tuple(name for name in dict.fromkeys(names) if name != "none")

    return parse


def pairs(raw: str) -> Mapping[str, str]:
    """`key=value` pairs separated by commas, values percent-encoded (W3C Baggage, as the specification says).

    A value in double quotes may hold commas. Quotes around the whole text are removed: `docker --env-file` keeps them.
    """
    found: dict[str, str] = {}
    for part in _PAIR.findall(_unquoted(raw.strip()) if raw.count('"') == 2 else raw):
        if not part.strip():
            continue
        key, separator, value = part.partition("=")
        if not separator or not key.strip():
            raise ValueError("expected key=value pairs separated by commas")
        found[key.strip()] = urllib.parse.unquote(_unquoted(value.strip()))
    return MappingProxyType(found)


# Text up to a comma; a comma inside of a quoted value does not count.
_PAIR: Final = lazy_pattern(r'(?:[^,="]*=[ \t]*"[^"]*"[ \t]*(?=,|$))|[^,]+')


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def header_pairs(raw: str) -> Mapping[str, str]:
    """Pairs that are valid as HTTP headers: lower-case names, no line breaks."""
    found = {key.lower(): value for key, value in pairs(raw).items()}
    for key, value in found.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", key) or re.search(r"[\r\n\0]", value):
            raise ValueError("expected header names and values without line breaks")
    return MappingProxyType(found)


def url(raw: str) -> str:
    """An absolute http or https URL."""
    value = raw.strip()
    if not _is_url(value):
        raise ValueError("expected an absolute http:// or https:// URL")
    return value


def endpoint_url(raw: str) -> str:
    """An absolute http or https URL, or `host:port`, which the specification allows for gRPC."""
    value = raw.strip()
    if not _is_url(value) and not (_HOST_AND_PORT.fullmatch(value) and _is_url(f"http://{value}")):
        raise ValueError("expected an absolute http:// or https:// URL, or host:port for gRPC")
    return value


_HOST_AND_PORT: Final = lazy_pattern(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):\d+", re.ASCII)


def _is_url(value: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(value)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return port_is_valid and parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", value)


def dsn(raw: str) -> str:
    """A Sentry DSN: a URL with a public key and a project number."""
    try:
        parts = urllib.parse.urlsplit(url(raw))
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if not parts.username or not re.fullmatch(r".*/\d+", parts.path) or parts.query or parts.fragment:
        raise ValueError("expected the DSN of a Sentry project: scheme, public key, host and project number")
    return raw.strip()


def template(*names: str) -> Parser:
    """A parser for URLs with one of `names` in braces."""
    expected = f"expected an absolute URL with {' or '.join('{' + name + '}' for name in names)} in it"

    def parse(raw: str) -> str:
        found = re.findall(r"\{([^{}]*)\}", raw)
        if not found or not set(found) <= set(names) or re.search(r"[{}]", re.sub(r"\{\w+\}", "", raw)):
            raise ValueError(expected)
        url(re.sub(r"[{}]", "", raw))
        return raw.strip()

    return parse


def rates(raw: str) -> Mapping[str, float]:
    """`route=rate` pairs: a route template (`/api/posts/{id}`, `*` for any rest) and a share from 0 to 1."""
    parse_rate = number(0.0, 1.0)
    found: dict[str, float] = {}
    for part in words(raw):
        route, separator, rate = part.rpartition("=")
        if not separator or not route.startswith("/"):
            raise ValueError("expected /route=rate pairs separated by commas")
        found[route] = parse_rate(rate)
    return MappingProxyType(found)


def routes(raw: str) -> tuple[str, ...]:
    """Route templates separated by commas: `/health`, `/internal/*`."""
    found = words(raw)
    if not all(re.fullmatch(r"/[!-~]*", route) for route in found):
        raise ValueError("expected paths such as /health, separated by commas")
    return found


def patterns(raw: str) -> tuple[str, ...]:
    """Regular expressions separated by spaces; a comma is part of an expression."""
    return tuple(map(pattern, raw.split()))


def comma_patterns(raw: str) -> tuple[str, ...]:
    """Regular expressions separated by commas, as OpenTelemetry's instrumentations read them."""
    return tuple(map(pattern, words(raw)))


# Ways in which an expression may be tried at one character before it fails: 4096 take 40 ms for a line of 1024.
MAX_WAYS: Final = 4096
_WAYS_OF_UNLIMITED: Final = 1024


def pattern(raw: str) -> str:
    """One regular expression that compiles and whose running time is bounded."""
    try:
        re.compile(raw)
        ways = _ways(_regex_parser.parse(raw))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"expected regular expressions ({error})") from None
    if ways > MAX_WAYS:
        raise ValueError("expected fewer open repetitions; write {1,40} instead of a second + or *")
    return raw


def _ways(parsed: Any) -> int:
    """The number of ways in which a parsed expression can match or fail at one position, at worst."""
    ways = 1
    for operator, argument in parsed:
        ways = min(ways * _ways_of(str(operator), argument), MAX_WAYS + 1)
    return ways


def _ways_of(operator: str, argument: Any) -> int:
    if operator == "BRANCH":
        return sum(map(_ways, argument[1]))
    if operator.endswith("_REPEAT"):
        low, high, body = argument
        high = min(high, _WAYS_OF_UNLIMITED)
        inner = _ways(body)
        return int((high - low + 1) * (1 if inner == 1 else inner ** min(high, 20)))
    parts = argument if isinstance(argument, tuple) else ()
    return math.prod(_ways(part) for part in parts if isinstance(part, _regex_parser.SubPattern))


def any_of(*known: str) -> Parser:
    """A parser for a comma-separated list of known words."""

    def parse(raw: str) -> tuple[str, ...]:
        found = tuple(word.lower() for word in words(raw))
        if any(word not in known for word in found):
            raise ValueError(f"expected {', '.join(known)}, or several of them with commas")
        return found

    return parse


def networks(raw: str) -> tuple[str, ...]:
    """`always` or `never`, or a list of `private`, `unix`, `testclient` and networks in CIDR notation."""
    names = tuple(name.lower() for name in words(raw))
    if names in {("always",), ("never",)}:
        return names
    try:
        return tuple(
            name if name in {"private", "unix", "testclient"} else str(ipaddress.ip_network(name)) for name in names
        )
    except ValueError:
        expected = "expected always, never, or a list of private, unix, testclient and networks such as 10.0.0.0/8"
        raise ValueError(expected) from None


def metric_namespace(raw: str) -> str:
    """A prefix of metric names."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", raw):
        raise ValueError("expected lower-case letters, digits and _, starting with a letter")
    return raw


def url_path(raw: str) -> str:
    """A path that starts with a slash, or `off`."""
    if raw.strip().lower() in {"", "off"}:
        return ""
    if not re.fullmatch(r"/[!-~]*", raw):
        raise ValueError("expected a path such as /metrics, or off")
    return raw


def spool_directory(raw: str) -> str:
    """An absolute directory, or `off`."""
    if raw.strip().lower() == "off":
        return "off"
    if "\0" in raw or not Path(raw).is_absolute():
        raise ValueError("expected an absolute directory, or off")
    return raw
