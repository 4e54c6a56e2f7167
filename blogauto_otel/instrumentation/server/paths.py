"""Secrets in paths: the value of a parameter with a secret's name, as in `/reset/{token}`.

Such a path is replaced by its template, on the span and in every log record of the request. Servers log a request after
it has ended, so that the task keeps the path of its last request until the next one.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from blogauto_otel._guard import swallow
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.api.context import SCOPE
from blogauto_otel.api.text import safe_text
from blogauto_otel.instrumentation.server.request import Request
from blogauto_otel.redaction import Redactor

# Loggers of servers. A filter covers them also where log records are not instrumented.
SERVER_LOGGERS: Final = (
    "uvicorn.access",
    "uvicorn.error",
    "hypercorn.access",
    "hypercorn.error",
    "gunicorn.access",
    "gunicorn.error",
    "granian.access",
    "_granian",
)

_PARAMETER: Final = lazy_pattern(r"\{([^{}:]+)")
MAX_CACHED: Final = 1024

# Fields of a record that are not made of the application's text.
_FIELDS_OF_LOGGING: Final = frozenset(
    {"name", "pathname", "filename", "module", "funcName", "levelname", "processName", "threadName", "taskName"}
)
_SCALARS: Final = (int, float, type(None), BaseException)


class SecretPath(NamedTuple):
    """The spellings of a path with a secret in it, and its template."""

    spellings: tuple[str, ...]
    template: str

    def replace_in(self, text: str) -> str:
        """The text with the template in place of the path; the same object when the path is not in it."""
        for spelling in self.spellings:
            if spelling in text:
                text = text.replace(spelling, self.template)
        return text


def possible_secret() -> object:
    """None when no log record of this task can contain a secret path: outside of requests, and after one without."""
    scope = SCOPE.get()
    if type(scope) is Request:
        route = scope.route
        if route is None:
            return scope
        if scope.safe_route is not route:  # the first record of the request
            template = scope.find_template()
            if template is None or scope.secrets.known.get(template) is not False:
                return scope
            scope.safe_route = route
        return None
    return scope if scope.is_request or scope.secret_path is not None else None


class SecretPaths:
    """Decides which templates have a secret parameter, with a cache."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.known: BoundedMemo[str, bool] = BoundedMemo(MAX_CACHED)

    def has_secret_parameter(self, template: str) -> bool:
        """Whether a parameter of this template has the name of a secret."""
        known = self.known.get(template)
        if known is None:
            found = any(map(self._redactor.is_secret_key, _PARAMETER.findall(template)))
            known = self.known.remember(template, found)
        return known

    def find(self, request: Request) -> SecretPath | None:
        """The path of a request, if it has a secret in it."""
        found = request.secret_path
        if isinstance(found, SecretPath):
            return found
        route, template = request.route, request.path_template()
        if template is None:
            return None
        known = self.known.get(template)
        if not (self.has_secret_parameter(template) if known is None else known):
            request.safe_route = route
            return None
        path, raw = request.scope.get("path", ""), request.scope.get("raw_path") or b""
        spellings = {path, quote(path), raw.partition(b"?")[0].decode("latin-1")} - {"", "/"}
        return SecretPath(tuple(sorted(spellings, key=len, reverse=True)), request.with_root(template))

    def remember(self, request: Request) -> SecretPath | None:
        """The same; the request has it from here on, for tasks that outlive it, too. Ask `known` first."""
        try:
            request.secret_path = found = self.find(request)
        except BaseException as error:
            if not swallow("finding a secret in a path", error):
                raise
            return None
        return found


# --- log records ------------------------------------------------------------------------------------------------------


class RecordFilter(logging.Filter):
    """Replaces secret paths in log records, in place; every record passes."""

    def __init__(self, paths: SecretPaths) -> None:
        super().__init__()
        self._paths = paths

    def filter(self, record: logging.LogRecord) -> bool:
        """For the loggers of servers."""
        self.on_log_record(record)
        return True

    def on_log_record(self, record: logging.LogRecord) -> None:
        """For every record, before any handler has it."""
        try:
            scope = SCOPE.get()
            secret = self._paths.find(scope) if isinstance(scope, Request) else scope.secret_path
            if isinstance(secret, SecretPath):
                _replace(record, secret)
        except BaseException as error:
            if not swallow("replacing a path in a log record", error):
                raise


def _replace(record: logging.LogRecord, secret: SecretPath) -> None:
    fields = record.__dict__
    for name, value in tuple(fields.items()):
        if type(value) is str and name not in _FIELDS_OF_LOGGING:
            fields[name] = secret.replace_in(value)
    arguments = record.args
    if isinstance(arguments, tuple):
        record.args = tuple(_without_secret(value, secret) for value in arguments)
    elif isinstance(arguments, Mapping):
        record.args = _mapping_without_secret(arguments, secret)


def _mapping_without_secret(arguments: Mapping[str, Any], secret: SecretPath) -> Mapping[str, Any]:
    """A copy of the same class, because gunicorn and hypercorn format by mappings of their own."""
    changed: Any = copy.copy(arguments)
    for name, value in tuple(changed.items()):
        changed[name] = _without_secret(value, secret)
    return changed  # type: ignore[no-any-return]


def _without_secret(value: Any, secret: SecretPath) -> Any:
    """The value, or its text without the path: a URL object has the path in its text."""
    if isinstance(value, _SCALARS):
        return value
    text = value if isinstance(value, str) else safe_text(value)
    replaced = secret.replace_in(text)
    return value if replaced is text else replaced


def filter_server_logs(filtering: RecordFilter) -> None:
    """Put the filter on the loggers of servers."""
    for name in SERVER_LOGGERS:
        logging.getLogger(name).addFilter(filtering)


def unfilter_server_logs() -> None:
    """Remove every filter of ours."""
    for name in SERVER_LOGGERS:
        logger = logging.getLogger(name)
        for ours in [known for known in logger.filters if isinstance(known, RecordFilter)]:
            logger.removeFilter(ours)
