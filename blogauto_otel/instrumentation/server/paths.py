"""Secrets in paths: the value of a parameter with a secret's name, as in `/reset/{token}`.

Such a path is replaced by its template, on the span and in uvicorn's access log.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.server.request_context import current
from blogauto_otel.redaction import Redactor

ACCESS_LOG: Final = "uvicorn.access"
PATH_INDEX: Final = 2  # in the arguments of a record: client, method, path with query, version, status

_PARAMETER: Final = re.compile(r"\{([^{}:]+)")
MAX_CACHED: Final = 1024


class SecretPaths:
    """Decides which templates have a secret parameter, with a cache."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._cache: dict[str, bool] = {}

    def has_secret_parameter(self, template: str) -> bool:
        """Whether a parameter of this template has the name of a secret."""
        known = self._cache.get(template)
        if known is None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            known = self._cache[template] = any(map(self._redactor.is_secret_key, _PARAMETER.findall(template)))
        return known


class AccessFilter(logging.Filter):
    """Replaces secret paths in uvicorn's access log while requests are instrumented."""

    def __init__(self, paths: SecretPaths) -> None:
        super().__init__()
        self._paths = paths

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; it always passes."""
        with guard("reading an access log record"):
            request, arguments = current.get(), record.args
            if request is None or not isinstance(arguments, tuple) or len(arguments) <= PATH_INDEX:
                return True
            template = request.find_template() or request.match_template()
            if template is not None and self._paths.has_secret_parameter(template):
                _, mark, query = str(arguments[PATH_INDEX]).partition("?")
                replaced = (f"{template}{mark}{query}",)
                record.args = arguments[:PATH_INDEX] + replaced + arguments[PATH_INDEX + 1 :]
        return True


def filter_access_log(paths: SecretPaths) -> None:
    """Filter uvicorn's access log; a second call replaces the filter."""
    unfilter_access_log()
    logging.getLogger(ACCESS_LOG).addFilter(AccessFilter(paths))


def unfilter_access_log() -> None:
    """Remove the filter."""
    logger = logging.getLogger(ACCESS_LOG)
    for ours in [known for known in logger.filters if isinstance(known, AccessFilter)]:
        logger.removeFilter(ours)
