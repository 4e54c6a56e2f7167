"""The inspector under a burst of spans: what is stored, how soon the page shows it, and what that costs.

    python -m benchmarks.inspector

`blogauto-otel dev` receives 5,000 spans a second as a process of its own, while a reader asks for what the page shows.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.table import print_table
from testkit.processes import Process, eventually, python, running

RATE, SECONDS, BATCH, TRACE = 5000, 20, 500, 10  # spans a second, for so long, in a request, in a trace
GOAL_SECONDS = 1.0  # until new data is visible
PATHS = (
    "/api/requests",
    "/api/requests?q=status>=500",
    "/api/endpoints",
    "/api/statements",
    "/api/errors",
    "/api/services",
)


def batches(count: int) -> Iterator[bytes]:
    """Export requests as a service with SQL sends them; made before the clock starts, all but their times."""
    for _ in range(count):
        message = ExportTraceServiceRequest()
        group = message.resource_spans.add()
        _set(group.resource.attributes, {"service.name": "shop", "service.instance.id": "1", "host.name": "vm"})
        scoped = group.scope_spans.add()
        scoped.scope.name = "bench"
        for _ in range(BATCH // TRACE):
            _trace(scoped)
        yield message.SerializeToString()


def _trace(scoped: Any) -> None:
    trace_id, root = os.urandom(16), os.urandom(8)
    now = time.time_ns()
    failed = random.random() < 0.02
    for index in range(TRACE):
        span = scoped.spans.add(trace_id=trace_id, span_id=os.urandom(8) if index else root, kind=3 if index else 2)
        span.start_time_unix_nano = now + index * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + random.randrange(10_000, 5_000_000)
        if index:
            span.parent_span_id = root
            span.name = "SELECT posts"
            table = random.randrange(20)
            _set(span.attributes, {
                "db.system.name": "postgresql", "db.namespace": "shop", "db.operation.name": "SELECT",
                "db.collection.name": f"posts_{table}", "db.query.summary": f"SELECT posts_{table}",
                "db.query.text": f"SELECT id, title, body FROM posts_{table} WHERE author = ? ORDER BY id LIMIT ?",
                "server.address": "db", "request.id": trace_id.hex(),
            })  # fmt: skip
        else:
            span.name = f"GET /posts/{random.randrange(10)}"
            _set(span.attributes, {
                "http.request.method": "GET", "url.path": "/posts/1", "http.route": span.name[4:], "url.scheme": "http",
                "http.response.status_code": 500 if failed else 200, "server.address": "localhost",
                "request.id": trace_id.hex(), "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64)",
                "client.address": "127.0.0.1", "network.protocol.version": "1.1",
            })  # fmt: skip


def _set(target: Any, found: dict[str, str | int]) -> None:
    for key, value in found.items():
        pair = target.add(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value


class Load:
    """Sends the batches at the rate; a refused one again, as exporters do."""

    def __init__(self, port: int) -> None:
        self.refused = 0
        self.late = 0.0  # seconds behind the rate at the end
        self._port = port
        self._bodies = list(batches(RATE * SECONDS // BATCH))

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        started = time.monotonic()
        for number, body in enumerate(self._bodies):
            due = started + number * BATCH / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            while not self._accepted(connection, body):
                self.refused += 1
                time.sleep(0.2)
        self.late = max(0.0, time.monotonic() - started - SECONDS)

    def _accepted(self, connection: http.client.HTTPConnection, body: bytes) -> bool:
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        response.read()
        return response.status == 200


class Reader:
    """Asks as the page does, over one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(self, path: str) -> Any:
        began = time.monotonic()
        try:
            self._connection.request("GET", path.replace(">", "%3E"), headers=self._headers)
            response = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # the server closes connections that are idle for some seconds
            self._connection.close()
            return self.get(path)
        body = json.loads(response.read())
        assert response.status == 200, body
        self.times[path].append(time.monotonic() - began)
        return body

    def run(self, load: threading.Thread) -> None:
        while load.is_alive():
            for path in PATHS:
                self.get(path)
                newest = self.get("/api/requests?limit=1")["requests"]
                if newest:
                    self.times["a trace of it"].append(self._trace(newest[0]["trace_id"]))
            time.sleep(0.25)

    def _trace(self, trace_id: str) -> float:
        began = time.monotonic()
        self.get(f"/api/traces/{trace_id}")
        return time.monotonic() - began


