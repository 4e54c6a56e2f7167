"""A Celery application whose tasks emit a span, a record and a count."""

from __future__ import annotations

import logging
import os

from celery import Celery, signals

import blogauto_otel
from blogauto_otel import metrics, operation

log = logging.getLogger("tasks")

if os.environ.get("CONFIGURE", "import") == "import":
    blogauto_otel.configure(service_name="tasks")
else:

    def configure(**_: object) -> None:
        blogauto_otel.configure(service_name="tasks")

    signals.worker_process_init.connect(configure)

app = Celery("tasks", broker="filesystem://")
folder = os.environ.get("QUEUE", "")
app.conf.update(
    broker_transport_options={
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": f"{folder}-control",
    },
    worker_prefetch_multiplier=1,
)


def _work(number: int) -> None:
    with operation("work"):
        log.warning("worked")
        metrics.business.keywords_analyzed.add(1)


def close(**_: object) -> None:
    with operation("closed"):
        pass


work = app.task(_work, name=f"{__name__}.work")
signals.worker_process_shutdown.connect(close)
