"""Real workers of RQ, dramatiq and arq: what their jobs emitted arrives, whichever way the worker ends."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from testkit.processes import Process, running
from testkit.receiver import Receiver

pytestmark = pytest.mark.slow

JOBS = 4


def arrived(receiver: Receiver) -> dict[str, float]:
    return {
        "spans": Counter(span.name for span in receiver.spans)["work"],
        "logs": sum(record.body == "worked" for record in receiver.logs),
        "counts": receiver.total("blogauto.keywords.analyzed"),
    }


def started(
    command: list[str], receiver: Receiver, tmp_path: Path, **variables: str
) -> AbstractContextManager[Process]:
    return running(
        [sys.executable, "-m", *command],
        tmp_path / "log",
        port=0,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_METRIC_EXPORT_INTERVAL="60000",
        **variables,
    )


ALL = dict.fromkeys(("spans", "logs", "counts"), JOBS)


@pytest.mark.parametrize(
    ("worker", "configured", "job"),
    [
        ("rq.worker.Worker", "import", "work"),
        ("rq.worker.Worker", "import", "fail"),
        ("rq.worker.Worker", "in the job", "work"),
        ("rq.worker.SpawnWorker", "import", "work"),
        ("rq.worker.SimpleWorker", "import", "work"),
    ],
)
def test_nothing_of_an_rq_job_is_lost(
    worker: str, configured: str, job: str, redis_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    from redis import Redis
    from rq import Queue

    connection = Redis.from_url(redis_url)
    queue = Queue(connection=connection)
    for _ in range(JOBS):
        queue.enqueue(f"tests.instrumentation.workers.jobs.{job}")
    command = ["rq.cli", "worker", "--burst", "--url", redis_url, "--worker-class", worker]
    with started(command, receiver, tmp_path, CONFIGURE=configured) as child:
        child.wait()
    connection.close()
    assert arrived(receiver) == ALL, child.output


def test_nothing_of_a_dramatiq_message_is_lost(receiver: Receiver, tmp_path: Path) -> None:
    app = "tests.instrumentation.workers.dramatiq_app"
    command = ["dramatiq", app, "--processes", "1", "--threads", "2"]
    with started(command, receiver, tmp_path) as child:
        receiver.wait_for(lambda r: arrived(r)["spans"] == JOBS, timeout=60)
        child.terminate()
    assert arrived(receiver) == ALL, child.output


def test_nothing_of_an_arq_job_is_lost(redis_url: str, receiver: Receiver, tmp_path: Path) -> None:
    from arq import create_pool
    from arq.connections import RedisSettings

    async def enqueue() -> None:
        pool = await create_pool(RedisSettings.from_dsn(redis_url))
        for _ in range(JOBS):
            await pool.enqueue_job("work_later")
        await pool.aclose()

    asyncio.run(enqueue())
    command = ["arq", "--burst", "tests.instrumentation.workers.arq_app.Worker"]
    with started(command, receiver, tmp_path, REDIS=redis_url) as child:
        child.wait()
    assert arrived(receiver) == ALL, child.output
