"""Container output on its way to Loki: Docker's logging driver, spoken by hand, into the real Collector."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.processes import Collector, LogRecord, eventually, start_collector
from testkit.fluentd import Time, docker_record, forward

pytestmark = pytest.mark.stack

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
OVERLAYS = ("process-redact", "receive-fluentd", "export-file")


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with start_collector(OVERLAYS, tmp=tmp_path) as collector:
        yield collector


def sent(collector: Collector, *records: dict[str, str], at: Time | int | None = None) -> list[LogRecord]:
    forward(collector.ports["FLUENTD"], records, time=at or int(time.time()))
    return eventually(collector.logs, lambda found: len(found) >= len(records))


def test_a_line_arrives_with_the_service_it_comes_from(collector: Collector) -> None:
    (record,) = sent(collector, docker_record("hello", container="blogauto-web-1", service="web", source="stderr"))
    assert record.body == "hello"
    assert record.resource["service.name"] == "web"
    assert record.resource["service.namespace"] == "blogauto"
    assert record.resource["container.name"] == "blogauto-web-1"
    assert record.resource["deployment.environment.name"] == "development"
    assert record.attributes == {"log.iostream": "stderr"}


def test_without_compose_labels_the_container_gives_its_name(collector: Collector) -> None:
    (record,) = sent(collector, docker_record("hello", container="lonely"))
    assert record.resource["service.name"] == "lonely"


def test_lines_of_several_containers_are_not_mixed_up(collector: Collector) -> None:
    records = [docker_record(f"line of {name}", container=name, service=name) for name in ("web", "db", "web", "cache")]
    found = sent(collector, *records)
    assert len(found) == 4
    assert all(record.body == f"line of {record.resource['service.name']}" for record in found)


def test_a_json_line_becomes_a_record(collector: Collector) -> None:
    line = {
        "message": "saved",
        "level": "warning",
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "timestamp": "2026-01-01T00:00:00Z",
        "content_id": 7,
    }
    (record,) = sent(collector, docker_record(json.dumps(line), container="web"))
    assert record.body == "saved"
    assert (record.severity_text, record.severity_number) == ("WARNING", 13)
    assert (record.trace_id, record.span_id) == (TRACE_ID, SPAN_ID)
    assert record.attributes["content_id"] == 7
    assert record.attributes.keys() == {"content_id", "log.iostream"}


@pytest.mark.parametrize(
    ("level", "number"), [("debug", 5), ("INFO", 9), ("Warn", 13), ("error", 17), ("critical", 21), ("odd", 0)]
)
def test_a_level_becomes_a_severity(collector: Collector, level: str, number: int) -> None:
    (record,) = sent(collector, docker_record(json.dumps({"message": "x", "level": level}), container="web"))
    assert record.severity_number == number


@pytest.mark.parametrize("line", ['{"message": "cut', "{not json}", "plain", "  ", '["a", "list"]', "{}"])
def test_text_that_is_no_json_record_passes_unchanged(collector: Collector, line: str) -> None:
    (record,) = sent(collector, docker_record(line, container="web"))
    assert record.body == line


@pytest.mark.parametrize("wrong", ["", "xyz", TRACE_ID.upper(), TRACE_ID[:-1], TRACE_ID + "0"])
def test_an_invalid_trace_id_is_not_the_trace_id_of_the_record(collector: Collector, wrong: str) -> None:
    (record,) = sent(collector, docker_record(json.dumps({"message": "x", "trace_id": wrong}), container="web"))
    assert record.trace_id == ""
    assert record.body == "x"


def test_times_below_a_second_are_kept(collector: Collector) -> None:
    sent(collector, docker_record("hello", container="web"), at=Time(1_700_000_000, 123_456_789))
    assert '"timeUnixNano":"1700000000123456789"' in (collector.files / "logs.jsonl").read_text()


def test_container_output_is_redacted_too(collector: Collector) -> None:
    lines = ["login with password=canary-hunter2", json.dumps({"message": "x", "api_key": "canary-key"})]
    sent(collector, *(docker_record(line, container="web") for line in lines))
    assert "canary" not in (collector.files / "logs.jsonl").read_text()


def test_a_thousand_lines_are_all_acknowledged_and_all_there(collector: Collector) -> None:
    found = sent(collector, *(docker_record(f"line {number}", container="web") for number in range(1000)))
    assert {record.body for record in found} == {f"line {number}" for number in range(1000)}
