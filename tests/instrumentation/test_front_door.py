"""The instrumentations through `configure()`, whatever the application imports and creates before or after."""

from __future__ import annotations

import subprocess
import sys

import pytest

from blogauto_otel import bind, operation
from blogauto_otel.testing import capture_telemetry
from testkit.processes import ROOT, environment

AFTERWARDS = """
import sys
from blogauto_otel.testing import capture_telemetry
from opentelemetry import trace

with capture_telemetry() as telemetry:
    assert "sqlalchemy" not in sys.modules, "configure() imports no library that the application has not"
    from sqlalchemy import create_engine, text
    with trace.get_tracer("app").start_as_current_span("request"), create_engine("sqlite://").connect() as connection:
        connection.execute(text("select 1"))
print([span.name for span in telemetry.spans])
"""

BEFORE = """
from sqlalchemy import create_engine, text
engine = create_engine("sqlite://")
connection = engine.connect()
from blogauto_otel.testing import capture_telemetry
from opentelemetry import trace
with capture_telemetry() as telemetry:
    with trace.get_tracer("app").start_as_current_span("request"):
        connection.execute(text("select 1"))
print([span.name for span in telemetry.spans])
"""

BROKEN = """
import sys, types
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sqlalchemy", "psutil", "redis", "httpx", "requests", "wrapt"):
            raise RuntimeError(f"{name} is broken here")
sys.meta_path.insert(0, Broken())
import blogauto_otel
telemetry = blogauto_otel.configure(
    traces_exporter="none", metrics_exporter="none", logs_exporter="none", console="off", shutdown_timeout=1.0
)
print(sorted(report.name for report in telemetry.status().instrumentation if report.state.value == "on"))
"""


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("script", [AFTERWARDS, BEFORE], ids=["imported afterwards", "connected before"])
def test_statements_are_recorded_whenever_sqlalchemy_came(script: str) -> None:
    assert run(script) == "['SELECT', 'request']"


def test_libraries_that_fail_to_import_in_any_way_do_not_stop_the_application() -> None:
    on = run(BROKEN)
    assert "'system'" in on
    assert "'sdk_metrics'" in on
    assert "'context'" in on


def test_a_statement_of_an_operation_is_below_it_with_its_bound_context() -> None:
    from sqlalchemy import create_engine, text

    with capture_telemetry() as telemetry, operation("report.write"):
        bind(user_id=7)
        with create_engine("sqlite://").connect() as connection:
            connection.execute(text("select 'a secret'"))
        bind(user_id=None)
    statement, parent = telemetry.span("SELECT"), telemetry.span("report.write")
    assert statement.parent is not None
    assert parent.context is not None
    assert statement.parent.span_id == parent.context.span_id
    assert (statement.attributes or {})["user.id"] == 7
    assert (statement.attributes or {})["db.query.text"] == "select ?"
    assert list(telemetry.points("db.client.operation.duration").values()) == [1]


def test_system_metrics_and_sdk_metrics_are_exported() -> None:
    with capture_telemetry() as telemetry:
        pass
    names = {metric.name for metric in telemetry.metrics}
    assert {
        "blogauto.cpu.usage",
        "blogauto.memory.usage",
        "blogauto.disk.usage",
        "blogauto.active_connections",
    } <= names
    assert {"blogauto_otel.items.accepted", "blogauto_otel.items.dropped", "blogauto_otel.process.start_time"} <= names
