"""A dramatiq application; each worker process sends itself messages, so that no broker outside is needed."""

from __future__ import annotations

import multiprocessing

import dramatiq
from dramatiq.brokers.stub import StubBroker

from tests.instrumentation.workers import jobs

dramatiq.set_broker(StubBroker())


@dramatiq.actor
def work() -> None:
    jobs.work()


if multiprocessing.parent_process() is not None:
    for _ in range(4):
        work.send()
