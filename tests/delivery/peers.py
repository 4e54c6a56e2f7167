"""Peers that say whatever bytes a test wants, where the receiver is too well-behaved."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


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
def refusing() -> Iterator[str]:
    """The address of a port that nobody listens on, and that nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
