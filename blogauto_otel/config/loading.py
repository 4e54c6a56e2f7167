"""Load the settings: argument, then environment or configuration file, then default.

A value that cannot be used costs one message, and the default applies; with `strict` it is an exception.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import log_once
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.config import variables
from blogauto_otel.config.parsers import Parser, comma_patterns, number, pairs, pattern, patterns, text, words
from blogauto_otel.config.settings import (
    FIELDS,
    MASK,
    PREFIX,
    Option,
    Settings,
    default_of,
    option_of,
    without_credentials,
)
from blogauto_otel.config.views import ViewConfig
from blogauto_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from blogauto_otel.config.declarative import FileSettings

Environment = Mapping[str, str]
CONFIG_FILE: Final = "config_file"  # the field that is read before all others


@dataclass(frozen=True)
class Loaded:
    """Settings, and one message for each problem on the way."""

    settings: Settings
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()  # worth one log line, and no problem
    views: tuple[ViewConfig, ...] = ()  # of the configuration file


def load(environ: Environment | None = None, **arguments: object) -> Loaded:
    """The same as `read`; with `strict` a problem is an exception.

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
    reading = _Reading(arguments, source)
    reading.read_file()
    for name in FIELDS:
        if name != CONFIG_FILE:
            reading.read(name)
    values, problems = reading.values, reading.problems
    problems += variables.misspelt(source)
    problems += variables.unsupported(source)
    problems += _without_signal_path(values)
    problems += _without_useless_endpoints(values, reading.shown_as)
    notes = (*reading.notes, *_quieten(values, _test_runner(source)))
    notes += variables.held_back(source, ai_content=bool(values.get("ai_content")))
    values = _with_names_of_resource(values)
    if "service_name" not in values:
        notes = (*notes, f"the service has the default name, {default_of('service_name')}; {HOW_TO_NAME_IT}")
    return Loaded(Settings(**values), tuple(problems), notes, reading.views)


HOW_TO_NAME_IT: Final = "set OTEL_SERVICE_NAME, or configure(service_name=...)"


class _Reading:
    """The values that were given, and what was wrong with others."""

    def __init__(self, arguments: Mapping[str, object], source: Environment) -> None:
        self._arguments = arguments
        self._source = source
        self._file: FileSettings | None = None
        self.values: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()
        self.views: tuple[ViewConfig, ...] = ()
        self.shown_as: dict[str, str] = {}  # where the value of a field was given: variable or argument
        self.problems = [
            f"configure() has no setting {name!r}{variables.did_you_mean(name, FIELDS)}"
            for name in arguments
            if name not in FIELDS
        ]

    def read_file(self) -> None:
        """Read the configuration file, if one is named; where it cannot be used, the environment applies."""
        self.read(CONFIG_FILE)
        path = self.values.get(CONFIG_FILE)
        if path is None:
            return
        from blogauto_otel.config.declarative import load_file  # only where a file is named

        try:
            self._file = file = load_file(path, self._source)
        except Exception as error:  # noqa: BLE001 - a file may hold anything, such as an endless alias
            reason = error if isinstance(error, ConfigurationError) else f"it cannot be read ({type(error).__name__})"
            self.problems.append(f"OTEL_CONFIG_FILE={path!r}: {reason}; using the environment variables")
            return
        self.views = file.views
        self.problems += [f"{path}: {problem}" for problem in file.problems]
        if file.unsupported:
            self.problems.append(f"{path}: not supported and without effect: {', '.join(file.unsupported)}")
        ignored = [
            variable
            for variable in sorted(self._source)
            if variable in variables.OF_SETTINGS and file.replaces(variable) and variable not in file.substituted
        ]
        if ignored:
            self.notes = (f"OTEL_CONFIG_FILE={path!r} applies; ignored: {', '.join(ignored)}",)

    def read(self, name: str) -> None:
        """Read one field."""
        given = self._arguments.get(name)
        try:
            if given is not None:
                self.shown_as[name] = name
                self.values[name] = _from_argument(name, given)
            else:
                self._read_environment(name)
        except ConfigurationError as error:
            self.problems.append(str(error))
        except Exception as error:  # noqa: BLE001 - `str()` of an argument may raise anything
            kind = type(given).__name__
            self.problems.append(f"{name}: expected something other than {kind} ({type(error).__name__})")

    def _read_environment(self, name: str) -> None:
        declared = option_of(name)
        for variable in filter(None, (declared.variable, declared.fallback)):
            raw, self.shown_as[name] = self._raw(variable)
            if raw.strip():  # the specification: empty is the same as unset
                self.values[name] = _parse(name, declared, raw, shown_as=self.shown_as[name])
                break
        if name == "resource_attributes" and self._file is not None and self._file.resource_attributes:
            self.values[name] = MappingProxyType({**self.values.get(name, {}), **self._file.resource_attributes})

    def _raw(self, variable: str) -> tuple[str, str]:
        """The text of a variable, and its source. A file replaces variables of the specification."""
        given, file = self._source.get(variable, ""), self._file
        if file is None or (variable.startswith(PREFIX) and given.strip()):
            return given, variable
        if variable in file.texts or file.replaces(variable):
            node_path = file.node_paths.get(variable, variable)
            return file.texts.get(variable, ""), f"{self.values[CONFIG_FILE]}: {node_path}"
        return given, variable


