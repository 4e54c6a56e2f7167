"""The guard: which errors it swallows, counts and logs, and which it lets pass."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from blogauto_otel import _guard
from blogauto_otel._guard import guard, guarded, log_once, swallow, swallowed

quiet = pytest.mark.quiet_guard

ENDINGS = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


@pytest.fixture(autouse=True)
def _nobody_filters() -> Iterator[None]:
    """`configure` leaves its filter on our logger."""
    before, _guard.logger.filters[:] = list(_guard.logger.filters), []
    yield
    _guard.logger.filters[:] = before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that stands still until a test moves it."""
    now = [1000.0]
    monkeypatch.setattr("blogauto_otel._guard.time.monotonic", lambda: now[0])
    return now


@quiet
class TestSwallowing:
    def test_an_error_of_ours_ends_in_the_block_is_counted_and_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with guard("recording a request"):
            raise ValueError("ours")
        assert swallowed() == {"recording a request": 1}
        [record] = caplog.records
        assert record.name == "blogauto_otel"
        assert record.levelno == logging.WARNING
        assert "recording a request failed; the application is not affected" in record.getMessage()
        assert record.exc_info is not None
        assert "ours" in caplog.text

    def test_the_second_time_it_is_counted_and_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(1000):
            with guard("x"):
                raise ValueError
        assert swallowed() == {"x": 1000}
        assert len(caplog.records) == 1

    def test_another_kind_of_error_at_the_same_place_is_logged_too(self, caplog: pytest.LogCaptureFixture) -> None:
        for error in (ValueError(), KeyError(), ValueError()):
            with guard("x"):
                raise error
        assert len(caplog.records) == 2

    def test_a_block_without_an_error_runs_to_its_end(self) -> None:
        done = False
        with guard("x"):
            done = True
        assert done
        assert swallowed() == {}

    @pytest.mark.parametrize("error", ENDINGS)
    def test_what_foreign_code_raises_to_end_a_program_or_a_task_is_swallowed(self, error: type[BaseException]) -> None:
        with guard("x"):
            raise error
        assert swallowed() == {"x": 1}

    @pytest.mark.parametrize("error", ENDINGS)
    def test_an_exception_that_was_not_raised_is_not_foreign(self, error: type[BaseException]) -> None:
        assert not swallow("x", error())
        assert swallowed() == {}

    def test_an_interrupt_in_code_of_ours_passes(self) -> None:
        ours: dict[str, Any] = {"__name__": "blogauto_otel.otlp.values", "signal": signal}
        exec("def work():\n    signal.raise_signal(signal.SIGINT)", ours)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
        try:
            with pytest.raises(KeyboardInterrupt), guard("x"):
                ours["work"]()
        finally:
            signal.signal(signal.SIGINT, before)
        assert swallowed() == {}

    @pytest.mark.parametrize("error", ENDINGS)
    def test_what_a_signal_handler_raises_passes_whatever_it_interrupts(self, error: type[BaseException]) -> None:
        class Interrupted:
            def __str__(self) -> str:
                signal.raise_signal(signal.SIGUSR1)
                return "never"

        def handler(*_: object) -> None:
            raise error

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            with pytest.raises(error), guard("x"):
                str(Interrupted())
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert swallowed() == {}

    def test_a_decorated_function_returns_its_default(self) -> None:
        @guarded("reading", 7)
        def read(value: int) -> int:
            """Says what."""
            return 10 // value

        assert read(5) == 2
        assert read(0) == 7
        assert read.__name__ == "read"
        assert swallowed() == {"reading": 1}

    def test_a_decorated_function_that_foreign_code_would_end_returns_its_default(self) -> None:
        @guarded("reading", 7)
        def read() -> int:
            raise SystemExit

        assert read() == 7

    def test_an_error_that_cannot_be_printed_is_swallowed_too(self) -> None:
        class UnprintableError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

        with guard("x"):
            raise UnprintableError
        assert swallowed() == {"x": 1}

    def test_a_handler_of_the_application_that_raises_is_not_its_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise OSError("stderr is closed")

        handler = Broken()
        _guard.logger.addHandler(handler)
        try:
            with guard("x"):
                raise ValueError
            assert not log_once("k", "message")
        finally:
            _guard.logger.removeHandler(handler)
        assert swallowed() == {"x": 1}

    def test_a_handler_that_fails_in_a_guard_of_its_own_does_not_recurse(self) -> None:
        class Ours(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                with guard("exporting a record"):
                    raise ValueError

        handler = Ours()
        _guard.logger.addHandler(handler)
        try:
            with guard("x"):
                raise ValueError
        finally:
            _guard.logger.removeHandler(handler)
        assert swallowed() == {"x": 1, "exporting a record": 2}  # one for each of the two errors

    def test_the_counts_are_a_copy(self) -> None:
        counts: Any = swallowed()
        counts["x"] = 5
        assert swallowed() == {}

    def test_counting_in_many_threads_loses_none(self) -> None:
        def fail() -> None:
            for _ in range(500):
                with guard("x"):
                    raise ValueError

        threads = [threading.Thread(target=fail) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert swallowed() == {"x": 4000}


class TestLoud:
    def test_a_guard_that_reraises_hides_nothing(self) -> None:
        with pytest.raises(ValueError, match="ours"), guard("x"):
            raise ValueError("ours")

        @guarded("x", None)
        def fail() -> None:
            raise KeyError

        with pytest.raises(KeyError):
            fail()


class TestTelling:
    def test_a_signal_handler_may_log_while_its_thread_is_logging(self) -> None:
        with _guard.state.lock:
            assert log_once("k", "message")
            assert log_once("other", "message")

    def test_once_a_minute_per_key(self, clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
        assert log_once("k", "said %s", "first")
        clock[0] += 59.0
        assert not log_once("k", "said %s", "second")
        assert log_once("other", "said %s", "third")
        clock[0] += 1.0
        assert log_once("k", "said %s", "fourth")
        assert [record.getMessage() for record in caplog.records] == ["said first", "said third", "said fourth"]

    def test_at_the_level_it_is_given(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "blogauto_otel"):
            log_once("k", "message", level=logging.INFO)
        assert caplog.records[0].levelno == logging.INFO

    def test_a_message_that_does_not_fit_its_arguments_does_not_raise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(logging, "raiseExceptions", False)
        log_once("k", "%d", "x")

    def test_the_number_of_keys_is_bounded_and_the_newest_stay_rate_limited(self, clock: list[float]) -> None:
        for number in range(10 * _guard.MAX_KEYS):
            clock[0] += 0.001
            assert log_once(f"k{number}", "message", level=logging.DEBUG)
        assert len(_guard.state.logged_at) <= _guard.MAX_KEYS
        assert not log_once(f"k{10 * _guard.MAX_KEYS - 1}", "message")


@quiet
def test_a_reset_forgets_everything_although_a_lock_is_held() -> None:
    with guard("x"):
        raise ValueError
    log_once("k", "message")
    holder = threading.Thread(target=_guard.state.lock.acquire)  # as one of the parent may at the time of the fork
    holder.start()
    holder.join()
    _guard.reset()
    assert swallowed() == {}
    assert log_once("k", "message")
