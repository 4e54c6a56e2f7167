"""Retry policy: when a failed export is tried again, and the other delays of delivery."""

from __future__ import annotations

import random
from dataclasses import field, replace
from typing import Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel.export.transport import RETRY_AFTER_MIN, ExportResult

_random: Final = random.SystemRandom()  # not seeded by the application, so that its processes retry at different times

# Refusals because of the endpoint or the credentials, not of the request: stored requests are kept until that is fixed.
RETAINABLE_REASONS: Final = frozenset(
    f"http_{status}" for status in (301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 501)
) | frozenset({"grpc_7", "grpc_12", "grpc_16"})


@dataclass(frozen=True)
class ReceiverState:
    """What the last requests say about the receiver. Times are monotonic."""

    reachable: bool | None = None  # whether it answered the last request; None: before the first one
    failures: int = 0  # in a row
    failing_since: float = 0.0
    retry_at: float = 0.0
    replay_at: float = 0.0  # not before this are stored requests sent again that it refused

    @property
    def is_failing(self) -> bool:
        """Whether the last request failed and is retried."""
        return self.failures > 0


@dataclass(frozen=True)
class RetryPolicy:
    """Delays in seconds; pure functions of the state and the time."""

    first_backoff: float = 0.1
    backoff_factor: float = 1.5
    max_backoff_early: float = RETRY_AFTER_MIN  # while it answers, and has failed for less than `early`
    early: float = 10.0  # a receiver that refuses most requests, but not all, has taken one by then
    max_backoff_answered: float = 5.0  # while it answers
    max_backoff_unreachable: float = 30.0  # while it does not

    flush_connect_timeout: float = 1.5  # for a flush to a receiver that is not known to be reachable
    flush_connect_timeout_again: float = 0.3  # for the next flush, within `flush_again_within`
    flush_again_within: float = 5.0

    # Items are stored on disk when their delay is over and the receiver does not take them. A receiver that is slow or
    # overloaded gets some time first: memory is cheaper than disk.
    spool_after: float = 5.0  # beyond the delay of the item
    overload_window: float = 2.0  # refusals for this long are taken for a short overload
    replay_after_refusal: float = 60.0  # for the reasons in RETAINABLE_REASONS

    def failed(self, state: ReceiverState, result: ExportResult, now: float) -> ReceiverState:
        """The state after a request that is to be sent again."""
        failing_since = state.failing_since if state.failures else now
        failed = replace(state, reachable=result.answered, failures=state.failures + 1, failing_since=failing_since)
        return replace(failed, retry_at=now + self.backoff(failed, result, now))

    def answered(self, state: ReceiverState) -> ReceiverState:
        """The state after a request that the receiver accepted or refused for good."""
        return replace(state, reachable=True, failures=0, retry_at=0.0)

    def backoff(self, state: ReceiverState, result: ExportResult, now: float) -> float:
        """Seconds until the next request: what the receiver asked for, or exponential with jitter."""
        if result.retry_after is not None:
            return result.retry_after
        longest = self.max_backoff_answered if result.answered else self.max_backoff_unreachable
        if result.answered and now - state.failing_since < self.early:
            longest = min(longest, self.max_backoff_early)
        backoff = min(longest, self.first_backoff * self.backoff_factor ** min(state.failures - 1, 30))
        return backoff * _random.uniform(0.5, 1.0)

    def flush_timeout(self, state: ReceiverState, *, now: float, deadline: float, flush_failed_at: float) -> float:
        """Seconds that a flush waits for an answer, when the last flush without a receiver failed at that time."""
        if state.reachable:
            return max(self.flush_connect_timeout, (deadline - now) / 2)
        again = now - flush_failed_at < self.flush_again_within
        return self.flush_connect_timeout_again if again else self.flush_connect_timeout

    def spool_at(self, state: ReceiverState, due: float) -> float:
        """When items that were due at that time are to be stored on disk."""
        if not state.failures:
            return due + self.spool_after
        if not state.reachable:
            return due
        return min(due + self.spool_after, max(due, state.failing_since + self.overload_window))


@dataclass(frozen=True)
class SpoolTiming:
    """When the spooler uses the disk. Delays in seconds."""

    rescan_idle: float = 30.0  # between two scans of an empty directory
    rescan_busy: float = 5.0  # between two scans while a file waits, for this process or another
    jitter: float = 1.0  # at most; processes that recover together start to drain at different times
    retry_after_error: float = 30.0  # before a disk that failed is used again
    replay_bytes_per_second: int = 2_000_000  # a bound, so that stored requests do not flood the receiver
    linger: float = 3.0  # without items in memory, after which the thread ends: starting one costs more than a wait


@dataclass(frozen=True)
class Timing:
    """The delays of delivery that are no settings. Delays in seconds."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    spool: SpoolTiming = field(default_factory=SpoolTiming)
    watch: float = 5.0  # between two runs of the worker while items wait or are being dropped
    drops_over: float = 10.0  # without a drop, until dropping counts as over
    store_at_least: float = 1.0  # for writing to disk at a flush or at the end, even if less of the timeout is left
