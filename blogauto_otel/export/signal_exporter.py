"""The way of one signal: its queue, its destination, when to send, and what is known of the receiver."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._guard import log_once
from blogauto_otel._locks import ExclusiveLock
from blogauto_otel.export.drop_log import Losses
from blogauto_otel.export.outages import Outages
from blogauto_otel.export.queue import Batch, Queue, grouped
from blogauto_otel.export.transport import RETRY_AFTER_MIN, TIMEOUT, ExportResult, ExportStatus, Transport
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.protobuf import LENGTH, message, tag
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.otlp.values import ITEM
from blogauto_otel.spool.file_format import StoredRequest

if TYPE_CHECKING:
    from blogauto_otel.spool.store import ClaimedSegment

_RESOURCE: Final = tag(1, LENGTH)  # resource_spans, resource_logs, resource_metrics

BACKOFF_FIRST: Final = 0.1  # seconds before the first retry; each further one waits half as long again
BACKOFF_FACTOR: Final = 1.5
BACKOFF_AT_FIRST: Final = RETRY_AFTER_MIN  # the longest wait while it answers, and has refused for a short time only
AT_FIRST: Final = 10.0  # seconds; a receiver that refuses most but not all of it has taken something by then
BACKOFF_ANSWERED: Final = 5.0  # the longest wait while it answers
BACKOFF_AWAY: Final = 30.0  # the longest wait while it does not

PATIENCE: Final = 1.5  # seconds that a flush spends on a receiver that is not known to be there
PATIENCE_AGAIN: Final = 0.3  # seconds that the next flush spends on it, when it comes soon after
SOON: Final = 5.0

# An item goes to disk when its delay is over and nobody is there to take it. A receiver that is merely slow, or asks
# for patience, is given some: memory is the shorter way.
GRACE: Final = 5.0  # seconds that an item may stay in memory beyond its delay
BUSY: Final = 2.0  # seconds for which refusals, without a success between them, are taken for a passing overload

# Refusals that are about the way, or about us, not about what was sent: what is on disk waits until they are mended.
MENDABLE: Final = frozenset(
    f"http_{status}" for status in (301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 501)
) | frozenset({"grpc_7", "grpc_12", "grpc_16"})
MENDING: Final = 60.0  # seconds before trying that again

_random = random.SystemRandom()  # jitter that an application's `random.seed` does not align between its processes


@dataclass(frozen=True)
class SignalStats:
    """How delivery of one signal stands.

    `accepted` = `sent` + `spooled` + `queue_items` + `dropped`, except for the reasons `too_large`, `unserialisable`
    and `after_shutdown` (those items were never accepted), and `spool_full`, `spool_expired` and `spool_damaged` (those
    had been spooled, by this process or another).
    """

    accepted: int  # items that were queued
    sent: int  # items that the receiver took
    dropped: Mapping[str, int]  # items lost, by reason
    retries: int  # requests that have to be sent again
    requests: int  # requests sent
    request_seconds: float  # time they took, all in all
    queue_items: int  # items waiting or on their way
    queue_bytes: int
    high_water: int  # the most items that ever waited
    oldest_age: float  # seconds that the oldest one has been waiting
    last_error: str | None  # what the receiver, or the way to it, said last
    spooled: int = 0  # items that went to disk instead
    redelivered: int = 0  # items from disk that the receiver took, whichever process put them there

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self) | {"dropped": dict(self.dropped)}


@dataclass(frozen=True)
class Pace:
    """When to send, and how much at once."""

    delay: float  # seconds that an item waits for company; for metrics, between two collections
    batch_items: int
    request_bytes: int
    timeout: float  # seconds for one request


class SignalExporter:
    """One signal on its way out. `sending` is held by whoever takes from the queue: the worker, or a flush."""

    def __init__(
        self,
        signal: Signal,
        place: str,
        transport: Transport,
        queue: Queue,
        pace: Pace,
        resource: bytes,
        kept_resource: bytes,
    ) -> None:
        self.signal = signal
        self.place = place
        self.queue = queue
        self.transport = transport
        self.turned: Callable[[], None] = _nothing  # called when the receiver went away, or is back
        self.finished: Callable[[ClaimedSegment, bool], None] = (
            _nothing  # called when a file is done with; True: for good
        )
        self.outages = Outages()  # one for all lanes, which who builds them sets
        self.sending = ExclusiveLock()
        self._flushes: list[None] = []  # one for each flush under way; its length is changed atomically
        self._pace = pace
        self._resource = resource
        self._kept_resource = kept_resource  # of what is sent from disk
        self._handed: deque[tuple[ClaimedSegment, StoredRequest]] = deque()  # from disk, to be sent; at most one
        self._mending_until = 0.0
        self._spooled = 0
        self._counting = threading.RLock()  # of what went to disk: several threads see to that
        self._redelivered = 0
        self._reachable: bool | None = None  # unknown before the first request
        self._failures = 0
        self._failing_since = 0.0
        self._retry_at = 0.0
        self._busy_since = 0.0  # when the request under way, or what precedes it, began
        self._gave_up_at = float("-inf")  # when a flush found nobody
        self._sent = 0
        self._retries = 0
        self._requests = 0
        self._request_seconds = 0.0
        self._last_error: str | None = None
        self._losses = Losses(signal)

    # -- the worker's turn

    def due_in(self, now: float) -> float:
        """Seconds until something is to be sent; infinite when nothing waits."""
        return min(self._due_in(now), max(0.0, self._retry_at - now) if self._handed else float("inf"))

    def _due_in(self, now: float) -> float:
        """The same for what is in memory."""
        oldest = self.queue.oldest
        if oldest is None:
            return float("inf")
        full = len(self.queue) >= self._pace.batch_items or self.queue.bytes >= self._pace.request_bytes
        return max((now if full else oldest + self._pace.delay), self._retry_at) - now

    def work(self) -> bool:
        """Send one request, and one from disk; True when that went well and there may be more to do."""
        if self._flushes or not self.sending.acquire(blocking=False):
            return False  # a flush is at it, or waits for its turn
        try:
            self._busy_since = time.monotonic()
            self.refill()
            sent = None
            if self._due_in(time.monotonic()) <= 0:
                sent = self._send_batch(time.monotonic() + self._pace.timeout)
            if self._handed and self._retry_at <= time.monotonic():
                self._send_handed(time.monotonic() + self._pace.timeout)
            return sent is not None and sent[1].status is not ExportStatus.RETRY
        finally:
            self.sending.release()

    def refill(self, *, now: bool = False) -> None:
        """Fetch what does not come by itself; nothing does for spans and log records."""

    def tell_losses(self) -> bool:
        """Tell once that a loss begins, and once that it is over; True while one lasts."""
        return self._losses.look(self.queue.dropped, over=self._failures == 0)

    # -- flush

    def has_work(self) -> bool:
        """Whether a flush has anything to do here."""
        return self.queue.items_in_hand > 0

    def drain(self, deadline: float, *, accepted: int, last: bool) -> bool:
        """Send what waited when so many items had been accepted; True when it was taken.

        A receiver that does not answer costs `PATIENCE` at most. With `last` there is no later: one attempt is made
        even if the receiver asked to be left alone.
        """
        self._flushes.append(None)
        try:
            if self._seize(deadline):
                return self._drain_and_release(deadline, accepted, last=last)
            self.refill(now=True)  # what cannot be sent now can be kept
            return False
        finally:
            self._flushes.pop()

    def _drain_and_release(self, deadline: float, accepted: int, *, last: bool) -> bool:
        try:
            self._busy_since = time.monotonic()
            self.refill(now=True)
            if not last and self._failures and self._reachable and self._retry_at > deadline:
                return False
            return self._drain(deadline, accepted)
        finally:
            self.sending.release()

    def _allowance(self, deadline: float) -> float:
        """How long to wait for an answer."""
        now = time.monotonic()
        if self._reachable:
            return max(PATIENCE, (deadline - now) / 2)
        return PATIENCE_AGAIN if now - self._gave_up_at < SOON else PATIENCE

    def _seize(self, deadline: float) -> bool:
        """Take over from whoever sends. A request that is stuck is broken off, and was the attempt."""
        waited_for, allowance = -1.0, 0.0
        while self._busy_since != waited_for:  # another request has begun: it is getting on
            waited_for, allowance = self._busy_since, max(allowance, self._allowance(deadline))
            until = min(deadline, waited_for + allowance)
            if self.sending.acquire(timeout=max(0.0, until - time.monotonic())):
                return True
        if time.monotonic() - waited_for >= allowance:
            self._gave_up_at = time.monotonic()
            self.transport.abort()
            if self.sending.acquire(timeout=0.2):  # its items are back in the queue
                self.sending.release()
        return False

    def _drain(self, deadline: float, accepted: int) -> bool:
        later = 0 if self.latest_only else self.queue.accepted - accepted  # they may wait for their turn
        to_go = len(self.queue) - later
        unanswered, allowance = 0, 0.0
        while to_go > 0:
            known, allowance = self._reachable, max(allowance, self._allowance(deadline))  # it may have answered since
            now = time.monotonic()
            sent = self._send_batch(min(deadline, now + allowance, now + self._pace.timeout))
            if sent is None:
                return True
            count, result = sent
            if result.status is not ExportStatus.RETRY:
                to_go -= count
                continue
            unanswered += not result.answered
            if unanswered and (not known or result.reason == TIMEOUT or unanswered == 3):
                self._gave_up_at = time.monotonic()
                return False
            if self._retry_at >= deadline:
                return False
            time.sleep(max(0.0, self._retry_at - time.monotonic()))
        return True

    def end(self) -> None:
        """Close the connection, or break off what is still under way on it."""
        if self.sending.acquire(blocking=False):
            self.transport.close()
            self.sending.release()
        else:
            self.transport.abort()

    # -- one request

    def _send_batch(self, deadline: float) -> tuple[int, ExportResult] | None:
        """How many items were sent, and what became of them; None when nothing waits."""
        batch = self.queue.take(self._pace.batch_items, self._pace.request_bytes)
        if batch is None:
            return None
        try:
            result = self._post(_request(self._resource, batch), deadline)
        except BaseException:
            self._put_back(batch)
            raise
        _AFTERWARDS[result.status](self, batch, result)
        return len(batch), result

    def _post(self, body: bytes, deadline: float) -> ExportResult:
        started = self._busy_since = time.monotonic()
        result = self.transport.send(body, deadline)
        self._requests += 1
        self._request_seconds += time.monotonic() - started
        return result

    def _delivered(self, batch: Batch, result: ExportResult) -> None:
        self._answered()
        if not self._settle(batch):
            return
        rejected = self._rejected(len(batch), result)
        self._sent += len(batch) - rejected

    def _rejected(self, items: int, result: ExportResult) -> int:
        """How many of a request that was taken were not."""
        rejected = min(result.rejected, items)
        if rejected:
            self.queue.count(drop_reasons.REJECTED, rejected)
        if result.message or rejected:
            self._last_error = f"{rejected} rejected: {result.message}"
            log_once(
                f"rejected {self.signal.value}",
                "%s rejected %d of %d %s: %s",
                self.place, rejected, items, self.signal.value, result.message or "no reason given",
            )  # fmt: skip
        return rejected

    def _refused(self, batch: Batch, result: ExportResult) -> None:
        self._answered()
        self._last_error = result.message
        if self._settle(batch):
            self.queue.count(result.reason, len(batch))
        log_once(
            f"refused {self.signal.value} {result.reason}",
            "%s refuses %s, and what it refuses is lost: %s",
            self.place, self.signal.value, result.message,
        )  # fmt: skip

    def _settle(self, batch: Batch) -> bool:
        settled = self.queue.settle(batch)
        if settled and batch.kept is not None:
            self.finished(batch.kept, True)
        return settled

    def _put_back(self, batch: Batch) -> None:
        if not self.queue.put_back(batch) and batch.kept is not None and not batch.given_up:
            self._count_spooled(len(batch))
            self.finished(batch.kept, False)

    def _to_retry(self, batch: Batch, result: ExportResult) -> None:
        self._put_back(batch)
        self._away(result)

    def _away(self, result: ExportResult) -> None:
        self._retries += 1
        if not self._failures:
            self._failing_since = time.monotonic()
        self._failures += 1
        self._reachable = result.answered
        self._last_error = result.message
        self._retry_at = time.monotonic() + self._wait(result)
        self.turned()
        self.outages.failed(self.place, self.signal, result)

    def _wait(self, result: ExportResult) -> float:
        if result.retry_after is not None:
            return result.retry_after
        longest = BACKOFF_ANSWERED if result.answered else BACKOFF_AWAY
        if result.answered and time.monotonic() - self._failing_since < AT_FIRST:
            longest = min(longest, BACKOFF_AT_FIRST)
        wait = min(longest, BACKOFF_FIRST * BACKOFF_FACTOR ** min(self._failures - 1, 30))
        return wait * _random.uniform(0.5, 1.0)

    def _answered(self) -> None:
        self._reachable = True
        self._retry_at = 0.0
        if self._failures:
            self.outages.succeeded(self.place, self.signal)
            self._failures = 0
            self.turned()

    # -- disk: what the keeper takes from here, and what it brings back

    latest_only = False  # whether a newer item makes all older ones needless

    @property
    def sent(self) -> int:
        """Items that the receiver took."""
        return self._sent

    @property
    def is_away(self) -> bool:
        """Whether the last request failed in a way that leaves hope."""
        return self._failures > 0

    def keep_in(self, now: float) -> float:
        """Seconds until memory should not hold what it does; infinite when it holds nothing."""
        return 0.0 if self.queue.crowded and len(self.queue) else self.overdue_in(now)

    def overdue_in(self, now: float) -> float:
        """Seconds until something has been in memory alone for too long."""
        oldest = self.queue.oldest_only_here
        if oldest is None:
            return float("inf")
        return self._patient_until(oldest + self._pace.delay) - now

    def _patient_until(self, due: float) -> float:
        """Until when something may stay in memory that should have left at that time."""
        if not self._failures:
            return due + GRACE
        return min(due + GRACE, max(due, self._failing_since + BUSY)) if self._reachable else due

    def take(self, max_bytes: int) -> Batch | None:
        """Items to be kept; `spooled` or the queue's `put_back` must follow."""
        return self.queue.take(self._pace.batch_items, max_bytes)

    def kept(self, batch: Batch) -> StoredRequest:
        """The batch as it will be sent when it comes back."""
        return StoredRequest(self.signal, len(batch), _request(self._kept_resource, batch))

    def spooled(self, batch: Batch) -> None:
        """The batch is on disk."""
        if self.queue.settle(batch):
            self._count_spooled(len(batch))

    def _count_spooled(self, items: int) -> None:
        with self._counting:
            self._spooled += items

    def leave(self) -> None:
        """Let go of what is on disk as well, under way or about to be."""
        for batch in self.queue.leave():
            self._count_spooled(len(batch))
            if batch.kept is not None:
                self.finished(batch.kept, False)
        while self._handed:
            try:
                self.finished(self._handed.popleft()[0], False)
            except IndexError:  # it is being sent after all
                break

    def wants_kept_in(self, now: float) -> float:
        """Seconds until something from disk could be sent; infinite while something is about to be."""
        return float("inf") if self._handed else max(self._retry_at, self._mending_until) - now

    def hand(self, held: ClaimedSegment, kept: StoredRequest) -> None:
        """Something from disk to be sent next; `finished` will be called with it."""
        self._handed.append((held, kept))

    def _send_handed(self, deadline: float) -> None:
        try:
            held, kept = self._handed.popleft()
        except IndexError:
            return
        gone = False
        try:
            result = self._post(kept.content, deadline)
            gone = self._after_handed(kept, result)
        finally:
            self.finished(held, gone)

    def _after_handed(self, kept: StoredRequest, result: ExportResult) -> bool:
        if result.status is ExportStatus.RETRY:
            self._away(result)
            return False
        self._answered()
        if result.status is ExportStatus.DELIVERED:
            self._redelivered += kept.items - self._rejected(kept.items, result)
            return True
        self._last_error = result.message
        if result.reason in MENDABLE:
            self._mending_until = time.monotonic() + MENDING
        else:
            self.queue.count(result.reason, kept.items)
        log_once(
            f"refused kept {self.signal.value} {result.reason}",
            "%s refuses %s that were kept on disk, %s: %s",
            self.place, self.signal.value,
            "where they stay for now" if result.reason in MENDABLE else "and they are lost", result.message,
        )  # fmt: skip
        return result.reason not in MENDABLE

    # -- figures

    def stats(self) -> SignalStats:
        """How it stands."""
        oldest = self.queue.oldest
        return SignalStats(
            accepted=self.queue.accepted,
            sent=self._sent,
            dropped=self.queue.dropped,
            retries=self._retries,
            requests=self._requests,
            request_seconds=self._request_seconds,
            queue_items=self.queue.items_in_hand,
            queue_bytes=self.queue.bytes,
            high_water=self.queue.high_water,
            oldest_age=0.0 if oldest is None else time.monotonic() - oldest,
            last_error=self._last_error,
            spooled=self._spooled,
            redelivered=self._redelivered,
        )


def _request(resource: bytes, batch: Batch) -> bytes:
    groups = grouped(batch)
    scopes = [message(ITEM, scope + b"".join(items)) for scope, items in groups.items()]
    return message(_RESOURCE, resource + b"".join(scopes))


def _nothing(*_: object) -> None:
    pass


_AFTERWARDS: Final[Mapping[ExportStatus, Callable[[SignalExporter, Batch, ExportResult], None]]] = {
    ExportStatus.DELIVERED: SignalExporter._delivered,
    ExportStatus.REFUSED: SignalExporter._refused,
    ExportStatus.RETRY: SignalExporter._to_retry,
}
