"""The lines of source around a frame of the application; those of libraries stand in their repositories.

Sentry's SDK reads the file of every frame anew for each event. Here they come from `linecache`, where printing a
traceback has put them, and only for code that its reader has written.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

AROUND: Final = 5
MAX_LINE: Final = 256
# By the first word of a module's name: an application may be installed where libraries are.
LIBRARIES: Final = frozenset(
    ("aiohttp", "anyio", "blogauto_otel", "celery", "click", "concurrent", "fastapi", "gunicorn", "h11", "httpcore")
) | {"httptools", "httpx", "hypercorn", "multipart", "opentelemetry", "pydantic", "redis", "requests", "sentry_sdk"} | {
    "sqlalchemy", "starlette", "tenacity", "urllib3", "uvicorn", "uvloop", "websockets", "wrapt"
}  # fmt: skip


def add_source(event: Mapping[str, Any]) -> None:
    """Put the lines on the frames of every exception of an event that has not been serialised yet."""
    for frame in _frames(event):
        module = str(frame.get("module") or "").partition(".")[0]
        if module not in LIBRARIES and module not in sys.stdlib_module_names and "context_line" not in frame:
            _add(frame)


def _frames(event: Mapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    for exception in (event.get("exception") or {}).get("values") or ():
        stacktrace = exception.get("stacktrace")
        if isinstance(stacktrace, Mapping):  # it is something else when it was too long
            yield from stacktrace.get("frames") or ()


def _add(frame: MutableMapping[str, Any]) -> None:
    number = frame.get("lineno") or 0
    lines = linecache.getlines(str(frame.get("abs_path")))
    if not 0 < number <= len(lines):
        return
    first = max(0, number - 1 - AROUND)
    shown = [line.rstrip("\r\n")[:MAX_LINE] for line in lines[first : number + AROUND]]
    here = number - 1 - first
    frame["pre_context"], frame["context_line"], frame["post_context"] = shown[:here], shown[here], shown[here + 1 :]
