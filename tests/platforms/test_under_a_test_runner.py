"""A user's own tests: by default their telemetry is neither exported, spooled nor printed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blogauto_otel import config
from testkit.processes import environment, python
from testkit.receiver import Receiver

PYTEST = {"PYTEST_VERSION": "9.0.0"}

# The receiver stands where a developer's Collector would: at the default endpoint.
PROJECT = """
import dataclasses, logging, unittest

import blogauto_otel
from blogauto_otel.export import endpoints
from opentelemetry import trace

default = endpoints.PROTOCOLS["http/protobuf"]
endpoints.PROTOCOLS["http/protobuf"] = dataclasses.replace(default, default_endpoint="RECEIVER")
telemetry = blogauto_otel.configure(service_name="shop")


class TestOrders(unittest.TestCase):
    def test_an_order(self):
        with trace.get_tracer("shop").start_as_current_span("order"):
            blogauto_otel.metrics.business.keywords_analyzed.add(1)
            logging.getLogger("shop").warning("an order")


if __name__ == "__main__":
    TestOrders("test_an_order").debug()
"""
RUNNERS = {
    "pytest": ("-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "test_shop.py"),
    "unittest": ("-m", "unittest", "test_shop"),
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def run(receiver: Receiver, folder: Path, *command: str, **variables: str) -> str:
    (folder / "test_shop.py").write_text(PROJECT.replace("RECEIVER", receiver.url))
    env = environment(XDG_STATE_HOME=str(folder / "state"), TMPDIR=str(folder), **variables)
    done = subprocess.run(python(*command), cwd=folder, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def spooled(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "blogauto-otel" in str(path.relative_to(folder))]


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
def test_nothing_is_exported_spooled_or_printed(runner: str, receiver: Receiver, tmp_path: Path) -> None:
    said = run(receiver, tmp_path, *RUNNERS[runner])
    assert receiver.requests == []
    assert spooled(tmp_path) == []
    assert "blogauto_otel" not in said


@pytest.mark.slow
def test_the_same_program_exports_when_no_test_runner_runs_it(receiver: Receiver, tmp_path: Path) -> None:
    said = run(receiver, tmp_path, "test_shop.py")
    assert [span.name for span in receiver.spans] == ["order"]
    assert "an order" in said


@pytest.mark.slow
@pytest.mark.parametrize("asking", ["BLOGAUTO_OTEL_UNDER_TEST", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"])
def test_what_is_asked_for_is_exported(asking: str, receiver: Receiver, tmp_path: Path) -> None:
    values = {"BLOGAUTO_OTEL_UNDER_TEST": "export", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    run(receiver, tmp_path, *RUNNERS["pytest"], **{asking: values.get(asking, "otlp")})
    assert [span.name for span in receiver.spans] == ["order"]
    assert (not receiver.logs) is (asking == "OTEL_TRACES_EXPORTER")  # which asks for spans alone


def test_the_settings_say_what_is_quiet_and_how_to_change_it() -> None:
    loaded = config.read({**PYTEST, "OTEL_LOGS_EXPORTER": "otlp"})
    settings = loaded.settings
    assert (settings.traces_exporter, settings.metrics_exporter, settings.logs_exporter) == ((), (), ("otlp",))
    assert settings.console == "off"
    [note] = [note for note in loaded.notes if "pytest" in note]
    assert note.startswith("pytest runs this process: traces, metrics are not exported; ")
    assert note.endswith("set an endpoint or an exporter, or BLOGAUTO_OTEL_UNDER_TEST=export")


def test_an_argument_asks_as_well_as_a_variable() -> None:
    asked = config.read(PYTEST, endpoint="http://127.0.0.1:9", console="json")
    assert asked.settings.traces_exporter == asked.settings.logs_exporter == ("otlp",)
    assert (asked.settings.console, asked.settings.spool_dir) == ("json", None)
    assert not [note for note in asked.notes if "pytest" in note]
    assert config.read(PYTEST, under_test="export").settings == config.read({}, under_test="export").settings
