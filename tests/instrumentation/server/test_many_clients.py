"""What a client controls does not stay in memory, however many values it sends."""

from __future__ import annotations

import json
import subprocess

import pytest

from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver

MEBIBYTE = 2**20


@pytest.mark.slow
def test_100_000_values_of_everything_that_a_client_controls_cost_no_more_than_2_mib() -> None:
    """Paths, queries, methods, addresses, header names and values, trace and request ids, and baggage."""
    with Receiver() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "BLOGAUTO_OTEL_SAMPLE_RATE": "0.05",
            "BLOGAUTO_OTEL_TRUST_INCOMING": "10.0.0.0/8",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-custom",
        }
        command = python("-m", "tests.instrumentation.server.many_clients", "20000", "100000")
        done = subprocess.run(command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        before, after = json.loads(done.stdout.splitlines()[-1])
        print(f"{(after - before) / MEBIBYTE:.2f} MiB")
        assert after - before <= 2 * MEBIBYTE
        assert receiver.spans, "nothing was recorded"
