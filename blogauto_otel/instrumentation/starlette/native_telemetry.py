"""FastAPI's own telemetry (0.142 and later) stands down for requests that we watch, so that nothing is told twice.

It does so for a request whose scope has the key `fastapi.telemetry`. That is not documented, so it is tried out on the
FastAPI that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from blogauto_otel.instrumentation.server.types import MARK, Scope

KEY: Final = "fastapi.telemetry"


class _Probe:
    """Stands in for FastAPI's telemetry, switched on, and notes whether it is asked for."""

    was_asked = False

    def enabled(self) -> bool:
        return True

    async def __call__(self, **_: object) -> None:
        self.was_asked = True


def native_is_suppressed(
    fastapi: Callable[..., Any], call: Callable[..., Coroutine[Any, Any, None]], scope: Scope
) -> bool:
    """Whether this FastAPI leaves a request with this `scope` alone; one without telemetry of its own does."""
    app = fastapi(openapi_url=None)
    if not hasattr(app, "_native_telemetry"):
        return True
    probe = app._native_telemetry = _Probe()

    async def answer(*_: object) -> None:
        pass

    app.middleware_stack = answer
    # As complete as a server's, because somebody else's wrapper may be on the way and read it.
    asked = {"method": "GET", "path": "/", "root_path": "", "query_string": b"", "headers": [], MARK: True}
    running = call(app, {"type": "http", **asked, **scope}, None, None)
    try:
        running.send(None)  # nothing in it waits, so one step is all of it
    except StopIteration:
        return not probe.was_asked
    running.close()
    return False
