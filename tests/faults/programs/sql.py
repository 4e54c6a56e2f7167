"""A statement, and what the self-check says of SQLAlchemy."""

from __future__ import annotations

from opentelemetry import trace
from sqlalchemy import create_engine, text

import blogauto_otel
from tests.faults.programs.said import say

telemetry = blogauto_otel.configure()
with trace.get_tracer("faults").start_as_current_span("root"), create_engine("sqlite://").connect() as connection:
    connection.execute(text("SELECT 1"))
say(telemetry.status().as_dict()["instrumentation"]["sqlalchemy"].partition(" (")[0])
telemetry.shutdown()
