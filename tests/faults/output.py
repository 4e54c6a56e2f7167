"""Rows of the output: a program's stdout, its handlers and levels, records that interrupt each other."""

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
made = 0
def handler(number, frame):
    global made
    made += 1
    log.warning("of a handler")
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
ended = time.monotonic() + 2
while time.monotonic() < ended:
    made += 1
    log.warning("of the program")
    time.sleep(0.0005)
signal.setitimer(signal.ITIMER_REAL, 0)
telemetry.force_flush()
print(made, telemetry.status().delivery.as_dict()["logs"]["dropped"].get("nested", 0))
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
        made, dropped = map(int, _run(INTERRUPTED, receiver, BLOGAUTO_OTEL_CONSOLE="off").split())
        assert made > 100
        assert sum(str(record.body).startswith("of ") for record in receiver.logs) == made - dropped


def _run(program: str, receiver: Receiver, **variables: str) -> str:
    variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    return subprocess.run(
        python("-c", program), cwd=ROOT, env=environment(**variables), stdout=subprocess.PIPE, text=True, timeout=60,
        check=True,
    ).stdout  # fmt: skip
