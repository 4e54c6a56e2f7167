"""An idle process whose root logger is at DEBUG logs nothing more: telemetry does not create telemetry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, logging, time
import blogauto_otel
logging.basicConfig(level=logging.DEBUG)
telemetry = blogauto_otel.configure(
    log_level="debug", console="json", console_stream="stdout", metric_interval=0.1, log_delay=0.05
)
logging.getLogger().handlers[0].setStream(__import__("sys").stdout)
log = logging.getLogger("app")
def accepted():
    telemetry.force_flush(5.0)
    return telemetry.status().delivery.as_dict()["logs"]["accepted"]
log.debug("busy")
accepted()
print("IDLE", flush=True)
before = accepted()
time.sleep(SECONDS)
after = accepted()
print("GROWTH", after - before, flush=True)
"""


@pytest.mark.parametrize("collector", ["there", "away"])
def test_an_idle_process_exports_no_records(collector: str, tmp_path: Path) -> None:
    with Receiver() as receiver:
        endpoint = receiver.url if collector == "there" else "http://127.0.0.1:9"
        program = tmp_path / "idle.py"
        program.write_text(PROGRAM.replace("SECONDS", "4.0"))
        done = subprocess.run(
            python(str(program)),
            cwd=ROOT,
            env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    lines = done.stdout.splitlines()
    idle = lines[lines.index("IDLE") + 1 :]
    growth = int(next(line for line in idle if line.startswith("GROWTH")).split()[1])
    # An unavailable Collector is logged once: at most a handful of lines, however many pushes there were.
    assert growth <= (0 if collector == "there" else 5), done.stdout
    assert len(idle) <= (1 if collector == "there" else 6), done.stdout
