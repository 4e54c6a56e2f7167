"""Work for the queues that are not Celery: each job emits a span, a record and a count."""

from __future__ import annotations

import logging
import os

import blogauto_otel
from blogauto_otel import metrics, operation

log = logging.getLogger("jobs")

if os.environ.get("CONFIGURE", "import") == "import":
    blogauto_otel.configure(service_name="jobs")


def work() -> None:
    if os.environ.get("CONFIGURE") == "in the job":
        blogauto_otel.configure(service_name="jobs")
    with operation("work"):
        log.warning("worked")
        metrics.business.keywords_analyzed.add(1)


def fail() -> None:
    work()
    raise ValueError("no")


async def work_later(_: object) -> None:
    work()
