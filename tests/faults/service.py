"""The application under a fault: requests to it, what they should deliver, and what it reports about itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from testkit.console import Line, read_lines
from testkit.processes import TIMEOUT, Process
from testkit.receiver import Receiver

KEEP_ALIVE = 3.0  # seconds; uvicorn closes a connection that is idle for five


@dataclass
class Received:
    """How often each item arrived: spans by id, log records by the id of their span and their body."""

    spans: Counter[str] = field(default_factory=Counter)
    logs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def at(cls, *receivers: Receiver) -> Received:
        """What these receivers have."""
        spans = (span.span_id for receiver in receivers for span in receiver.spans)
        logs = ((record.span_id, str(record.body)) for receiver in receivers for record in receiver.logs)
        return cls(Counter(spans), Counter(logs))

    @property
    def duplicates(self) -> int:
        """Of spans, and of records inside one: records outside may have equal bodies."""
        in_spans = (count for (span, _), count in self.logs.items() if span)
        return sum(count - 1 for count in (*self.spans.values(), *in_spans))


class Client:
    """GET requests, over one connection or over a new one each."""

    def __init__(self, port: int, *, keep_alive: bool = True) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._keep_alive = keep_alive
        self._last_request = 0.0

    def get(self, path: str) -> Any:
        """The JSON of the response.

        Raises:
            AssertionError: The status is not 200: an exception reached the application.
        """
        if not self._keep_alive or time.monotonic() - self._last_request > KEEP_ALIVE:
            self._connection.close()
        try:
            status, body = self._exchange(path)
        except ConnectionError:
            if self._keep_alive:
                raise
            status, body = self._exchange(path)  # a worker that is being replaced closes its connections
        self._last_request = time.monotonic()
        assert status == 200, f"{path}: {status} {body!r}"
        return json.loads(body)

    def _exchange(self, path: str) -> tuple[int, bytes]:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()


class Service:
    """The application under a fault, compared with the control application."""

    def __init__(self, child: Process, control: Client | None, *, keep_alive: bool = True) -> None:
        self.child = child
        self.expected_spans: list[str] = []
        self.expected_logs: list[tuple[str, str]] = []
        self.requested_at: list[float] = []  # `time.monotonic` of each request
        self.latencies: list[tuple[float, float]] = []  # ours and the control's
        self.last: dict[str, Any] = {}
        self.receivers: list[Receiver] = []
        self.exit_seconds: float | None = None
        self._client = Client(child.port, keep_alive=keep_alive)
        self._control = control
        self._baseline: dict[int, int] = {}
        self._peak_growth = 0
        self._ended_at: float | None = None

    # -- requests

    def hit(self, times: int = 100) -> None:
        """Send requests, each with one to the control; the two take turns in going first."""
        for _ in range(times):
            number = len(self.expected_logs)
            if self._control is None:
                self._hit(number)
            elif number % 2:
                ours = _timed(lambda number=number: self._hit(number))  # type: ignore[misc]
                self.latencies.append((ours, _timed(self._hit_control)))
            else:
                control = _timed(self._hit_control)
                self.latencies.append((_timed(lambda number=number: self._hit(number)), control))  # type: ignore[misc]

    def _hit(self, number: int) -> None:
        server, inner = self._client.get(f"/hit/{number}")
        self.expected_spans += (server, inner)
        self.expected_logs.append((inner, f"hit {number}"))
        self.requested_at.append(time.monotonic())

    def _hit_control(self) -> None:
        assert self._control is not None
        self._control.get("/hit/0")

    def run_action(self, name: str, **arguments: Any) -> Any:
        """Run an action inside the application; what it returned."""
        return self._client.get(f"/action/{name}?arguments={urllib.parse.quote(json.dumps(arguments))}")

    def get(self, path: str) -> Any:
        """The JSON of any path."""
        return self._client.get(path)

    def state(self) -> dict[str, Any]:
        """The status of its telemetry now."""
        return dict(self._client.get("/state"))

    def delivery(self, signal: str = "traces") -> dict[str, Any]:
        """The delivery figures of one signal."""
        return dict(self.state()["delivery"][signal])

    # -- the process

    def measure_baseline(self) -> None:
        """Memory growth counts from here on."""
        for process in _family(self.child.pid):
            self._baseline[process.pid] = process.memory_info().rss
            with contextlib.suppress(OSError):
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # reset the high-water mark

    def growth(self) -> int:
        """The most bytes by which any of its processes was above its baseline."""
        peaks = {pid: _peak(pid) for pid in self._baseline}
        return max([self._peak_growth, *(peak - self._baseline[pid] for pid, peak in peaks.items())])

    def end(self, number: int = signal.SIGTERM) -> float:
        """Record its status, signal it and wait; the seconds until it was gone."""
        self.record_status()
        return self.signal_and_wait(number)

    def record_status(self) -> None:
        """Store status and memory growth: it may be gone soon."""
        self.last = self.state()
        self._peak_growth = self.growth()

    def signal_and_wait(self, number: int) -> float:
        """Signal it and wait; the seconds until it was gone."""
        self._client.close()
        self.exit_seconds = self.child.terminate(number)
        self._ended_at = time.monotonic()
        return self.exit_seconds

    @property
    def seconds(self) -> float:
        """Its age, or how old it became."""
        return (self._ended_at or time.monotonic()) - self.child.started

    # -- what it logged and delivered

    @property
    def lines(self) -> list[Line]:
        """Its console output."""
        return read_lines(self.child.output)

    @property
    def own_lines(self) -> list[Line]:
        """What the package itself logged."""
        return [line for line in self.lines if line.is_own]

    @property
    def processes(self) -> int:
        """How many processes logged: each configured telemetry, or was forked from one that did."""
        starts = sum("; on: " in line.text for line in self.own_lines)
        return max(starts, len(self._baseline))

    def lines_with(self, words: str) -> list[str]:
        """Lines of the package that contain these words."""
        return [line.text for line in self.own_lines if words in line.text]

    def received(self) -> Received:
        """What its receivers have."""
        return Received.at(*self.receivers)

    def missing(self) -> dict[str, int]:
        """How many items of its requests no receiver has, by signal."""
        received = self.received()
        missing = {
            "traces": sum(span not in received.spans for span in self.expected_spans),
            "logs": sum(record not in received.logs for record in self.expected_logs),
        }
        return {signal: count for signal, count in missing.items() if count}

    def lost(self) -> dict[str, dict[str, int]]:
        """How many items were counted as lost, by signal and reason; losses at shutdown are in a log line."""
        lost = {
            name: {reason: count for reason, count in figures["dropped"].items() if reason != "superseded"}
            for name, figures in self.last["delivery"].items()
            if name != "spool"
        }
        for text in self.lines_with("not delivered before the end of the process"):
            for count, name in re.findall(r"(\d+) (traces|metrics|logs)", text):
                lost[name]["shutdown"] = lost[name].get("shutdown", 0) + int(count)
        return {name: reasons for name, reasons in lost.items() if reasons}


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _peak(pid: int) -> int:
    """The high-water mark of its memory since the baseline; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
