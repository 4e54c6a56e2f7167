"""The client of one receiver: sends the requests of one signal, and decides from the results when to send the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from blogauto_otel._clock import clock
from blogauto_otel._guard import log_once
from blogauto_otel.export.outage_log import OutageLog
from blogauto_otel.export.queue import Queue
from blogauto_otel.export.retry import RETAINABLE_REASONS, ReceiverState, RetryPolicy
from blogauto_otel.export.stats import SignalCounters
from blogauto_otel.export.transport import ExportResult, ExportStatus, Transport
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.file_format import StoredRequest

if TYPE_CHECKING:
    from blogauto_otel.spool.store import ClaimedSegment


def do_nothing(*_: object) -> None:
    """The default of callbacks."""


class ExportClient:
    """Sends requests of one signal. Used by one thread at a time; `state` is a value that any thread may read."""

    def __init__(
        self, signal: Signal, endpoint: str, transport: Transport, policy: RetryPolicy, outages: OutageLog
    ) -> None:
        self.transport = transport
        self.policy = policy
        self.endpoint = endpoint
        self.state = ReceiverState()
        self.counters = SignalCounters()
        self.on_connectivity_change: Callable[[], None] = do_nothing
        self.busy_since = 0.0  # when the current request, or the preparation of it, began
        self._signal = signal
        self._outages = outages
        self._flush_failed_at = float("-inf")  # not in `state`: a flush sets it while another thread sends

    def send(self, body: bytes, deadline: float) -> ExportResult:
        """Send a request. `record` must follow, once its items are safe."""
        started = self.busy_since = clock.monotonic()
        result = self.transport.send(body, deadline)
        self.counters.requests += 1
        self.counters.request_seconds += clock.monotonic() - started
        return result

    def record(self, result: ExportResult) -> None:
        """Update the state by the result of a request."""
        before = self.state
        if result.status is ExportStatus.RETRY:
            self.counters.retries += 1
            self.counters.last_error = result.message
            self.state = self.policy.failed(before, result, clock.monotonic())
            self.on_connectivity_change()
            self._outages.failed(self.endpoint, self._signal, result)
            return
        self.state = self.policy.answered(before)
        if before.is_failing:
            self._outages.succeeded(self.endpoint, self._signal)
            self.on_connectivity_change()
        if result.status is ExportStatus.REFUSED:
            self.counters.last_error = result.message

    def count_rejected(self, items: int, result: ExportResult, queue: Queue) -> int:
        """Count and log the items of an accepted request that the receiver rejected; returns their number."""
        rejected = min(result.rejected, items)
        if rejected:
            queue.count(drop_reasons.REJECTED, rejected)
        if result.message or rejected:
            self.counters.last_error = f"{rejected} rejected: {result.message}"
            log_once(
                f"rejected {self._signal.value}",
                "%s rejected %d of %d %s: %s",
                self.endpoint, rejected, items, self._signal.value, result.message or "no reason given",
            )  # fmt: skip
        return rejected

    def flush_timeout(self, deadline: float) -> float:
        """Seconds that a flush waits for an answer."""
        now = clock.monotonic()
        return self.policy.flush_timeout(self.state, now=now, deadline=deadline, flush_failed_at=self._flush_failed_at)

    def record_failed_flush(self) -> None:
        """Remember that a flush found no receiver; the next one waits for a shorter time."""
        self._flush_failed_at = clock.monotonic()

    def delay_replay(self) -> None:
        """Remember that the receiver refused a stored request for a reason that may be fixed."""
        self.state = replace(self.state, replay_at=clock.monotonic() + self.policy.replay_after_refusal)


class Replay:
    """Sends stored requests again, one at a time."""

    def __init__(self, signal: Signal, client: ExportClient, queue: Queue) -> None:
        self.on_replayed: Callable[[ClaimedSegment, bool], None] = do_nothing  # True: the file is not needed any more
        self._signal = signal
        self._client = client
        self._queue = queue
        self._requests: deque[tuple[ClaimedSegment, StoredRequest]] = deque()  # at most one

    def __bool__(self) -> bool:
        """Whether a stored request is to be sent."""
        return bool(self._requests)

    def seconds_until_wanted(self, now: float) -> float:
        """Seconds until a stored request could be sent; infinite while there is one."""
        state = self._client.state
        return float("inf") if self._requests else max(state.retry_at, state.replay_at) - now

    def add(self, segment: ClaimedSegment, request: StoredRequest) -> None:
        """Send this request next; `on_replayed` is called with its segment afterwards."""
        self._requests.append((segment, request))

    def return_all(self) -> None:
        """Return the segment that is not sent yet."""
        while self._requests:
            try:
                self.on_replayed(self._requests.popleft()[0], False)
            except IndexError:  # another thread has taken it
                break

    def send(self, deadline: float) -> None:
        """Send the stored request, if there is one."""
        try:
            segment, request = self._requests.popleft()
        except IndexError:
            return
        done = False
        try:
            result = self._client.send(request.content, deadline)
            self._client.record(result)
            done = self._is_done(request, result)
        finally:
            self.on_replayed(segment, done)

    def _is_done(self, request: StoredRequest, result: ExportResult) -> bool:
        """Count the result; False when the request stays on disk."""
        if result.status is ExportStatus.RETRY:
            return False
        if result.status is ExportStatus.DELIVERED:
            rejected = self._client.count_rejected(request.items, result, self._queue)
            self._client.counters.redelivered += request.items - rejected
            return True
        retained = result.reason in RETAINABLE_REASONS
        if retained:
            self._client.delay_replay()
        else:
            self._queue.count(result.reason, request.items)
        log_once(
            f"refused kept {self._signal.value} {result.reason}",
            "%s refuses %s that were kept on disk, %s: %s",
            self._client.endpoint, self._signal.value,
            "where they stay for now" if retained else "and they are lost", result.message,
        )  # fmt: skip
        return not retained
