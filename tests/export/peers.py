"""Peers that send any bytes that a test needs, and a receiver for gRPC."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc

from blogauto_otel.otlp.protobuf import message, varint
from testkit.receiver import Receiver, Request


class Peer:
    """Answers every connection with the same bytes, one request after the other."""

    def __init__(self, said: bytes, *, close: bool = True, pause: float = 0.0) -> None:
        self._said = said
        self._close = close
        self._pause = pause
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/traces"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while _read_request(connection):
                if not self._pause:
                    connection.sendall(self._said)
                for byte in self._said if self._pause else b"":
                    connection.sendall(bytes((byte,)))
                    threading.Event().wait(self._pause)
                if self._close:
                    return

    def stop(self) -> None:
        self._listener.close()


def _read_request(connection: socket.socket) -> bool:
    heard = b""
    while b"\r\n\r\n" not in heard:
        more = connection.recv(65_536)
        if not more:
            return False
        heard += more
    head, _, body = heard.partition(b"\r\n\r\n")
    missing = int(head.rpartition(b"Content-Length: ")[2]) - len(body)
    while missing > 0:
        missing -= len(connection.recv(65_536))
    return True


@contextlib.contextmanager
def saying(said: bytes, *, close: bool = True, pause: float = 0.0) -> Iterator[Peer]:
    peer = Peer(said, close=close, pause=pause)
    try:
        yield peer
    finally:
        peer.stop()


@contextlib.contextmanager
def hanging_up() -> Iterator[str]:
    """Accepts each connection, and closes it at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """A URL whose port refuses connections and is not given to another program."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


# --- gRPC -------------------------------------------------------------------------------------------------------------

Reply = Callable[[Any], bytes]  # of the call's context, which it may abort

_PATHS: Final = {"TraceService": "/v1/traces", "MetricsService": "/v1/metrics", "LogsService": "/v1/logs"}


class GrpcReceiver(Receiver, grpc.GenericRpcHandler):  # type: ignore[misc] # grpcio has no types
    """The receiver over gRPC; `reply` answers a call; a call that it does not abort counts as received.

    Args:
        key: The server's private key, in PEM; without one, it speaks without TLS.
        certificate: The server's certificate.
        clients: The authority whose clients are admitted; with one, every client needs a certificate.
    """

    def __init__(
        self, *, key: Path | None = None, certificate: Path | None = None, clients: Path | None = None
    ) -> None:
        super().__init__()
        self._tls = (key, certificate, clients)
        self.reply: Reply = lambda _: b""
        self._grpc: Any = None

    def start(self) -> None:
        """See `Receiver`."""
        self._grpc = grpc.server(ThreadPoolExecutor(4))
        self._grpc.add_generic_rpc_handlers([self])
        key, certificate, clients = (path.read_bytes() if path is not None else None for path in self._tls)
        address = f"127.0.0.1:{self.port}"
        if key is None:
            self.port = self._grpc.add_insecure_port(address)
        else:
            secured = grpc.ssl_server_credentials(
                [(key, certificate)], clients, require_client_auth=clients is not None
            )
            self.port = self._grpc.add_secure_port(address, secured)
        self._grpc.start()

    def stop(self) -> None:
        """See `Receiver`."""
        server, self._grpc = self._grpc, None
        if server is not None:
            server.stop(None).wait()

    def service(self, details: Any) -> Any:
        """Implement `grpc.GenericRpcHandler`: every method exists."""
        path = _PATHS[details.method.split("/")[1].rpartition(".")[2]]
        headers = dict(details.invocation_metadata)

        def handle(body: bytes, context: Any) -> bytes:
            try:
                answer = self.reply(context)
            except Exception:  # `abort` raises it
                code = context.code().value[0]
                self.store(Request(path, headers, body, body, time.time(), code), received=False)
                raise
            self.store(Request(path, headers, body, body, time.time(), 0), received=True)
            return answer

        return grpc.unary_unary_rpc_method_handler(handle)


def failing(code: Any, words: str = "", *, wait: float | None = None) -> Reply:
    """A status, perhaps with a google.rpc.RetryInfo of so many seconds."""

    def reply(context: Any) -> bytes:
        if wait is not None:
            status = _asking_for(int(wait), int(wait % 1 * 1e9))
            context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(code, words)
        raise AssertionError("abort raises")

    return reply


def _asking_for(seconds: int, nanos: int) -> bytes:
    """A google.rpc.Status with a RetryInfo in it."""
    duration = b"\x08" + varint(seconds) + b"\x10" + varint(nanos)
    retry_info = message(b"\x0a", duration)
    packed = message(b"\x0a", b"type.googleapis.com/google.rpc.RetryInfo") + message(b"\x12", retry_info)
    return b"\x08\x08" + message(b"\x1a", packed)
