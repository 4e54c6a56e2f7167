"""Instrumentation of ASGI servers: spans, metrics and request ids for HTTP requests and websockets.

FastAPI and Starlette applications are covered without a change; any other ASGI application by `instrument_app`.

| module | contents |
|---|---|
| `middleware` | the wrapper around an application's `__call__` |
| `instrumentation` | start and end of a request: span, metrics, failures |
| `request` | the state of one request, and its classification |
| `routes` | the route tracker, and the interface to a framework's routing table |
| `headers`, `peers` | request id, trace context and baggage; trusted senders |
| `attributes`, `paths` | span attributes; secrets in paths |
| `metrics` | counters and the duration histogram |
| `deferred`, `reported` | spans of unsampled requests, written at the end; errors reported in such requests |
| `hooks` | callbacks for lifespans, failures and context variables |
| `pages` | our own pages, such as `/metrics` |

What is specific to Starlette and FastAPI is in `blogauto_otel.instrumentation.starlette`, which `_framework` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, Final

from blogauto_otel.config import warn_or_raise
from blogauto_otel.instrumentation import Context, Report, State, logging
from blogauto_otel.instrumentation.server import hooks, paths, reported
from blogauto_otel.instrumentation.server.hooks import (
    on_lifespan_shutdown,
    on_lifespan_startup,
    on_request,
    on_request_error,
    on_response,
)
from blogauto_otel.instrumentation.server.instrumentation import ServerInstrumentation, state
from blogauto_otel.instrumentation.server.middleware import EXCLUDED, InstrumentedApp
from blogauto_otel.instrumentation.server.pages import serve, unserve
from blogauto_otel.instrumentation.server.paths import RecordFilter, filter_server_logs, unfilter_server_logs
from blogauto_otel.instrumentation.server.types import ASGIApp

__all__ = [
    "after_fork_in_child",
    "instrument",
    "instrument_app",
    "on_lifespan_shutdown",
    "on_lifespan_startup",
    "on_request",
    "on_request_error",
    "on_response",
    "report",
    "serve",
    "uninstrument",
    "uninstrument_app",
    "unserve",
]

NAME: Final = "asgi"


def instrument_app(app: ASGIApp) -> InstrumentedApp:
    """Wrap an ASGI application of any framework, so that its requests are instrumented like FastAPI's.

    FastAPI and Starlette applications need no wrapper. The route template is read from `scope["path_template"]` or
    from `scope["route"]`; without either, metrics count the request as `unmatched`. The wrapper may be made before or
    after `configure()`; other attributes than `app` are the application's.

    Example:
        >>> async def hello(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200})
        ...     await send({"type": "http.response.body", "body": b"hello"})
        >>> app = instrument_app(hello)
    """
    return app if isinstance(app, InstrumentedApp) else InstrumentedApp(app)


def uninstrument_app(app: Any) -> None:
    """Exclude an application: requests to it are neither traced nor measured, and get no request id.

    For a mounted application the outermost one decides. Our own pages and lifespan callbacks still work.
    `app.blogauto_otel_excluded = True` does the same, and `False` undoes it.
    """
    setattr(app, EXCLUDED, True)


def instrument(context: Context) -> Report:
    """Instrument the requests of every Starlette and FastAPI application of this process, made before or after.

    `context.settings.requests` selects the instrumentation: `own`, `contrib` or `off`. Our own pages and lifespan
    callbacks work with each of them.

    Raises:
        ConfigurationError: `contrib` is selected and not installed, and `strict` is on.
    """
    uninstrument()
    framework = _framework()
    if not framework.is_installed():
        if context.settings.requests == "own":
            _activate(context)  # for `instrument_app`
        return Report(NAME, State.MISSING, "starlette is not installed")
    return _MODES[context.settings.requests](context)


def _framework() -> ModuleType:
    """The one place where the server instrumentation reaches the framework's part."""
    from blogauto_otel.instrumentation import starlette

    return starlette


def _activate(context: Context) -> None:
    state.active = ServerInstrumentation(context)
    _use_hooks(getattr(context, "hooks", None))
    state.record_filter = RecordFilter(state.active.paths)
    filter_server_logs(state.record_filter)
    logging.on_record(state.record_filter.on_log_record, when=paths.possible_secret)
    logging.on_record(reported.on_log_record, level=reported.LEVEL)


def report() -> Report | None:
    """The current report, when another instrumentation has turned up in the requests since; None otherwise."""
    if state.report is None or not state.others:
        return None
    others = "; ".join(f"{name} {effect}" for name, effect in state.others.items())
    return replace(state.report, detail=f"{state.report.detail}; {others}")


def _use_hooks(given: Any) -> None:
    """Call the hooks of `configure(hooks=...)` until `uninstrument`."""
    for name, add in (("server_request", on_request), ("server_response", on_response)):
        hook = getattr(given, name, None)
        if hook is not None:
            add(hook)
            state.hooks.append(hook)


def _instrument_own(context: Context) -> Report:
    _activate(context)
    state.report = Report(NAME, State.ON, _framework().instrument())
    return state.report


def _instrument_contrib(context: Context) -> Report:
    framework = _framework()
    if not framework.has_contrib():
        problem = 'BLOGAUTO_OTEL_REQUESTS=contrib needs pip install "blogauto_otel[fastapi]"; using own'
        warn_or_raise(context.settings, problem)
        _instrument_own(context)
        return Report(NAME, State.ON, "own, because contrib is not installed")
    framework.instrument_with_contrib(context)
    return Report(NAME, State.ON, "contrib")


def _instrument_nothing(_: Context) -> Report:
    _framework().instrument_entrances()
    return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_REQUESTS")


_MODES: Final[Mapping[str, Callable[[Context], Report]]] = {
    "own": _instrument_own,
    "contrib": _instrument_contrib,
    "off": _instrument_nothing,
}


def uninstrument() -> None:
    """Undo `instrument`; pages and callbacks stay registered."""
    _framework().uninstrument()
    unfilter_server_logs()
    if state.record_filter is not None:
        logging.unwatch_records(state.record_filter.on_log_record)
        state.record_filter = None
    logging.unwatch_records(reported.on_log_record)
    if state.active is not None:
        while state.hooks:
            hooks.remove(state.hooks.pop())
        state.active.metrics.active = False
        state.active = state.report = None
        state.others.clear()


def after_fork_in_child() -> None:
    """Count from zero: the parent exports its own counts."""
    state.after_fork_in_child()
