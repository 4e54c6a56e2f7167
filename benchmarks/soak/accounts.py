"""What was made, and what arrived: each item once on either side, and nothing kept of it but its number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.soak.load import Answer
from testkit.receiver import Point, Receiver

COUNTED = "blogauto.keywords.analyzed"  # one a request
DROPPED = "blogauto_otel.items.dropped"
SWALLOWED = "blogauto_otel.errors.swallowed"
SPOOLED = "blogauto_otel.items.spooled"
FIGURES = frozenset({COUNTED, DROPPED, SWALLOWED, SPOOLED})


class Made(NamedTuple):
    """When and by whom: what one wants to know of an item that is missing."""

    at: float
    place: str
    pid: int
    forked: bool


@dataclass
class Counted:
    """How many requests a process answered, and how many its metrics counted."""

    last: Made  # the last of them
    answered: int = 0
    counted: int = 0


@dataclass
class Account:
    """One kind of item, by a number that is its own."""

    made: int = 0
    received: int = 0  # of those that were made, each once
    duplicates: int = 0
    pending: dict[int, Made] = field(default_factory=dict)  # made, and not yet received; oldest first
    early: set[int] = field(default_factory=set)  # received before we knew, or made by a request without an answer
    _done: set[int] = field(default_factory=set)

    def make(self, item: int, made: Made) -> None:
        self.made += 1
        if item in self.early:
            self.early.remove(item)
            self._finish(item)
        else:
            self.pending[item] = made

    def receive(self, item: int) -> None:
        if self.pending.pop(item, None) is not None:
            self._finish(item)
        elif item in self._done or item in self.early:
            self.duplicates += 1
        else:
            self.early.add(item)

    def _finish(self, item: int) -> None:
        self.received += 1
        self._done.add(item)


class Books:
    """The accounts of spans and log records, and what each process last said of itself in metrics."""

    def __init__(self) -> None:
        self.spans, self.logs = Account(), Account()
        self.answered: dict[int, Counted] = {}  # by process
        self.unanswered = 0  # a connection that ended with its worker: what it made, if anything, is nobody's guess
        self.troubles: Counter[str] = Counter()
        self._pids: dict[str, int] = {}  # by instance
        self._figures: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in FIGURES}

    def answer(self, answer: Answer) -> None:
        """Note what a request made."""
        if answer.trouble:
            self.troubles[answer.trouble] += 1
        if not answer.spans:
            self.unanswered += 1
            return
        made = Made(answer.at, answer.place, answer.pid, answer.forked)
        by = self.answered.setdefault(answer.pid, Counted(made))
        by.answered, by.last = by.answered + 1, made
        for span in answer.spans:
            self.spans.make(int(span, 16), made)
        self.logs.make(answer.number, made)

    def receive(self, receiver: Receiver) -> None:
        """Note what arrived, and let the receiver forget it."""

        def everything(receiver: Receiver) -> bool:  # asked while nothing else can arrive
            for span in receiver.spans:
                if span.name == "inner" or span.kind == "SERVER":
                    self.spans.receive(int(span.span_id, 16))
            for record in receiver.logs:
                if record.scope == "soak":
                    self.logs.receive(int(str(record.body).removeprefix("soak ")))
            for point in receiver.metrics:
                self._measure(point)
            receiver.clear()
            return True

        receiver.wait_for(everything)

    def _measure(self, point: Point) -> None:
        if point.name in FIGURES and point.value is not None:
            labels = (str(point.attributes.get(key, "")) for key in ("signal", "reason", "where"))
            key = (point.instance, *labels)
            if point.name == COUNTED:
                self._pids[point.instance] = int(point.resource["process.pid"])
            latest = self._figures[point.name]
            latest[key] = max(point.value, latest.get(key, 0.0))  # what comes from disk comes late

    def figure(self, name: str) -> dict[str, float]:
        """What all processes counted under that name, by whatever they told apart."""
        found: Counter[str] = Counter()
        for (_, *labels), value in self._figures[name].items():
            if value:
                found[" ".join(filter(None, labels))] += int(value)
        return dict(found)

    def uncounted(self) -> Iterator[Counted]:
        """Processes whose metrics say less than their answers do: their last collection has not arrived."""
        found: Counter[int] = Counter()
        for (instance, *_), value in self._figures[COUNTED].items():
            found[self._pids[instance]] += int(value)
        for pid, by in self.answered.items():
            by.counted = found[pid]
            if by.counted < by.answered:
                yield by

    def missing(self) -> Iterator[tuple[str, Made]]:
        """What was made and has not arrived."""
        for kind, account in (("span", self.spans), ("log record", self.logs)):
            for made in account.pending.values():
                yield kind, made
