"""Source context: the lines of source around each frame of the application.

Sentry's SDK reads the file of every frame for each event. Here the lines come from `linecache`, where printing a
traceback has put them, and only for frames that are not of a known library.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

CONTEXT_LINES: Final = 5
MAX_LINE_LENGTH: Final = 256
# By the first part of a module's name, because an application may be installed in site-packages, too.
LIBRARIES: Final = frozenset(
    ("aiohttp", "anyio", "blogauto_otel", "celery", "click", "concurrent", "fastapi", "gunicorn", "h11", "httpcore")
) | {"httptools", "httpx", "hypercorn", "multipart", "opentelemetry", "pydantic", "redis", "requests", "sentry_sdk"} | {
    "sqlalchemy", "starlette", "tenacity", "urllib3", "uvicorn", "uvloop", "websockets", "wrapt"
}  # fmt: skip


def add_source(event: Mapping[str, Any]) -> None:
    """Add the lines to the frames of every exception of an event that is not serialised yet."""
    for frame in _frames(event):
        module = str(frame.get("module") or "").partition(".")[0]
        if module not in LIBRARIES and module not in sys.stdlib_module_names and "context_line" not in frame:
            _add_lines(frame)


def _frames(event: Mapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    for exception in (event.get("exception") or {}).get("values") or ():
        stacktrace = exception.get("stacktrace")
        if isinstance(stacktrace, Mapping):  # Sentry replaces one that is too long
            yield from stacktrace.get("frames") or ()


def _add_lines(frame: MutableMapping[str, Any]) -> None:
    number = frame.get("lineno") or 0
    lines = linecache.getlines(str(frame.get("abs_path")))
    if not 0 < number <= len(lines):
        return
    first = max(0, number - 1 - CONTEXT_LINES)
    shown = [line.rstrip("\r\n")[:MAX_LINE_LENGTH] for line in lines[first : number + CONTEXT_LINES]]
    here = number - 1 - first
    frame["pre_context"], frame["context_line"], frame["post_context"] = shown[:here], shown[here], shown[here + 1 :]