def visible_after(reader: Reader, port: int) -> float:
    """Seconds from the request of an exporter to the row on the page."""
    (body,) = batches(1)
    wanted = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    connection.getresponse().read()
    path = f"/api/requests?q=trace:{wanted}&limit=1"
    eventually(lambda: reader.get(path), lambda found: bool(found["requests"]), every=0.02)
    return time.monotonic() - began


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_seconds(pid: int) -> float:
    """Seconds that the threads of the process were ready to run and had no processor: others took it."""
    found = [path.read_text().split()[1] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(map(int, found)) / 1e9


def memory(pid: int, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def started(child: Process) -> tuple[int, str, int]:
    """Port and token of the page, and port of the receiver."""
    found = eventually(
        lambda: re.search(r"127.0.0.1:(\d+)/\?token=(\S+); OTLP at http://127.0.0.1:(\d+)", child.output), timeout=30
    )
    assert found
    return int(found[1]), found[2], int(found[3])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "dev.log"
        with running(python("-m", "blogauto_otel", "dev", "--port", "0"), log) as child:
            measure(child)


def measure(child: Process) -> None:
    page, token, receiver = started(child)
    idle = memory(child.pid, "VmRSS")
    load, reader = Load(receiver), Reader(page, token)
    quiet = [visible_after(reader, receiver) for _ in range(5)]
    reader.times.clear()
    thread = threading.Thread(target=load.run)
    cpu, waited, began = cpu_seconds(child.pid), waited_seconds(child.pid), time.monotonic()
    thread.start()
    during: list[float] = []
    watcher = threading.Thread(target=lambda: during.extend(_watch(thread, page, token, receiver)))
    watcher.start()
    reader.run(thread)
    watcher.join()
    cpu, waited = cpu_seconds(child.pid) - cpu, waited_seconds(child.pid) - waited
    elapsed = time.monotonic() - began
    ended = time.monotonic()
    expected = RATE * SECONDS + (len(quiet) + len(during)) * BATCH
    store = eventually(lambda: reader.get("/api/status")["store"], lambda found: _received(found) >= expected)
    behind = time.monotonic() - ended
    sent = RATE * SECONDS
    received = _received(store) - (len(quiet) + len(during)) * BATCH
    used = (idle, memory(child.pid, "VmRSS"), memory(child.pid, "VmHWM"))
    print_table(
        f"Inspector: {RATE} spans/s for {SECONDS} s in requests of {BATCH}, read at the same time",
        ["figure", "value"],
        [
            ["spans sent / received / dropped", f"{sent} / {received} / {store['dropped']}"],
            ["requests refused, sender late", f"{load.refused}, {load.late:.2f} s"],
            ["all stored after the last request", f"{behind:.1f} s"],
            ["CPU of the process", f"{cpu / elapsed:.0%} of a core"],
            ["ready without a processor, in all threads", f"{waited / elapsed:.0%} of the time"],
            ["memory: at start / now / peak", " / ".join(f"{found:.0f}" for found in used) + " MiB"],
            ["store", f"{store['spans']} spans, {store['bytes'] / 2**20:.0f} MiB"],
            [f"visible after, quiet (goal: {GOAL_SECONDS:g} s)", f"{statistics.median(quiet):.2f} s"],
            ["visible after, in the burst: median / worst", f"{statistics.median(during):.2f} / {max(during):.2f} s"],
        ],
    )  # fmt: skip
    rows = [
        [name, str(len(found)), f"{statistics.median(found) * 1000:.0f}", f"{max(found) * 1000:.0f}"]
        for name, found in sorted(reader.times.items())
        if name in PATHS or name == "a trace of it"
    ]
    print_table("Answers during the burst, milliseconds", ["path", "asked", "median", "worst"], rows)


def _received(store: Any) -> int:
    return int(store["spans"] + store["evicted_spans"] + store["dropped"])


def _watch(load: threading.Thread, page: int, token: str, receiver: int) -> Iterator[float]:
    reader = Reader(page, token)
    while load.is_alive():
        yield visible_after(reader, receiver)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
