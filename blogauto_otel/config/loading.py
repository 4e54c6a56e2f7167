"""Load the settings: argument, then environment, then default.

A value that cannot be used costs one message, and the default applies; with `strict` it is an exception.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel._guard import log_once
from blogauto_otel.config.parsers import Parser, number, pairs, pattern, patterns, text, words
from blogauto_otel.config.settings import (
    FIELDS,
    MASK,
    OTHER_VARIABLES,
    PREFIX,
    Option,
    Settings,
    default_of,
    option_of,
    without_credentials,
)
from blogauto_otel.errors import ConfigurationError

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Loaded:
    """Settings, and what was wrong on the way: one message each, ready to be told or raised."""

    settings: Settings
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()  # worth saying once, and nothing wrong


def load(environ: Environment | None = None, **arguments: object) -> Loaded:
    """The same as `read`, for whoever is about to use them.

    Raises:
        ConfigurationError: something cannot be used and `strict` is on; the message lists all of it.
    """
    loaded = read(environ, **arguments)
    if loaded.settings.strict and loaded.problems:
        raise ConfigurationError("; ".join(loaded.problems))
    return loaded


def read(environ: Environment | None = None, **arguments: object) -> Loaded:
    """Read the settings: argument, then environment, then default.

    `arguments` are field names of `Settings`, with values of the field's type or text as the variable would hold it;
    `None` means not given.
    """
    source: Environment = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems = [
        f"configure() has no setting {name!r}{_nearest(name, FIELDS)}" for name in arguments if name not in FIELDS
    ]
    for name in FIELDS:
        given = arguments.get(name)
        try:
            if given is not None:
                values[name] = _from_argument(name, given)
            elif (found := _from_environment(name, source)) is not None:
                values[name] = found[0]
        except ConfigurationError as error:
            problems.append(str(error))
        except Exception as error:  # noqa: BLE001 - an argument that cannot even be read
            problems.append(f"{name}: expected something else than a {type(given).__name__} ({type(error).__name__})")
    problems.extend(_misspelt(source))
    problems.extend(_without_signal_path(values))
    notes = _quieten(values, _test_runner(source))
    values = _from_resource(values)
    if "service_name" not in values:
        notes = (*notes, f"the service has the default name, {default_of('service_name')}; {HOW_TO_NAME_IT}")
    return Loaded(Settings(**values), tuple(problems), notes)


HOW_TO_NAME_IT: Final = "set OTEL_SERVICE_NAME, or configure(service_name=...)"


_SIGNAL_PATH: Final = re.compile(r"/v1/(?:traces|metrics|logs)/?$")


def _without_signal_path(values: dict[str, Any]) -> Iterable[str]:
    """Remove `/v1/traces` and its siblings from the base URL: the exporter appends them."""
    given = values.get("endpoint")
    if given and (found := _SIGNAL_PATH.search(given)):
        values["endpoint"] = given[: found.start()]
        yield (
            f"OTEL_EXPORTER_OTLP_ENDPOINT={without_credentials(given)!r}: the base URL must not end in "
            f"{found.group()}, which is added for each signal; using {without_credentials(values['endpoint'])}"
        )


# --- under a test runner ---------------------------------------------------------------------------------------------


def _test_runner(source: Environment) -> str | None:
    """The test runner of this process or of the one that started it; unittest leaves no mark in the environment."""
    if "PYTEST_VERSION" in source:
        return "pytest"
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "unittest" if getattr(spec, "name", None) == "unittest.__main__" else None


def _quieten(values: dict[str, Any], runner: str | None) -> tuple[str, ...]:
    """Under a test runner only what was asked for leaves: a test's telemetry is no service's."""
    if runner is None or values.get("under_test", "quiet") != "quiet":
        return ()
    values.setdefault("console", "off")
    silent = [
        signal
        for signal in ("traces", "metrics", "logs")
        if not any(name in values for name in ("endpoint", f"{signal}_endpoint", f"{signal}_exporter"))
    ]
    for signal in silent:
        values[f"{signal}_exporter"] = ()
    if len(silent) == 3:
        values.setdefault("spool_dir", "off")
    if not silent:
        return ()
    words = f"{runner} runs this process: {', '.join(silent)} are not exported"
    return (f"{words}; set an endpoint or an exporter, or {PREFIX}UNDER_TEST=export",)


# The specification: OTEL_SERVICE_NAME wins over `service.name` in OTEL_RESOURCE_ATTRIBUTES, which wins over a default.
RESOURCE_KEYS: Final = MappingProxyType(
    {
        "service_name": ("service.name",),
        "service_version": ("service.version",),
        "environment": ("deployment.environment.name", "deployment.environment"),
    }
)


def _from_resource(values: Mapping[str, Any]) -> dict[str, Any]:
    """Let resource attributes stand in for settings that were not given, so that all parts of us know one name."""
    attributes: Mapping[str, str] = values.get("resource_attributes", {})
    named = {
        name: attributes[key] for name, keys in RESOURCE_KEYS.items() for key in reversed(keys) if attributes.get(key)
    }
    return {**named, **values}


def warn_or_raise(settings: Settings, problem: str) -> None:
    """Tell a problem with a setting that shows itself only when it is used.

    Raises:
        ConfigurationError: `strict` is on.
    """
    if settings.strict:
        raise ConfigurationError(problem)
    log_once(problem, "%s", problem)


def _from_argument(name: str, given: object) -> object:
    """An argument goes through the parser of its variable, so that both accept the same values."""
    declared = option_of(name)
    if declared.unit == "ms":  # durations are seconds in Python, milliseconds in the environment
        return _parse(
            name, dataclasses.replace(declared, parse=number(0.001, 86_400.0, "seconds")), str(given), shown_as=name
        )
    if isinstance(given, (list, tuple)) and declared.parse in _LISTS:
        one = dataclasses.replace(declared, parse=_LISTS[declared.parse])
        return tuple(_parse(name, one, str(item), shown_as=name) for item in given)
    if isinstance(given, (list, tuple, Mapping)) and not given:
        return MappingProxyType({}) if isinstance(given, Mapping) else ()
    return _parse(name, declared, _as_text(given), shown_as=name)


# Lists whose items may hold the separator that the variable uses.
_LISTS: Final[Mapping[Parser, Parser]] = {words: text, patterns: pattern}


def _as_text(given: object) -> str:
    if isinstance(given, Mapping):
        return ",".join(f"{key}={urllib.parse.quote(str(value), safe='/:')}" for key, value in given.items())
    if isinstance(given, (list, tuple)):
        return ",".join(map(str, given))
    return str(given)


def _from_environment(name: str, source: Environment) -> tuple[object] | None:
    declared = option_of(name)
    for variable in filter(None, (declared.variable, declared.fallback)):
        raw = source.get(variable)
        if raw is not None and raw.strip():  # the specification: empty is the same as unset
            return (_parse(name, declared, raw, shown_as=variable),)
    return None


def _parse(name: str, declared: Option, raw: str, *, shown_as: str) -> object:
    try:
        return declared.parse(raw)
    except ValueError as error:
        shown = MASK if declared.secret else without_credentials(raw)
        if declared.parse is pairs:
            shown = re.sub("=[^,]*", f"={MASK}", shown)
        shown = shown if len(shown) <= 80 else shown[:80] + "..."
        fallback = default_of(name)
        tail = "" if fallback is None or declared.secret else f"; using {_spelled(fallback)}"
        raise ConfigurationError(f"{shown_as}={shown!r}: {error}{tail}") from None


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, Mapping)):
        return ",".join(map(str, value)) or "none"
    return str(value)


def _misspelt(source: Environment) -> list[str]:
    known = {
        variable for option_ in map(option_of, FIELDS) for variable in (option_.variable, option_.fallback) if variable
    }
    ours = {name.removeprefix(PREFIX) for name in known if name.startswith(PREFIX)}
    return [
        f"{variable} is not a setting{_nearest(variable.removeprefix(PREFIX), ours, PREFIX)}"
        for variable in sorted(source)
        if variable.startswith(PREFIX) and variable not in known and variable not in OTHER_VARIABLES
    ]


def _nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
