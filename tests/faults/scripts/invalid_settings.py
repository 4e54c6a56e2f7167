"""Every variable with invalid values, one at a time: `configure` succeeds and logs at most one line."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
import traceback

from opentelemetry.sdk import environment_variables

import blogauto_otel
from blogauto_otel.config import Settings, option_of
from blogauto_otel.testing import capture_telemetry
from testkit.results import print_result

# Read when OpenTelemetry is imported: these need a process of their own.
AT_IMPORT = (
    "OTEL_PYTHON_CONTEXT",
    "OTEL_PYTHON_TRACER_PROVIDER",
    "OTEL_PYTHON_METER_PROVIDER",
    "OTEL_PYTHON_ID_GENERATOR",
    "OTEL_PROPAGATORS",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
)
VALUES = ("-1", "\u2603[=;\x07")
KEPT = ("OTEL_EXPORTER_OTLP_ENDPOINT", "BLOGAUTO_OTEL_SPOOL_DIR")  # set by the harness


class Counting(logging.Handler):
    lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += record.levelno >= logging.WARNING


def variables() -> list[str]:
    ours = {option_of(field.name).variable for field in dataclasses.fields(Settings)}
    theirs = {name for name in vars(environment_variables) if name.startswith("OTEL_")}
    return sorted((ours | theirs) - {*KEPT, *AT_IMPORT})


def start() -> tuple[str, int]:
    counting = Counting()
    logging.getLogger("blogauto_otel").addHandler(counting)
    try:
        telemetry = blogauto_otel.configure(traces_exporter="none", metrics_exporter="none", logs_exporter="none")
        from opentelemetry import trace

        with trace.get_tracer("faults").start_as_current_span("span"):
            telemetry.force_flush(1.0)
    except BaseException:
        return traceback.format_exc(), counting.lines
    return "started", counting.lines


def in_child(variable: str, value: str) -> tuple[str, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.environ[variable] = value
        os.write(writing, json.dumps(start()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        result = answer.read()
    os.waitpid(pid, 0)
    ended, lines = json.loads(result or '["died", 0]')
    return ended, lines


def in_a_process_of_its_own(variable: str) -> tuple[str, int]:
    code = "from tests.faults.scripts.invalid_settings import start; print(*start(), sep='|')"
    environment = {**os.environ, variable: VALUES[1]}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    ended, _, lines = done.stdout.strip().rpartition("\n")[2].rpartition("|")
    return (ended or done.stderr), int(lines or 0)


if __name__ == "__main__":
    with capture_telemetry():
        pass  # import everything once, not in each child
    found = {f"{name}={value!r}": in_child(name, value) for name in variables() for value in VALUES}
    found |= {name: in_a_process_of_its_own(name) for name in AT_IMPORT}
    print_result(found)