# --- endpoints -------------------------------------------------------------------------------------------------------

_SIGNALS: Final = ("traces", "metrics", "logs")
_SIGNAL_PATH: Final = lazy_pattern(r"/v1/(?:traces|metrics|logs)/?$")


def _without_signal_path(values: dict[str, Any]) -> Iterable[str]:
    """Remove `/v1/traces` and its siblings from the base URL: the exporter appends them."""
    given = values.get("endpoint")
    if given and (found := _SIGNAL_PATH.search(given)):
        values["endpoint"] = given[: found.start()]
        yield (
            f"OTEL_EXPORTER_OTLP_ENDPOINT={without_credentials(given)!r}: the base URL must not end in "
            f"{found.group()}, which is added for each signal; using {without_credentials(values['endpoint'])}"
        )


def _without_useless_endpoints(values: dict[str, Any], shown_as: Mapping[str, str]) -> Iterable[str]:
    """Remove endpoints without a scheme (`host:port`) whose signals are not all sent by gRPC."""
    base_signals = [signal for signal in _SIGNALS if not values.get(f"{signal}_endpoint")]
    used_by = {"endpoint": base_signals, **{f"{signal}_endpoint": [signal] for signal in _SIGNALS}}
    for name, signals in used_by.items():
        given = values.get(name)
        if given and "://" not in given and not all(_is_grpc(values, signal) for signal in signals):
            del values[name]
            shown = without_credentials(given)
            yield (
                f"{shown_as[name]}={shown!r}: expected an absolute http:// or https:// URL, because the protocol is "
                "http/protobuf (OTEL_EXPORTER_OTLP_PROTOCOL)"
            )


def _is_grpc(values: Mapping[str, Any], signal: str) -> bool:
    """Also true where nothing is sent by OTLP."""
    protocol = values.get(f"{signal}_protocol") or values.get("protocol", default_of("protocol"))
    return protocol == "grpc" or "otlp" not in values.get(f"{signal}_exporter", ("otlp",))


# --- under a test runner ---------------------------------------------------------------------------------------------


def _test_runner(source: Environment) -> str | None:
    """The test runner of this process or of its parent; unittest sets no variable."""
    if "PYTEST_VERSION" in source:
        return "pytest"
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "unittest" if getattr(spec, "name", None) == "unittest.__main__" else None


def _quieten(values: dict[str, Any], runner: str | None) -> tuple[str, ...]:
    """Under a test runner, export only what an endpoint or exporter is set for."""
    if runner is None or values.get("under_test", "quiet") != "quiet":
        return ()
    values.setdefault("console", "off")
    values.setdefault("gc_freeze", False)  # a reference cycle of one test would be frozen during all others
    silent = [
        signal
        for signal in _SIGNALS
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


# --- names from the resource -----------------------------------------------------------------------------------------

# The specification: OTEL_SERVICE_NAME wins over `service.name` in OTEL_RESOURCE_ATTRIBUTES, which wins over a default.
RESOURCE_KEYS: Final = MappingProxyType(
    {
        "service_name": ("service.name",),
        "service_version": ("service.version",),
        "environment": ("deployment.environment.name", "deployment.environment"),
    }
)


def _with_names_of_resource(values: Mapping[str, Any]) -> dict[str, Any]:
    """Take settings that were not given from resource attributes, so that all signals carry one name."""
    attributes: Mapping[str, Any] = values.get("resource_attributes", {})
    named = {
        name: str(attributes[key])
        for name, keys in RESOURCE_KEYS.items()
        for key in reversed(keys)
        if attributes.get(key)
    }
    return {**named, **values}


# --- one value -------------------------------------------------------------------------------------------------------


def _from_argument(name: str, given: object) -> object:
    """Parse an argument as its variable is parsed, so that both accept the same values."""
    declared = option_of(name)
    if declared.unit == "ms":  # durations are seconds in Python, milliseconds in the environment
        in_seconds = dataclasses.replace(declared, parse=number(0.001, 86_400.0, "seconds"))
        return _parse(name, in_seconds, str(given), shown_as=name)
    if isinstance(given, (list, tuple)) and declared.parse in _LISTS:
        one = dataclasses.replace(declared, parse=_LISTS[declared.parse])
        return tuple(_parse(name, one, str(item), shown_as=name) for item in given)
    if isinstance(given, (list, tuple, Mapping)) and not given:
        return MappingProxyType({}) if isinstance(given, Mapping) else ()
    return _parse(name, declared, _as_text(given), shown_as=name)


# Lists whose items may hold the separator that the variable uses.
_LISTS: Final[Mapping[Parser, Parser]] = {words: text, patterns: pattern, comma_patterns: pattern}


def _as_text(given: object) -> str:
    if isinstance(given, Mapping):
        return ",".join(f"{key}={urllib.parse.quote(str(value), safe='/:')}" for key, value in given.items())
    if isinstance(given, (list, tuple)):
        return ",".join(map(str, given))
    return str(given)


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


# --- problems found later --------------------------------------------------------------------------------------------


def warn_or_raise(settings: Settings, problem: str) -> None:
    """Report a problem with a setting that shows only when the setting is used.

    Raises:
        ConfigurationError: `strict` is on.
    """
    if settings.strict:
        raise ConfigurationError(problem)
    log_once(problem, "%s", problem)
