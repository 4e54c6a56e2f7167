"""The measurements of docs/decisions/0050: what a file costs, and for how long an item is in memory only.

python -m tests.spool.measure
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from blogauto_otel.otlp.encoder import encode_resource
from blogauto_otel.otlp.protobuf import LENGTH, message, tag
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.otlp.values import ITEM
from blogauto_otel.spool.directory import SpoolLimits
from blogauto_otel.spool.file_format import StoredRequest, decode, encode
from blogauto_otel.spool.store import Spool
from testkit import receiver as peer
from testkit.otlp import SERVER_ATTRIBUTES
from testkit.receiver import Receiver
from tests.export.delivery import ENCODER, RESOURCE, SCOPE, delivering, enqueue
from tests.export.redactors import Nothing
from tests.otlp.decoding import finished

SPANS = 512
ROUNDS = 200


def _attributes(number: int) -> dict[str, object]:
    """Twelve, of which three are never the same."""
    path = f"/api/content/saved/{number}"
    return {**SERVER_ATTRIBUTES, "url.path": path, "request.id": os.urandom(16).hex(), "user.id": os.urandom(4).hex()}


def a_batch() -> StoredRequest:
    """A request of server spans, as a file holds it."""
    name = "GET /api/content/saved/{content_id}"
    spans = b"".join(ENCODER.span(finished(name, attributes=_attributes(number))) for number in range(SPANS))
    request = message(tag(1, LENGTH), encode_resource(RESOURCE, Nothing()) + message(ITEM, SCOPE + spans))
    return StoredRequest(Signal.TRACES, SPANS, request)


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> str:
    """The median over the rounds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return f"{statistics.median(times) * 1e3:.3f} ms"


def ways_to_write(folder: Path, data: bytes, *, fsync: bool) -> Iterator[tuple[str, Callable[[], object]]]:
    """Ways to put the same bytes on disk so that a kill leaves nothing half."""
    numbers = iter(range(10**9))

    def one_file() -> None:
        path = folder / f"{next(numbers)}"
        with path.with_suffix(".tmp").open("xb", buffering=0) as file:
            file.write(data)
            if fsync:
                os.fsync(file.fileno())
        path.with_suffix(".tmp").rename(path)

    log = (folder / "log").open("ab", buffering=0)

    def append() -> None:
        log.write(struct.pack("<II", len(data), zlib.crc32(data)) + data)
        if fsync:
            os.fsync(log.fileno())

    connection = sqlite3.connect(folder / "sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if fsync else 'OFF'}")
    connection.execute("CREATE TABLE stored (id INTEGER PRIMARY KEY, data BLOB)")
    yield "one file, renamed", one_file
    yield "append to a log", append
    yield "SQLite, WAL", lambda: connection.execute("INSERT INTO stored (data) VALUES (?)", (data,))


def costs() -> None:
    request = a_batch()
    data = encode(request)
    print(f"{SPANS} spans: {len(request.content) / 1e3:.0f} KB, {len(data) / 1e3:.0f} KB in the file")
    print(
        "encode",
        milliseconds(lambda: encode(request)),
        "- decode",
        milliseconds(lambda: decode(data, max_content=10**9)),
    )
    for fsync in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            ways = ways_to_write(Path(folder), data, fsync=fsync)
            print("with fsync:" if fsync else "without:", ", ".join(f"{way} {milliseconds(do)}" for way, do in ways))
    for files in (0, 1000, 4000):
        with tempfile.TemporaryDirectory() as folder:
            _cost_of_the_spool(Path(folder) / "spool", request, files)


def _cost_of_the_spool(directory: Path, request: StoredRequest, files: int) -> None:
    spool = Spool(directory, SpoolLimits(2**40), lambda *_: None)
    for _ in range(files):
        spool.write(StoredRequest(request.signal, 1, b""))

    def write_and_take() -> None:
        segment = spool.write(request, claim=True)
        spool.read(segment)
        spool.delete(segment)

    print(f"the spool, {files} files in it: write, read and delete {milliseconds(write_and_take)},", end=" ")
    print(f"look {milliseconds(spool.scan)}")


@contextmanager
def _refusing() -> Iterator[Receiver]:
    with Receiver() as receiver:
        receiver.stop()
        yield receiver


@contextmanager
def _answering(answer: peer.Answer) -> Iterator[Receiver]:
    with Receiver() as receiver:
        receiver.answer(answer)
        yield receiver


COLLECTORS: dict[str, Callable[[], AbstractContextManager[Receiver]]] = {
    "answers": lambda: _answering(peer.ok()),
    "refuses connections": _refusing,
    "accepts and stays silent": lambda: _answering(peer.silence()),
    "answers 503": lambda: _answering(peer.status(503)),
    "answers 503, Retry-After: 30": lambda: _answering(peer.status(503, retry_after=30)),
}


def windows(collector: str, seconds: float = 20.0) -> tuple[float, float]:
    """The longest that an item was in memory only, at a steady rate with the default settings: first, and later."""
    longest = [0.0, 0.0]
    with (
        tempfile.TemporaryDirectory() as folder,
        COLLECTORS[collector]() as receiver,
        delivering(receiver, spool_dir=folder, span_delay=1.0) as delivery,
    ):
        queue = delivery._queues[Signal.TRACES]
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            enqueue(delivery, ["span"])
            late = now > until - seconds / 4
            longest[late] = max(longest[late], now - (queue.oldest_in_memory_only or now))
            time.sleep(0.01)
    return longest[0], longest[1]


if __name__ == "__main__":
    costs()
    for collector in COLLECTORS:
        print("in memory only while the Collector {}: {:.1f} s, then {:.1f} s".format(collector, *windows(collector)))
