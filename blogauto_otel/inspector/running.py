"""Runs the receiver and the page: one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from blogauto_otel import _threads
from blogauto_otel.inspector import is_installed
from blogauto_otel.inspector.receiver import Receiver
from blogauto_otel.inspector.server import build_app
from blogauto_otel.inspector.state import Inspector

LOOPBACK: Final = "127.0.0.1"
PAGE_PORT: Final = 4320  # where it is free
HTTP_PORT, GRPC_PORT = 4318, 4317  # of the specification, where they are free and no command is run
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 3.0
TOKEN_FILE: Final = "token"  # noqa: S105 - the name of a file


@dataclass(frozen=True)
class Running:
    """What runs: the address of the page with its token."""

    inspector: Inspector
    address: str
    token: str
    port: int


@contextlib.contextmanager
def running(
    inspector: Inspector, *, port: int | None = None, folder: Path | None = None, standard_ports: bool = False
) -> Iterator[Running]:
    """A block in which the receiver and the page answer.

    Args:
        inspector: receives and is shown.
        port: of the page. Default: 4320, or a free one if that is taken.
        folder: keeps the token, so that the address is the same after a restart.
        standard_ports: whether the receiver prefers 4318 and 4317.

    Raises:
        OSError: `port` is taken.
        RuntimeError: the server did not start.
    """
    page = _listen(PAGE_PORT if port is None else port, is_optional=port is None)
    http = _listen(HTTP_PORT if standard_ports else 0, is_optional=True)
    token = _token(folder)
    inspector.http_endpoint = f"http://{LOOPBACK}:{_port(http)}"
    app = _Ports(
        build_app(inspector, token=token, port=_port(page)), Receiver(inspector.ingest), receiver_port=_port(http),
        grpc=_Grpc(inspector, GRPC_PORT if standard_ports else 0),
    )  # fmt: skip
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="on", log_config=None, server_header=False,
            timeout_graceful_shutdown=1, ws="none",
        )
    )  # fmt: skip
    thread = _threads.start_thread(lambda: server.run(sockets=[page, http]), "inspector server")
    try:
        _wait_until_started(server, thread)
        yield Running(inspector, f"http://{LOOPBACK}:{_port(page)}/?token={token}", token, _port(page))
    finally:
        inspector.is_stopping = True
        server.should_exit = True
        if thread is not None:
            thread.join(STOP_SECONDS)
        inspector.ingest.stop(STOP_SECONDS)
        page.close()
        http.close()


class _Ports:
    """One application for two sockets: the receiver at its port, the page at any other."""

    def __init__(self, page: ASGIApp, receiver: ASGIApp, *, receiver_port: int, grpc: _Grpc) -> None:
        self._page = page
        self._receiver = receiver
        self._receiver_port = receiver_port
        self._grpc = grpc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._grpc.start()
            try:
                await self._page(scope, receive, send)
            finally:
                await self._grpc.stop()
        elif (scope.get("server") or ("", 0))[1] == self._receiver_port:
            await self._receiver(scope, receive, send)
        else:
            await self._page(scope, receive, send)


class _Grpc:
    """The gRPC receiver, if grpcio is installed."""

    def __init__(self, inspector: Inspector, port: int) -> None:
        self._inspector = inspector
        self._port = port
        self._server: Any = None

    async def start(self) -> None:
        """Listen at the port, or at a free one if it is taken."""
        if not is_installed("grpc"):
            return
        from blogauto_otel.inspector import grpc_receiver

        with _listen(self._port, is_optional=True) as free:  # gRPC would log a port that is taken as an error
            wanted = _port(free)
        self._server, port = grpc_receiver.build_server(self._inspector.ingest, wanted)
        await self._server.start()
        self._inspector.grpc_endpoint = f"{LOOPBACK}:{port}"

    async def stop(self) -> None:
        """End open calls after a moment."""
        if self._server is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._server.stop(0.5)


def _listen(port: int, *, is_optional: bool) -> socket.socket:
    """A listening socket of loopback; of a free port if this one is taken and optional."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        if not is_optional or not port:
            raise
        return _listen(0, is_optional=False)
    listener.listen(128)
    return listener


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _token(folder: Path | None) -> str:
    """A new token; in a folder that keeps the store, the token of the run before."""
    token = secrets.token_urlsafe(24)
    if folder is None:
        return token
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / TOKEN_FILE
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
    return path.read_text().strip() or token


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if thread is None or not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the page did not start")
        time.sleep(0.02)
