"""Execute a statement, and print the status of the SQLAlchemy instrumentation."""

from __future__ import annotations

from opentelemetry import trace
from sqlalchemy import create_engine, text

import blogauto_otel
from testkit.results import print_result

telemetry = blogauto_otel.configure()
with trace.get_tracer("faults").start_as_current_span("root"), create_engine("sqlite://").connect() as connection:
    connection.execute(text("SELECT 1"))
print_result(telemetry.status().as_dict()["instrumentation"]["sqlalchemy"].partition(" (")[0])
telemetry.shutdown()
