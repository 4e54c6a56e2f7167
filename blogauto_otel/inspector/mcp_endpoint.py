"""The path of the page where agents ask; `mcp` is imported by the first request, because that takes half a second."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from blogauto_otel.inspector import is_installed
from blogauto_otel.inspector.state import Inspector

PATH: Final = "/mcp"
MISSING: Final = "mcp is missing: pip install 'blogauto_otel[dev]'\n"


class McpEndpoint:
    """An ASGI application that starts its sessions at the first request, in a task of their own."""

    def __init__(self, inspector: Inspector, *, port: int) -> None:
        self._inspector = inspector
        self._port = port
        self._starting: asyncio.Task[ASGIApp] | None = None
        self._sessions: asyncio.Task[None] | None = None
        self._ends = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not is_installed("mcp"):
            await PlainTextResponse(MISSING, 501)(scope, receive, send)
            return
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        app = await asyncio.shield(self._starting)
        await app(scope, receive, send)

    async def stop(self) -> None:
        """End the sessions."""
        self._ends.set()
        if self._sessions is not None:
            await asyncio.wait([self._sessions], timeout=1.0)

    async def _start(self) -> ASGIApp:
        from anyio import to_thread

        server, app = await to_thread.run_sync(self._build)
        is_open = asyncio.Event()
        self._sessions = asyncio.create_task(self._hold_open(server, is_open))
        await is_open.wait()
        return app

    def _build(self) -> tuple[Any, ASGIApp]:
        from blogauto_otel.inspector import mcp_server

        return mcp_server.build_http(self._inspector, path=PATH, port=self._port)

    async def _hold_open(self, server: Any, is_open: asyncio.Event) -> None:
        """Enter and leave the sessions in one task, as their cancel scopes demand."""
        async with server.session_manager.run():
            is_open.set()
            await self._ends.wait()
