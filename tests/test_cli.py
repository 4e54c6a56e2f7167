"""`blogauto-otel` on the command line."""

from __future__ import annotations

import json
import subprocess

from stack.receiver import Receiver
from tests.support.children import environment, free_port, python


def blogauto_otel(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = python("-m", "blogauto_otel.cli", *arguments)
    return subprocess.run(command, capture_output=True, text=True, env=environment(**variables), timeout=60)


def test_settings_shows_what_this_environment_makes_of_them() -> None:
    done = blogauto_otel("settings", OTEL_SERVICE_NAME="shop", OTEL_EXPORTER_OTLP_HEADERS="api-key=canary")
    assert done.returncode == 0
    assert "* OTEL_SERVICE_NAME = shop" in done.stdout
    assert "* OTEL_EXPORTER_OTLP_HEADERS = api-key=****" in done.stdout
    assert "canary" not in done.stdout


def test_settings_fails_with_the_problem_and_the_way_out() -> None:
    done = blogauto_otel("settings", BLOGAUTO_OTEL_SAMPLE_RATE="often")
    assert done.returncode == 1
    assert "! BLOGAUTO_OTEL_SAMPLE_RATE='often': expected a number from 0 to 1" in done.stderr


def test_check_says_that_the_collector_accepted_one_of_each() -> None:
    with Receiver() as receiver:
        done = blogauto_otel("check", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert done.returncode == 0, done.stderr
        assert [span.name for span in receiver.spans] == ["blogauto-otel check"]
        assert [record.body for record in receiver.logs] == ["blogauto-otel check"]
        assert receiver.metrics
    assert json.loads(done.stdout)["delivery"]["traces"]["sent"] == 1


def test_check_fails_when_nobody_listens() -> None:
    done = blogauto_otel("check", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "not accepted" in done.stderr


def test_redact_shows_what_would_leave_and_why() -> None:
    done = blogauto_otel("redact", "Authorization: Bearer abcdefghijklmnop.canary")
    assert "canary" not in done.stdout + done.stderr
    assert "[redacted:" in done.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = " ".join([*python("-m", "blogauto_otel.cli", "settings"), "| head -1"])
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=60)
    assert "Traceback" not in done.stderr
