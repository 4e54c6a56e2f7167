"""The retry policy: pure functions of the state of the receiver and the time."""

from __future__ import annotations

import pytest

from blogauto_otel.export.retry import ReceiverState, RetryPolicy
from blogauto_otel.export.transport import ExportResult, ExportStatus

POLICY = RetryPolicy()
UNREACHABLE = ExportResult(ExportStatus.RETRY, "connection", answered=False)
OVERLOADED = ExportResult(ExportStatus.RETRY, "http_503")
WITH_RETRY_AFTER = ExportResult(ExportStatus.RETRY, "http_429", retry_after=30.0)


def failing(result: ExportResult, *times: float) -> ReceiverState:
    """The state after failures at these times."""
    state = ReceiverState()
    for now in times:
        state = POLICY.failed(state, result, now)
    return state


def backoffs(result: ExportResult, count: int, *, pause: float) -> list[float]:
    """The backoff after each of so many failures."""
    times = [number * pause for number in range(count)]
    return [failing(result, *times[: end + 1]).retry_at - times[end] for end in range(count)]


def test_backoff_grows_with_jitter_up_to_its_maximum() -> None:
    waits = backoffs(UNREACHABLE, 30, pause=40.0)
    assert 0.05 <= waits[0] <= 0.1
    assert 15.0 <= waits[-1] <= 30.0
    assert len(set(waits)) == len(waits)


def test_a_receiver_that_answers_is_retried_sooner_and_soonest_at_first() -> None:
    assert max(backoffs(OVERLOADED, 30, pause=0.3)) <= 0.5
    assert 2.5 <= backoffs(OVERLOADED, 30, pause=10.0)[-1] <= 5.0


def test_retry_after_of_the_receiver_takes_precedence() -> None:
    assert failing(WITH_RETRY_AFTER, 100.0).retry_at == 130.0


def test_an_answer_ends_the_failures_and_the_backoff() -> None:
    state = POLICY.answered(failing(UNREACHABLE, 1.0, 2.0))
    assert (state.is_failing, state.reachable, state.retry_at) == (False, True, 0.0)


@pytest.mark.parametrize(
    ("state", "flush_failed_at", "timeout"),
    [
        (ReceiverState(), float("-inf"), 1.5),  # unknown
        (ReceiverState(), 98.0, 0.3),  # the last flush gave up two seconds ago
        (ReceiverState(), 90.0, 1.5),
        (ReceiverState(reachable=False), float("-inf"), 1.5),
        (ReceiverState(reachable=True), 98.0, 5.0),  # half of the time
    ],
)
def test_a_flush_waits_longer_for_a_receiver_that_answers(
    state: ReceiverState, flush_failed_at: float, timeout: float
) -> None:
    assert POLICY.flush_timeout(state, now=100.0, deadline=110.0, flush_failed_at=flush_failed_at) == timeout


def test_items_are_stored_at_once_without_an_answer_and_later_during_an_overload() -> None:
    due = 100.0
    assert POLICY.spool_at(ReceiverState(), due) == 105.0
    assert POLICY.spool_at(failing(UNREACHABLE, 99.0), due) == 100.0
    assert POLICY.spool_at(failing(OVERLOADED, 99.0), due) == 101.0  # two seconds after the first refusal
    assert POLICY.spool_at(failing(OVERLOADED, 50.0, 99.0), due) == 100.0
