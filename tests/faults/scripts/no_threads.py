"""No thread can be started, so OpenTelemetry's SDK cannot be imported."""

from __future__ import annotations

import threading

import blogauto_otel
from testkit.results import print_result


def refuse(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


threading.Thread.start = refuse  # type: ignore[method-assign]
telemetry = blogauto_otel.configure()
with blogauto_otel.operation("work"):
    blogauto_otel.metrics.business.keywords_analyzed.add(1)
telemetry.shutdown()
print_result("done")
