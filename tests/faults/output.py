"""Console output rows: piped stdout, the application's handlers and levels, nested records."""

from __future__ import annotations

import subprocess

from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver
from tests.faults.harness import Harness

PIPED = """
import logging
import blogauto_otel
blogauto_otel.configure()
logging.getLogger("data").warning("two\\nlines")
print('{"rows": 3}')
"""
LEVELS = """
import logging, sys
logging.basicConfig(format="MINE %(message)s", stream=sys.stdout)
import blogauto_otel
blogauto_otel.configure()
logging.getLogger("data").info("low")
logging.getLogger("data").warning("high")
"""
INTERRUPTED = """
import logging, signal, time
import blogauto_otel
telemetry = blogauto_otel.configure()
log = logging.getLogger("data")
recorded = 0
def handler(number, frame):
    global recorded
    recorded += 1
    log.warning("of a handler")
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
ended = time.monotonic() + 2
while time.monotonic() < ended:
    recorded += 1
    log.warning("of the script")
    time.sleep(0.0005)
signal.setitimer(signal.ITIMER_REAL, 0)
telemetry.force_flush()
print(recorded, telemetry.status().delivery.as_dict()["logs"]["dropped"].get("nested", 0))
"""


def piped_stdout(harness: Harness) -> None:
    for where in ("development", "production"):
        for console in ("auto", "json", "text", "off"):
            with Receiver() as receiver:
                done = _run(PIPED, receiver, BLOGAUTO_OTEL_CONSOLE=console, BLOGAUTO_OTEL_ENVIRONMENT=where)
            assert done == '{"rows": 3}\n'


def levels_and_handlers(harness: Harness) -> None:
    with Receiver() as receiver:
        assert _run(LEVELS, receiver, BLOGAUTO_OTEL_CONSOLE="off") == "MINE high\n"
        assert [record.body for record in receiver.logs if record.body in ("low", "high")] == ["low", "high"]
    with Receiver() as receiver:
        assert "low" not in _run(LEVELS, receiver, BLOGAUTO_OTEL_CONSOLE="json")


def logging_signal_handlers(harness: Harness) -> None:
    with Receiver() as receiver:
        recorded, dropped = map(int, _run(INTERRUPTED, receiver, BLOGAUTO_OTEL_CONSOLE="off").split())
        assert recorded > 100
        assert sum(str(record.body).startswith("of ") for record in receiver.logs) == recorded - dropped


def _run(script: str, receiver: Receiver, **variables: str) -> str:
    variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    return subprocess.run(
        python("-c", script), cwd=ROOT, env=environment(**variables), stdout=subprocess.PIPE, text=True, timeout=60,
        check=True,
    ).stdout  # fmt: skip
