"""A real Celery worker with its queue in a folder, and what its tasks emitted."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver

APP = "tests.instrumentation.workers.celery_app"
TASKS = 8


def send(queue: Path, times: int = TASKS, **variables: str) -> None:
    code = f"from {APP} import work\nfor number in range({times}): work.delay(number)"
    subprocess.run(
        python("-c", code),
        check=True,
        cwd=ROOT,
        env=environment(QUEUE=str(queue), OTEL_SDK_DISABLED="true", **variables),
    )


def worker(*options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "celery",
        "-A",
        APP,
        "worker",
        "--concurrency",
        "2",
        "--loglevel",
        "WARNING",
        *options,
    ]


def arrived(receiver: Receiver) -> dict[str, float]:
    names = Counter(span.name for span in receiver.spans)
    return {
        "spans": names["work"],
        "spans of the instrumentation": names[f"run/{APP}.work"],
        "logs": sum(record.body == "worked" for record in receiver.logs),
        "counts": receiver.total("blogauto.keywords.analyzed"),
    }


ALL = dict.fromkeys(("spans", "spans of the instrumentation", "logs", "counts"), TASKS)
