"""Requests to FastAPI and Starlette applications: spans, metrics, request ids, and the pages we answer ourselves.

| module | what for |
|---|---|
| `patches` | what is changed in Starlette and FastAPI, and put back |
| `middleware` | the way through us, by kind of connection |
| `observer` | what is said of a request at its beginning and its end |
| `request`, `routes` | what is noted while it lasts, and how it ended |
| `headers`, `peers` | what is taken from headers; which senders are trusted |
| `attributes`, `paths` | what a span says; secrets in paths |
| `metrics`, `cells` | counts, series, the duration |
| `late`, `reported`, `background` | spans after the fact; errors reported in unsampled requests; background tasks |
| `lifespan`, `hooks` | the ends of an application; what other parts of ours hang in |
| `pages` | who answers the path of a page of ours |
| `native`, `contrib` | the two other telemetries of requests |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata, util
from typing import Final

from blogauto_otel.config import warn_or_raise
from blogauto_otel.instrumentation import Context, Report, State, logging
from blogauto_otel.instrumentation.server import middleware, paths, reported
from blogauto_otel.instrumentation.server.hooks import (
    on_lifespan_shutdown,
    on_lifespan_startup,
    on_request_error,
    serve,
    unserve,
)
from blogauto_otel.instrumentation.server.instrumentation import Observer
from blogauto_otel.instrumentation.starlette import patches

__all__ = [
    "after_fork_in_child",
    "instrument",
    "on_lifespan_shutdown",
    "on_lifespan_startup",
    "on_request_error",
    "serve",
    "uninstrument",
    "unserve",
]

NAME: Final = "asgi"

_contrib_is_on = False


def instrument(context: Context) -> Report:
    """Watch the requests of every Starlette and FastAPI application of this process, made before or after.

    `context.settings.requests` says who watches: `own`, `contrib` or `off`. In any case our own pages are served and
    the end of the lifespan is watched.

    Raises:
        ConfigurationError: `contrib` is asked for and not installed, and `strict` is on.
    """
    if util.find_spec("starlette") is None:
        return Report(NAME, State.MISSING, "starlette is not installed")
    uninstrument()
    return _WAYS[context.settings.requests](context)


def _own(context: Context) -> Report:
    middleware.observer = Observer(context)
    paths.watch_access_log(middleware.observer.paths)
    logging.on_record(reported.on_log_record)
    patches.apply()
    return Report(NAME, State.ON, ", ".join(_versions()))


def _versions() -> Iterator[str]:
    for name in ("FastAPI", "Starlette"):
        try:
            yield f"{name} {metadata.version(name.lower())}"
        except metadata.PackageNotFoundError:
            continue


def _contrib(context: Context) -> Report:
    global _contrib_is_on
    from blogauto_otel.instrumentation.starlette import contrib

    if not contrib.is_installed():
        problem = 'BLOGAUTO_OTEL_REQUESTS=contrib needs pip install "blogauto_otel[fastapi]"; using own'
        warn_or_raise(context.settings, problem)
        return replace(_own(context), detail="own, because contrib is not installed")
    patches.apply(patches.ENTRANCES)
    contrib.instrument(context)
    _contrib_is_on = True
    return Report(NAME, State.ON, "contrib")


def _off(_: Context) -> Report:
    patches.apply(patches.ENTRANCES)
    return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_REQUESTS")


_WAYS: Final[Mapping[str, Callable[[Context], Report]]] = {"own": _own, "contrib": _contrib, "off": _off}


def uninstrument() -> None:
    """Put everything back; pages and callbacks stay registered with those who registered them."""
    global _contrib_is_on
    patches.remove()
    paths.unwatch_access_log()
    logging.unwatch_records(reported.on_log_record)
    if middleware.observer is not None:
        middleware.observer.metrics.active = False
        middleware.observer = None
    if _contrib_is_on:
        from blogauto_otel.instrumentation.starlette import contrib

        _contrib_is_on = False
        contrib.uninstrument()


def after_fork_in_child() -> None:
    """Count from zero: what the parent counted, the parent sends."""
    if middleware.observer is not None:
        middleware.observer.metrics.reset()
