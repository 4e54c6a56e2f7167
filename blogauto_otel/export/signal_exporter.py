"""The exporter of one signal: takes batches from its queue and sends them when they are due, or at a flush."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from blogauto_otel._clock import clock
from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import log_once
from blogauto_otel._threads import ExclusiveLock
from blogauto_otel.export.client import ExportClient, Replay
from blogauto_otel.export.outage_log import DropLog
from blogauto_otel.export.queue import Batch, Queue, group_by_scope
from blogauto_otel.export.stats import SignalStats
from blogauto_otel.export.transport import TIMEOUT, ExportResult, ExportStatus
from blogauto_otel.otlp.protobuf import LENGTH, tag, varint
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.otlp.values import ITEM
from blogauto_otel.spool.file_format import StoredRequest

_RESOURCE: Final = tag(1, LENGTH)  # resource_spans, resource_logs, resource_metrics
_ABORT_TIMEOUT: Final = 0.2  # seconds until an aborted request has returned its items
_MAX_UNANSWERED: Final = 3  # requests without an answer, after which a flush gives up


@dataclass(frozen=True)
class BatchConfig:
    """When a batch is sent, and how large it may be."""

    delay: float  # seconds that an item waits for more items; for metrics, between two collections
    items: int
    bytes: int
    timeout: float  # seconds for one request


@dataclass(frozen=True)
class EncodedResource:
    """The resource of all requests, and that of requests that are sent from disk."""

    sent: bytes
    stored: bytes


class SignalExporter:
    """Exports one signal. The thread that takes from the queue, the worker's or a flush's, holds a lock."""

    latest_only = False  # whether a newer item replaces all older ones

    def __init__(
        self,
        signal: Signal,
        client: ExportClient,
        queue: Queue,
        config: BatchConfig,
        resource: EncodedResource,
        drop_log: DropLog,
    ) -> None:
        self.signal = signal
        self.queue = queue
        self.client = client
        self.replay = Replay(signal, client, queue)
        self._config = config
        self._resource = resource
        self._drop_log = drop_log
        self._sending = ExclusiveLock()
        self._flushes: list[None] = []  # one for each flush that runs; its length changes atomically

    # -- the worker

    def due_in(self, now: float) -> float:
        """Seconds until something is to be sent; infinite when nothing waits."""
        replay_in = max(0.0, self.client.state.retry_at - now) if self.replay else float("inf")
        return min(self._batch_due_in(now), replay_in)

    def _batch_due_in(self, now: float) -> float:
        oldest = self.queue.oldest
        if oldest is None:
            return float("inf")
        full = len(self.queue) >= self._config.items or self.queue.bytes >= self._config.bytes
        return max((now if full else oldest + self._config.delay), self.client.state.retry_at) - now

    def send_due(self) -> bool:
        """Send one batch and one stored request, if they are due; True when more may be sent at once."""
        if self._flushes or not self._sending.acquire(blocking=False):
            return False  # a flush sends, or waits to
        try:
            self.client.busy_since = clock.monotonic()
            self.collect()
            sent = None
            if self._batch_due_in(clock.monotonic()) <= 0:
                sent = self._send_batch(clock.monotonic() + self._config.timeout)
            if self.replay and self.client.state.retry_at <= clock.monotonic():
                self.replay.send(clock.monotonic() + self._config.timeout)
            return sent is not None and sent[1].status is not ExportStatus.RETRY
        finally:
            self._sending.release()

    def collect(self, *, now: bool = False) -> None:
        """Fetch items that have to be fetched; spans and log records do not."""

    def log_drops(self) -> bool:
        """Log when dropping begins, and when it is over; True while items are being dropped."""
        available = not self.client.state.is_failing
        return self._drop_log.update(self.queue.dropped, clock.monotonic(), receiver_available=available)

    # -- flush

    def needs_flush(self) -> bool:
        """Whether there is anything to flush."""
        return self.queue.unacknowledged > 0

    def flush(self, deadline: float, *, accepted: int, last: bool) -> bool:
        """Send the items that were waiting when `accepted` items had been accepted; True when all were delivered.

        A receiver that does not answer costs the connect timeout of the retry policy at most. With `last` there is no
        later flush: one attempt is made even if the receiver asked for a pause.
        """
        self._flushes.append(None)
        try:
            if not self._acquire_sending(deadline):
                self.collect(now=True)  # what cannot be sent now can be stored
                return False
            try:
                return self._flush(deadline, accepted, last=last)
            finally:
                self._sending.release()
        finally:
            self._flushes.pop()

    def _acquire_sending(self, deadline: float) -> bool:
        """Wait for the thread that sends. A request that hangs is aborted, and counts as the attempt."""
        client = self.client
        waited_for, allowance = -1.0, 0.0
        while client.busy_since != waited_for:  # another request has begun: the thread makes progress
            waited_for, allowance = client.busy_since, max(allowance, client.flush_timeout(deadline))
            until = min(deadline, waited_for + allowance)
            if self._sending.acquire(timeout=max(0.0, until - clock.monotonic())):
                return True
        if clock.monotonic() - waited_for >= allowance:
            client.record_failed_flush()
            client.transport.abort()
            if self._sending.acquire(timeout=_ABORT_TIMEOUT):  # its items are in the queue again
                self._sending.release()
        return False

    def _flush(self, deadline: float, accepted: int, *, last: bool) -> bool:
        self.client.busy_since = clock.monotonic()
        self.collect(now=True)
        state = self.client.state
        if not last and state.is_failing and state.reachable and state.retry_at > deadline:
            return False
        remaining = len(self.queue) - self._arrived_since(accepted)
        unanswered, allowance = 0, 0.0
        while remaining > 0:
            was_reachable = self.client.state.reachable
            allowance = max(allowance, self.client.flush_timeout(deadline))  # it may have answered since
            now = clock.monotonic()
            sent = self._send_batch(min(deadline, now + allowance, now + self._config.timeout))
            if sent is None:
                return True
            count, result = sent
            if result.status is not ExportStatus.RETRY:
                remaining -= count
                continue
            unanswered += not result.answered
            if unanswered and (not was_reachable or result.reason == TIMEOUT or unanswered == _MAX_UNANSWERED):
                self.client.record_failed_flush()
                return False
            if self.client.state.retry_at >= deadline:
                return False
            time.sleep(max(0.0, self.client.state.retry_at - clock.monotonic()))
        return True

    def _arrived_since(self, accepted: int) -> int:
        """Items that arrived after so many had been accepted: they wait for the next request."""
        return self.queue.accepted - accepted

    def close(self) -> None:
        """Close the connection, or abort the request that uses it."""
        if self._sending.acquire(blocking=False):
            self.client.transport.close()
            self._sending.release()
        else:
            self.client.transport.abort()

    # -- one request

    def _send_batch(self, deadline: float) -> tuple[int, ExportResult] | None:
        """The number of items sent, and the result; None when nothing waits."""
        batch = self.queue.take(self._config.items, self._config.bytes)
        if batch is None:
            return None
        try:
            result = self.client.send(_request(self._resource.sent, batch), deadline)
        except BaseException:
            self._requeue(batch)
            raise
        _ON_RESULT[result.status](self, batch, result)
        return len(batch), result

    def _on_delivered(self, batch: Batch, result: ExportResult) -> None:
        self.client.record(result)
        if self._ack(batch):
            self.client.counters.sent += len(batch) - self.client.count_rejected(len(batch), result, self.queue)

    def _on_refused(self, batch: Batch, result: ExportResult) -> None:
        self.client.record(result)
        if self._ack(batch):
            self.queue.count(result.reason, len(batch))
        log_once(
            f"refused {self.signal.value} {result.reason}",
            "%s refuses %s, which are lost: %s",
            self.client.endpoint, self.signal.value, result.message,
        )  # fmt: skip

    def _on_retry(self, batch: Batch, result: ExportResult) -> None:
        self._requeue(batch)
        self.client.record(result)

    def _ack(self, batch: Batch) -> bool:
        acked = self.queue.ack(batch)
        if acked and batch.copy is not None:
            self.replay.on_replayed(batch.copy, True)
        return acked

    def _requeue(self, batch: Batch) -> None:
        if not self.queue.requeue(batch) and batch.copy is not None and not batch.is_counted:
            self.client.counters.add_spooled(len(batch))
            self.replay.on_replayed(batch.copy, False)

    # -- the spooler

    @property
    def sent(self) -> int:
        """Items that the receiver accepted."""
        return self.client.counters.sent

    def seconds_until_spool(self, now: float) -> float:
        """Seconds until items should be stored on disk; infinite when there are none."""
        return 0.0 if self.queue.above_watermark and len(self.queue) else self.seconds_until_overdue(now)

    def seconds_until_overdue(self, now: float) -> float:
        """Seconds until an item has been in memory only for too long."""
        oldest = self.queue.oldest_in_memory_only
        if oldest is None:
            return float("inf")
        return self.client.policy.spool_at(self.client.state, oldest + self._config.delay) - now

    def take(self, max_bytes: int) -> Batch | None:
        """Items to be stored; `ack_stored` or the queue's `requeue` must follow."""
        return self.queue.take(self._config.items, max_bytes)

    def stored_request(self, batch: Batch) -> StoredRequest:
        """The request of a batch, as it is sent from disk."""
        return StoredRequest(self.signal, len(batch), _request(self._resource.stored, batch))

    def ack_stored(self, batch: Batch) -> None:
        """Acknowledge a batch that is on disk."""
        if self.queue.ack(batch):
            self.client.counters.add_spooled(len(batch))

    def release_copies(self) -> None:
        """Release every batch in flight that has a copy on disk, and the stored request that is to be sent."""
        for batch in self.queue.ack_copied():
            self.client.counters.add_spooled(len(batch))
            if batch.copy is not None:
                self.replay.on_replayed(batch.copy, False)
        self.replay.return_all()

    # -- statistics

    def stats(self) -> SignalStats:
        """The statistics of this signal."""
        return self.client.counters.snapshot(self.queue, clock.monotonic())


def _request(resource: bytes, batch: Batch) -> bytes:
    """The request of a batch; its items, perhaps megabytes, are copied once."""
    parts, size = [resource], len(resource)
    for scope, items in group_by_scope(batch).items():
        content = len(scope) + sum(map(len, items))
        head = ITEM + varint(content)
        parts += (head, scope, *items)
        size += len(head) + content
    return b"".join((_RESOURCE, varint(size), *parts))


_ON_RESULT: Final[Mapping[ExportStatus, Callable[[SignalExporter, Batch, ExportResult], None]]] = {
    ExportStatus.DELIVERED: SignalExporter._on_delivered,
    ExportStatus.REFUSED: SignalExporter._on_refused,
    ExportStatus.RETRY: SignalExporter._on_retry,
}
