"""The spool compared with a model: several processes, crashes before and after any change, no item is missing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from blogauto_otel.spool.file_format import StoredRequest
from blogauto_otel.spool.store import ClaimedSegment
from tests.spool.failing_disk import Crash, ManualClock, Store, a_request, contents, item, items

BUDGET = 3000  # bytes: six files or so
AGE = 500.0  # seconds
PROCESSES = 3

process = st.integers(0, PROCESSES - 1)
size = st.integers(1, 12)  # items
MOMENTS = 40  # more than any one piece of work has: two for each change of the disk
crash = st.one_of(st.none(), st.integers(0, 9), st.integers(0, MOMENTS - 1))  # at which of them the process dies


class SpoolModel(RuleBasedStateMachine):
    """What the directory must hold, whatever happens: all that was acknowledged and neither delivered nor counted."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp()) / "spool"
        self.clock = ManualClock()
        self.processes: list[Store] = []
        self.segments: list[tuple[ClaimedSegment, StoredRequest] | None] = []
        self.acknowledged: set[bytes] = set()  # that `write` has acknowledged
        self.perhaps: set[bytes] = set()  # may be delivered: the process died while sending, or they are sent twice
        self.lost = 0  # by processes that are gone
        self.serial = 0

    @initialize()
    def begin(self) -> None:
        self.processes = [self._process() for _ in range(PROCESSES)]
        self.segments = [None] * PROCESSES

    def _process(self) -> Store:
        return Store(self.directory, clock=self.clock, bytes=BUDGET, age=AGE)

    def teardown(self) -> None:
        if self.processes:
            for index in range(PROCESSES):
                self.restart(index)
            self._check({one for request in self.processes[0].drain() for one in items(request)})
        shutil.rmtree(self.directory.parent)

    def _new(self, count: int) -> StoredRequest:
        self.serial += count
        return a_request(*range(self.serial - count, self.serial))

    def _die(self, index: int) -> None:
        store = self.processes[index]
        self.lost += sum(store.losses().values()) + store.dropped_uncounted()
        store.die()
        self.processes[index], self.segments[index] = self._process(), None

    # -- what may happen

    @rule(who=process, count=size, crash=crash)
    def write(self, who: int, count: int, crash: int | None) -> None:
        request = self._new(count)
        self._attempt(who, crash, request, lambda store: store.spool.write(request))

    @rule(who=process, count=size, crash=crash)
    def add_to_segment(self, who: int, count: int, crash: int | None) -> None:
        """As the spooler does: write the whole file again, in place of the old one."""
        request, before = self._new(count), self.segments[who]
        joined, old = request, None
        if before is not None and self.processes[who].spool.exists(before[0]):
            old = before[0]
            joined = StoredRequest(request.signal, before[1].items + request.items, before[1].content + request.content)
        segment = self._attempt(who, crash, request, lambda store: store.spool.write(joined, claim=True, replaces=old))
        if segment is not None:
            self.segments[who] = (segment, joined)

    def _attempt(self, who: int, crash: int | None, request: StoredRequest, write: Any) -> ClaimedSegment | None:
        store = self.processes[who]
        store.disk.die_at(crash)
        try:
            segment: ClaimedSegment = write(store)
        except Crash:
            self.perhaps.update(items(request))
            self._die(who)
            return None
        except OSError:  # no room, and it was not acknowledged
            return None
        finally:
            self._done(store)
        self.acknowledged.update(items(request))
        return segment

    @rule(who=process, crash=crash)
    @precondition(lambda self: any(self.segments))
    def close_segment(self, who: int, crash: int | None) -> None:
        segment = self.segments[who]
        if segment is not None:
            self.segments[who] = None
            self._or_die(who, crash, lambda store: store.spool.release(segment[0]))

    @rule(who=process, crash=crash, arrives=st.booleans())
    def send_the_oldest(self, who: int, crash: int | None, arrives: bool) -> None:
        def send(store: Store) -> None:
            if not store.spool.lock():
                return
            for file in store.spool.recover()[:1]:
                segment = store.spool.claim(file)
                assert segment is not None
                request = store.spool.read(segment)
                assert request is not None
                if arrives:
                    self.acknowledged.difference_update(items(request))  # and if we die now, it arrives twice
                    self.perhaps.update(items(request))
                    store.spool.delete(segment)
                else:
                    store.spool.release(segment)
            store.spool.unlock()

        self._or_die(who, crash, send)

    def _or_die(self, who: int, crash: int | None, work: Any) -> None:
        store = self.processes[who]
        store.disk.die_at(crash)
        try:
            work(store)
        except Crash:
            self._die(who)
        finally:
            self._done(store)

    def _done(self, store: Store) -> None:
        assert store.disk.moments < MOMENTS  # or there were one at which no process ever dies
        store.disk.die_at(None)

    @rule(who=process)
    def restart(self, who: int) -> None:
        self._die(who)

    @rule(seconds=st.sampled_from([1.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    @rule(seconds=st.sampled_from([-1e9, -3600.0, 3600.0, 1e9]))
    def the_calendar_jumps(self, seconds: float) -> None:
        self.clock.now = max(1e9, self.clock.now + seconds)

    # -- what must hold

    @invariant()
    def nothing_acknowledged_is_missing(self) -> None:
        if self.directory.exists():
            self._check({one for request in contents(self.directory) for one in items(request)})

    def _check(self, found: set[bytes]) -> None:
        known = {item(number) for number in range(self.serial)}
        assert found <= known
        lost = self.lost + sum(sum(store.losses().values()) for store in self.processes)
        missing = self.acknowledged - found
        assert len(missing) <= lost <= len(missing) + len(self.perhaps - found)

    @invariant()
    def the_budget_is_kept(self) -> None:
        if self.directory.exists():
            sizes = [path.stat().st_size for path in self.directory.iterdir()]
            unfinished = sum(path.stat().st_size for path in self.directory.glob("*.tmp-*"))
            assert sum(sizes) - unfinished <= BUDGET


SpoolModel.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestSpoolModel: Any = SpoolModel.TestCase
