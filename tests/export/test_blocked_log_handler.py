"""A log handler of the application that blocks must not stop delivery, nor delay the end of the process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from testkit.receiver import Receiver, answers
from tests.export.delivery import a_span, delivering


class Blocking(logging.Handler):
    """Blocks every thread but the one that created it, as a lock that this thread never releases."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.current_thread()
        self.entered = threading.Event()
        self.unblocked = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if threading.current_thread() is not self.thread:
            self.entered.set()
            self.unblocked.wait(60.0)


@pytest.fixture
def handler() -> Iterator[Blocking]:
    handler = Blocking()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    handler.unblocked.set()


def test_telemetry_is_delivered_while_a_log_handler_blocks(handler: Blocking) -> None:
    with Receiver() as receiver, delivering(receiver) as given:
        receiver.answer(answers.status(400))
        given.enqueue(*a_span("refused"))
        assert handler.entered.wait(20.0)
        receiver.answer(answers.ok())
        given.enqueue(*a_span("after"))
        receiver.wait_for(lambda r: [span.name for span in r.spans] == ["after"])


def test_a_log_handler_that_blocks_delays_the_end_by_no_more_than_the_timeout(handler: Blocking) -> None:
    with Receiver() as receiver, delivering(receiver) as given:
        receiver.answer(answers.status(400))
        given.enqueue(*a_span("refused"))
        assert handler.entered.wait(20.0)
        before = time.monotonic()
        given.shutdown(3.0)
        assert time.monotonic() - before < 3.0
