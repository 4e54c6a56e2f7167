"""Small applications for the command to ask: without telemetry, with it, and with a second server span."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from opentelemetry import trace


def _app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def hello() -> str:
        return "hello"

    return app


class SecondServerSpan:
    """A middleware as some applications have it from the time before."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with trace.get_tracer("homemade").start_as_current_span("request", kind=trace.SpanKind.SERVER):
            await self._app(scope, receive, send)


bare = _app()
configured = _app()
doubled = _app()
doubled.add_middleware(SecondServerSpan)

if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:
    import blogauto_otel

    blogauto_otel.configure()
