"""Reconciliation: each item that the application recorded against what the receiver got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.soak.load import LoadResponse
from testkit.receiver import Point, Receiver

COUNTED = "blogauto.keywords.analyzed"  # one a request
DROPPED = "blogauto_otel.items.dropped"
SWALLOWED = "blogauto_otel.errors.swallowed"
SPOOLED = "blogauto_otel.items.spooled"
METRICS = frozenset({COUNTED, DROPPED, SWALLOWED, SPOOLED})


class Origin(NamedTuple):
    """When and by which process an item was recorded; for the report when it is missing."""

    at: float
    server: str
    pid: int
    forked: bool


@dataclass
class RequestCount:
    """How many requests a process answered, and how many its metrics counted."""

    last: Origin  # of the last request
    answered: int = 0
    counted: int = 0


@dataclass
class Items:
    """The items of one kind, each by a number of its own."""

    recorded: int = 0
    received: int = 0  # of those recorded, each once
    duplicates: int = 0
    pending: dict[int, Origin] = field(default_factory=dict)  # recorded and not yet received; oldest first
    unmatched: set[int] = field(default_factory=set)  # received before the response, or of a request without one
    _done: set[int] = field(default_factory=set)

    def record(self, item: int, origin: Origin) -> None:
        """The application recorded it."""
        self.recorded += 1
        if item in self.unmatched:
            self.unmatched.remove(item)
            self._finish(item)
        else:
            self.pending[item] = origin

    def receive(self, item: int) -> None:
        """The receiver got it."""
        if self.pending.pop(item, None) is not None:
            self._finish(item)
        elif item in self._done or item in self.unmatched:
            self.duplicates += 1
        else:
            self.unmatched.add(item)

    def _finish(self, item: int) -> None:
        self.received += 1
        self._done.add(item)


class Reconciliation:
    """Spans and log records recorded and received, and the last metrics of each process."""

    def __init__(self) -> None:
        self.spans, self.logs = Items(), Items()
        self.requests: dict[int, RequestCount] = {}  # by process
        self.unanswered = 0  # the connection ended with its worker: whether items were recorded is unknown
        self.errors: Counter[str] = Counter()
        self._pids: dict[str, int] = {}  # by instance
        self._metrics: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in METRICS}

    def add(self, answer: LoadResponse) -> None:
        """Add what a request recorded."""
        if answer.error:
            self.errors[answer.error] += 1
        if not answer.spans:
            self.unanswered += 1
            return
        origin = Origin(answer.at, answer.server, answer.pid, answer.forked)
        count = self.requests.setdefault(answer.pid, RequestCount(origin))
        count.answered, count.last = count.answered + 1, origin
        for span in answer.spans:
            self.spans.record(int(span, 16), origin)
        self.logs.record(answer.number, origin)

    def receive(self, receiver: Receiver) -> None:
        """Add what arrived, and clear the receiver."""

        def everything(receiver: Receiver) -> bool:  # called while nothing else can arrive
            for span in receiver.spans:
                if span.name == "inner" or span.kind == "SERVER":
                    self.spans.receive(int(span.span_id, 16))
            for record in receiver.logs:
                if record.scope == "soak":
                    self.logs.receive(int(str(record.body).removeprefix("soak ")))
            for point in receiver.metrics:
                self._add_point(point)
            receiver.clear()
            return True

        receiver.wait_for(everything)

    def _add_point(self, point: Point) -> None:
        if point.name in METRICS and point.value is not None:
            labels = (str(point.attributes.get(key, "")) for key in ("signal", "reason", "where"))
            key = (point.instance, *labels)
            if point.name == COUNTED:
                self._pids[point.instance] = int(point.resource["process.pid"])
            latest = self._metrics[point.name]
            latest[key] = max(point.value, latest.get(key, 0.0))  # points from disk arrive out of order

    def metric(self, name: str) -> dict[str, float]:
        """The sum over all processes, by attributes."""
        found: Counter[str] = Counter()
        for (_, *labels), value in self._metrics[name].items():
            if value:
                found[" ".join(filter(None, labels))] += int(value)
        return dict(found)

    def uncounted(self) -> Iterator[RequestCount]:
        """Processes whose metrics count fewer requests than they answered: their last collection is missing."""
        found: Counter[int] = Counter()
        for (instance, *_), value in self._metrics[COUNTED].items():
            found[self._pids[instance]] += int(value)
        for pid, count in self.requests.items():
            count.counted = found[pid]
            if count.counted < count.answered:
                yield count

    def missing(self) -> Iterator[tuple[str, Origin]]:
        """What was recorded and has not arrived."""
        for kind, items in (("span", self.spans), ("log record", self.logs)):
            for origin in items.pending.values():
                yield kind, origin
