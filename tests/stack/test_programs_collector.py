"""The real Collector: it accepts and runs what ships, in the order that keeps redaction in force."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.processes import COLLECTOR, collector_arguments, collector_environment, executable, get, start_collector
from testkit import otlp
from tests.stack.overlays import COMBINATIONS, OVERLAYS

pytestmark = pytest.mark.stack


def otelcol(*arguments: str, tmp: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(executable("otelcol")), *arguments]
    env = {**collector_environment(tmp), **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def merged(overlays: Sequence[str], tmp: Path, *, base_first: bool = True) -> dict[str, Any]:
    """The configuration that the Collector would run."""
    arguments = collector_arguments(overlays)
    if not base_first:
        arguments = [*arguments[1:], arguments[0]]
    done = otelcol("print-config", *arguments, tmp=tmp)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


def stages(config: dict[str, Any]) -> dict[str, list[str]]:
    return {name: pipeline.get("processors") or [] for name, pipeline in config["service"]["pipelines"].items()}


def test_the_table_of_overlays_is_what_ships() -> None:
    files = {path.stem for path in COLLECTOR.glob("*.yaml")} - {"base", "builder"}
    assert files == set(OVERLAYS)


@pytest.mark.parametrize("overlays", [*((name,) for name in OVERLAYS), *COMBINATIONS.values()], ids="+".join)
def test_the_collector_accepts_it(overlays: tuple[str, ...], tmp_path: Path) -> None:
    done = otelcol("validate", *collector_arguments(overlays), tmp=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_collector_accepts_any_two_overlays_in_either_order(tmp_path: Path) -> None:
    for overlays in itertools.permutations(OVERLAYS, 2):
        done = otelcol("validate", *collector_arguments(overlays), tmp=tmp_path)
        assert done.returncode == 0, (overlays, done.stderr)


@pytest.mark.parametrize("overlays", COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_collector_starts_with_it_without_a_warning(overlays: tuple[str, ...], tmp_path: Path) -> None:
    with start_collector(overlays, tmp=tmp_path) as collector:
        assert collector.total("otelcol_process_uptime_seconds_total") > 0
    lines = [json.loads(line) for line in collector.log.read_text().splitlines()]
    troubles = [line for line in lines if line["level"] not in ("debug", "info")]
    # The dead address of the tests is all that may be wrong.
    assert [line for line in troubles if "127.0.0.1:9" not in json.dumps(line)] == []


def one_of_each() -> tuple[Any, Any, Any]:
    return (
        otlp.traces([otlp.span()]),
        otlp.metrics([otlp.counter("things", 1)]),
        otlp.logs([otlp.record("hello")]),
    )


def test_a_collector_without_a_queue_refuses_while_the_next_one_is_away(tmp_path: Path) -> None:
    with start_collector(("export-collector",), tmp=tmp_path) as collector:
        assert [otlp.post(collector.endpoint, message) for message in one_of_each()] == [503, 503, 503]


QUEUED = {name: overlays for name, overlays in COMBINATIONS.items() if "export-collector" not in overlays}


@pytest.mark.parametrize("overlays", QUEUED.values(), ids=QUEUED)
def test_the_collector_takes_every_signal_with_it(overlays: tuple[str, ...], tmp_path: Path) -> None:
    with start_collector(overlays, tmp=tmp_path) as collector:
        for message in one_of_each():
            assert otlp.post(collector.endpoint, message) == 200
        assert collector.total("otelcol_receiver_accepted_spans_total") == 1
        assert collector.total("otelcol_receiver_accepted_metric_points_total") == 1
        assert collector.total("otelcol_receiver_accepted_log_records_total") == 1


@pytest.mark.parametrize(
    "overlays", [names for names in COMBINATIONS.values() if "process-redact" in names], ids="+".join
)
def test_redaction_is_in_force_in_every_combination_that_names_it(overlays: tuple[str, ...], tmp_path: Path) -> None:
    found = stages(merged(overlays, tmp_path))
    redaction = ["redaction/names", "redaction"]
    assert found["traces/others"] == found["logs/others"] == ["filter/others", "transform/redact", *redaction]
    assert found["metrics/others"] == ["filter/others", *redaction]
    assert found["traces/own"] == found["metrics/own"] == found["logs/own"] == ["filter/own"]


@pytest.mark.parametrize("overlays", COMBINATIONS.values(), ids=COMBINATIONS)
def test_no_pipeline_bypasses_redaction(overlays: tuple[str, ...], tmp_path: Path) -> None:
    """What receivers take goes to *_in alone; what leaves comes from *_all or traces_kept alone."""
    config = merged(overlays, tmp_path)
    connectors = config["connectors"].keys()
    for name, pipeline in config["service"]["pipelines"].items():
        for receiver in pipeline["receivers"]:
            if receiver not in connectors:
                assert all(exporter.endswith("_in") for exporter in pipeline["exporters"]), name
        for exporter in pipeline["exporters"]:
            if exporter not in connectors:
                allowed = {"forward/traces_kept", "forward/traces_all", "forward/metrics_all", "forward/logs_all"}
                assert set(pipeline["receivers"]) <= allowed, name


@pytest.mark.parametrize("overlays", COMBINATIONS.values(), ids=COMBINATIONS)
def test_every_way_in_passes_the_memory_limiter_first(overlays: tuple[str, ...], tmp_path: Path) -> None:
    config = merged(overlays, tmp_path)
    for name, pipeline in config["service"]["pipelines"].items():
        if any(receiver not in config["connectors"] for receiver in pipeline["receivers"]):
            assert stages(config)[name][0] == "memory_limiter", name


@pytest.mark.parametrize("other", ["receive-token", "receive-tenants"])  # one takes the place of the other
def test_every_component_that_is_defined_is_used(other: str, tmp_path: Path) -> None:
    config = merged([name for name in OVERLAYS if name != other], tmp_path)
    used: set[str] = set(config["service"]["extensions"])
    for pipeline in config["service"]["pipelines"].values():
        used.update(itertools.chain(pipeline["receivers"], pipeline.get("processors") or [], pipeline["exporters"]))
    defined = {
        name for part in ("receivers", "processors", "exporters", "connectors", "extensions") for name in config[part]
    }
    assert defined == used


def test_base_after_an_overlay_would_undo_it(tmp_path: Path) -> None:
    """Why the order is a rule: nothing warns, and nothing is redacted."""
    wrong = merged(("process-redact",), tmp_path, base_first=False)
    assert stages(wrong)["traces/clean"] == ["resource/defaults"]


BACKENDS = [name for name in OVERLAYS if name.startswith("export-") and name != "export-collector"]  # no backend


@pytest.mark.parametrize("overlay", BACKENDS)
def test_a_backend_that_must_not_lose_keeps_its_queue_on_disk(overlay: str) -> None:
    for name, exporter in yaml.safe_load((COLLECTOR / f"{overlay}.yaml").read_text())["exporters"].items():
        queue = exporter.get("sending_queue", {})
        if not name.startswith("otlp_") or name == "otlp_http/sentry":
            assert "storage" not in queue, name
            continue
        assert queue["storage"] == "file_storage/queue"
        assert exporter["retry_on_failure"]["max_elapsed_time"] == 0, "a deadline drops what the disk has kept"
        # In bytes, one record larger than a batch takes the whole batch down.
        assert queue["sizer"] == "items"
        assert queue["batch"]["max_size"] < queue["queue_size"]


@pytest.mark.parametrize(
    ("overlay", "variable", "value", "complaint"),
    [
        ("process-redact", "REDACTION_HMAC_KEY", "", "hmac_key"),
        ("process-redact", "REDACTION_HMAC_KEY", "too short", "hmac_key"),
        ("export-sentry", "SENTRY_OTLP_ENDPOINT", "", "endpoint"),
    ],
)
def test_a_missing_variable_is_found_before_the_start(
    overlay: str, variable: str, value: str, complaint: str, tmp_path: Path
) -> None:
    done = otelcol("validate", *collector_arguments([overlay]), tmp=tmp_path, **{variable: value})
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_health_check_answers(tmp_path: Path) -> None:
    with start_collector((), tmp=tmp_path) as collector:
        status, _body = get(f"http://127.0.0.1:{collector.ports['HEALTH']}/")
        assert status == 200


def test_several_collectors_live_side_by_side(tmp_path: Path) -> None:
    with start_collector(tmp=tmp_path / "one") as one, start_collector(tmp=tmp_path / "two") as two:
        assert not set(one.ports.values()) & set(two.ports.values())
        assert otlp.post(one.endpoint, otlp.logs([otlp.record("for one")])) == 200
        assert two.total("otelcol_receiver_accepted_log_records_total") == 0
