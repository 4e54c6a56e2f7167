"""Secrets in paths: what stands there is one when its route calls it so, as in `/reset/{token}`.

Such a path is told as its template, on the span and in the line that uvicorn logs of the request.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.server.request import current
from blogauto_otel.redaction import Redactor

ACCESS_LOG: Final = "uvicorn.access"
PATH_OF_RECORD: Final = 2  # among its arguments: client, method, path with query, version, status

_PARAMETER: Final = re.compile(r"\{([^{}:]+)")
MAX_REMEMBERED: Final = 1024


class Paths:
    """Says of a template whether paths of it are told, and remembers the answer."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._remembered: dict[str, bool] = {}

    def has_secret_parameter(self, template: str) -> bool:
        """Whether a parameter of this template has the name of a secret."""
        known = self._remembered.get(template)
        if known is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            known = self._remembered[template] = any(map(self._redactor.is_secret_key, _PARAMETER.findall(template)))
        return known


class AccessFilter(logging.Filter):
    """On uvicorn's access log, while requests are watched."""

    def __init__(self, paths: Paths) -> None:
        super().__init__()
        self._paths = paths

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; it always passes."""
        with guard("reading an access log record"):
            request, arguments = current.get(), record.args
            if request is None or not isinstance(arguments, tuple) or len(arguments) <= PATH_OF_RECORD:
                return True
            template = request.find_template() or request.match_template()
            if template is not None and self._paths.has_secret_parameter(template):
                _, mark, query = str(arguments[PATH_OF_RECORD]).partition("?")
                told = (f"{template}{mark}{query}",)
                record.args = arguments[:PATH_OF_RECORD] + told + arguments[PATH_OF_RECORD + 1 :]
        return True


def watch_access_log(paths: Paths) -> None:
    """Filter what uvicorn logs of requests; again is the same with the new paths."""
    unwatch_access_log()
    logging.getLogger(ACCESS_LOG).addFilter(AccessFilter(paths))


def unwatch_access_log() -> None:
    """Leave it alone."""
    logger = logging.getLogger(ACCESS_LOG)
    for ours in [known for known in logger.filters if isinstance(known, AccessFilter)]:
        logger.removeFilter(ours)
