"""A forked child sends its own events, and none of those queued in its parent."""

from __future__ import annotations

import subprocess

import pytest

from testkit.envelope_receiver import EnvelopeReceiver
from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver, delay

pytestmark = pytest.mark.slow

SCRIPT = """
import logging, os, sys
import blogauto_otel
telemetry = blogauto_otel.configure(console="off", sentry_profiles_rate=float(sys.argv[1]))
log = logging.getLogger("shop")
for number in range(3):
    log.error("parent %d", number)
child = os.fork()
log.error("child" if child == 0 else "parent 3")
telemetry.shutdown(20.0)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("profiles", ["0", "1"], ids=["", "while it is profiled"])
def test_each_event_arrives_once_from_the_process_it_happened_in(profiles: str) -> None:
    """Three events are queued or in flight in the parent when it forks."""
    with EnvelopeReceiver() as sink, Receiver() as receiver:
        sink.answer(delay(0.3))
        variables = {"SENTRY_DSN": sink.dsn, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        command = python("-W", "ignore::DeprecationWarning", "-c", SCRIPT, profiles)
        done = subprocess.run(
            command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True, timeout=120
        )
        events = sink.events
    assert done.returncode == 0, done.stderr
    received = sorted(
        (event.data["logentry"]["formatted"], event.data["tags"]["service.instance.id"]) for event in events
    )
    assert [text for text, _ in received] == ["child", "parent 0", "parent 1", "parent 2", "parent 3"]
    assert len({instance for _, instance in received}) == 2, "the child has an instance of its own"
