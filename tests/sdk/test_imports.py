"""What `configure()` imports of the SDK."""

from __future__ import annotations

import json
import subprocess

from testkit.processes import environment, python

SCRIPT = """
import json, sys
import blogauto_otel
from opentelemetry import trace
QUIET = {{"endpoint": "http://127.0.0.1:1", "console": "off", "spool_dir": "off"}}
telemetry = blogauto_otel.configure(service_name="shop", **QUIET{options})
with trace.get_tracer("shop").start_as_current_span("work") as span:
    span.add_event("seen", {{"k": 1}})
print(json.dumps(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk.trace"))))
telemetry.shutdown(0.1)
"""


def imported(options: str = "") -> list[str]:
    """The modules of the SDK's tracing after a span of a configured process."""
    command = python("-c", SCRIPT.format(options=options))
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=60)
    found: list[str] = json.loads(done.stdout)
    return found


def test_the_tracing_of_the_sdk_is_not_imported() -> None:
    assert imported() == []


def test_a_span_processor_of_the_application_brings_it() -> None:
    of_the_sdk = "__import__('opentelemetry.sdk.trace', fromlist=['x']).SpanProcessor()"
    assert "opentelemetry.sdk.trace" in imported(f", span_processors=[{of_the_sdk}]")
