"""The API before `configure`, after `shutdown`, and after a second `configure`."""

from __future__ import annotations

import logging

from opentelemetry import metrics, trace

import blogauto_otel
from testkit.results import print_result


def everything(name: str) -> None:
    with trace.get_tracer("faults").start_as_current_span(name) as span:
        span.set_attribute("a", 1)
        span.add_event("e")
    metrics.get_meter("faults").create_counter("a.counter").add(1)
    metrics.get_meter("faults").create_observable_gauge("a.gauge", [lambda _: ()])
    logging.getLogger("faults").warning("%s", name)
    blogauto_otel.metrics.business.keywords_analyzed.add(1)
    with blogauto_otel.operation("an.operation"):
        blogauto_otel.bind(user_id="u")


everything("too early")
telemetry = blogauto_otel.configure()
with trace.get_tracer("faults").start_as_current_span("in time"):
    pass
telemetry.shutdown()
telemetry.shutdown()
assert telemetry.force_flush()
everything("too late")
blogauto_otel.configure()  # again
with trace.get_tracer("faults").start_as_current_span("once more"):
    pass
print_result("done")
