"""`/metrics` read by the real promtool and the real Prometheus, and beside what comes through the real Collector."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from blogauto_otel.integrations.prometheus import MetricsEndpoint
from blogauto_otel.redaction import Redactor
from blogauto_otel.sdk.meter_provider import CollectingReader
from blogauto_otel.sdk.series import limit_series
from stack.processes import (
    LOOPBACK,
    Prometheus,
    Sample,
    eventually,
    executable,
    free_port,
    start_collector,
    start_prometheus,
)
from testkit.example import Blog, example

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("metrics-text")]

TOKEN = "scrape-me"
HOSTILE = {
    "quotes": 'say "x"',
    "backslashes": "a\\b\\n",
    "lines": "one\ntwo",
    "nul": "a\0b",
    "braces": '} 5 # {a="b"} 7',
    "unicode": "한국 \U0001f600",
    "control": "\x1b[31m\r\t\x7f",
    "empty": "",
}
SHOWN = {**HOSTILE, "nul": "a\ufffdb"}


def provider_with_everything() -> tuple[CollectingReader, str]:
    """A provider with each kind of instrument and hostile labels; and the trace id of an exemplar."""
    reader = CollectingReader()
    provider = MeterProvider(
        [reader],
        resource=Resource({"service.name": "x", "service.version": "1"}),
        views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
        shutdown_on_exit=False,
    )
    limit_series(provider, limit=2000, redactor=Redactor(), on_first_measurement=lambda: None)
    meter = provider.get_meter("tests")
    counter = meter.create_counter("hostile", unit="{label}", description='a "b"\nc\\d\0e')
    for name, value in HOSTILE.items():
        counter.add(1, {"value": value, "name": name})
    meter.create_gauge("blocked_ips_total").set(4)
    meter.create_up_down_counter("big").add(2**53)
    bounds = [0.005, 1.0, 2.0, 1e6, 1e7]
    duration = meter.create_histogram("duration", unit="s", explicit_bucket_boundaries_advisory=bounds)
    exponential = meter.create_histogram("exponential")
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
        for number in range(100):
            duration.record(1.5)
            exponential.record(number / 10)
    return reader, f"{span.get_span_context().trace_id:032x}"


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """The application behind a real server; gives the port."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def scraping(tmp: Path, jobs: Mapping[str, Mapping[str, Any]]) -> Iterator[Prometheus]:
    """A Prometheus that reads these jobs every second."""
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": name, **job} for name, job in jobs.items()],
    }
    path = tmp / "scrape.yml"
    path.write_text(yaml.safe_dump(config))
    with start_prometheus(path, tmp=tmp) as prometheus:
        yield prometheus


def target(port: int) -> dict[str, Any]:
    return {"static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, str]]:
    """A page of hostile labels, read in both formats with a token, and once without."""
    reader, trace_id = provider_with_everything()
    with serving(MetricsEndpoint(reader.collect_now, TOKEN)) as port:
        by_token = {**target(port), "authorization": {"credentials": TOKEN}}
        jobs = {
            "openmetrics": {**by_token, "scrape_protocols": ["OpenMetricsText1.0.0"]},
            "classic": {**by_token, "scrape_protocols": ["PrometheusText0.0.4"]},
            "default": by_token,
            "anonymous": target(port),
        }
        with scraping(tmp_path_factory.mktemp("hostile"), jobs) as prometheus:
            prometheus.wait_for("count(blocked_ips_total) == 3")
            yield prometheus, trace_id


@pytest.mark.parametrize("job", ["openmetrics", "classic", "default"])
class TestHostile:
    def test_every_label_arrives_as_it_was(self, hostile: tuple[Prometheus, str], job: str) -> None:
        found = hostile[0].query(f'hostile_total{{job="{job}"}}')
        assert {one.labels["name"]: one.labels.get("value", "") for one in found} == SHOWN

    def test_every_series_carries_the_service(self, hostile: tuple[Prometheus, str], job: str) -> None:
        found = hostile[0].query(f'{{service_name="x", service_version="1", job="{job}"}}')
        assert {one.labels["__name__"] for one in found} >= {"hostile_total", "big", "duration_seconds_sum"}

    def test_values_and_types(self, hostile: tuple[Prometheus, str], job: str) -> None:
        prometheus = hostile[0]
        assert [one.value for one in prometheus.query(f'big{{job="{job}"}}')] == [2.0**53]
        types = types_of(prometheus, job)
        assert types["blocked_ips_total"] == "gauge"
        assert types["duration_seconds"] == types["exponential"] == "histogram"
        assert types["big"] == "gauge"

    def test_bounds_are_those_that_rules_select(self, hostile: tuple[Prometheus, str], job: str) -> None:
        found = hostile[0].query(f'duration_seconds_bucket{{job="{job}"}}')
        assert {one.labels["le"]: one.value for one in found} == {
            "0.005": 0.0,
            "1.0": 0.0,
            "2.0": 100.0,
            "1e+06": 100.0,
            "1e+07": 100.0,
            "+Inf": 100.0,
        }

    def test_an_exponential_histogram_has_quantiles(self, hostile: tuple[Prometheus, str], job: str) -> None:
        [median] = hostile[0].query(f'histogram_quantile(0.5, exponential_bucket{{job="{job}"}})')
        assert 4.0 <= median.value <= 8.0
        [count] = hostile[0].query(f'exponential_count{{job="{job}"}}')
        assert count.value == 100.0


def types_of(prometheus: Prometheus, job: str) -> dict[str, str]:
    found = prometheus.answer("targets/metadata", match_target=f'{{job="{job}"}}')
    return {one["metric"]: one["type"] for one in found}


def test_exemplars_arrive(hostile: tuple[Prometheus, str]) -> None:
    prometheus, trace_id = hostile
    found = [one for one in prometheus.exemplars("duration_seconds_bucket") if one.labels["trace_id"] == trace_id]
    assert found
    assert found[0].value == 1.5


def test_targets_are_up_except_the_one_without_a_token(hostile: tuple[Prometheus, str]) -> None:
    wanted = {"openmetrics": "up", "classic": "up", "default": "up", "anonymous": "down"}
    eventually(hostile[0].targets, lambda found: found == wanted, timeout=20.0)


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Blog]]:
    """The example, read directly and through the Collector by one Prometheus."""
    tmp = tmp_path_factory.mktemp("both-ways")
    port = free_port()
    with (
        start_collector(("export-prometheus-pull",), tmp=tmp) as collector,
        example(tmp, collector.endpoint, port=port, OTEL_METRIC_EXPORT_INTERVAL="500") as blog,
        scraping(
            tmp,
            {
                "blogauto-backend": target(port),
                "otel-apps": {**target(collector.ports["PROMETHEUS"]), "honor_labels": True},
            },
        ) as prometheus,
    ):
        blog.traffic()
        yield prometheus, blog


OF_US = '__name__=~"blogauto_.*|db_.*|http_.*|target_info", job="blogauto-backend"'
DIRECT = f'{{{OF_US}, instance=~"127.0.0.1:.*"}}'
COLLECTED = f'{{{OF_US}, instance!~"127.0.0.1:.*"}}'


def series(samples: list[Sample]) -> set[tuple[tuple[str, str], ...]]:
    """Names and labels, all but the instance."""
    return {tuple(sorted((key, value) for key, value in one.labels.items() if key != "instance")) for one in samples}


def test_names_and_labels_are_equal_directly_and_through_the_collector(both_ways: tuple[Prometheus, Blog]) -> None:
    """Contract, section 3: same names, same types, same labels; `instance` aside."""
    prometheus = both_ways[0]
    prometheus.wait_for(f"count({DIRECT}) > 100")
    prometheus.wait_for(DIRECT, until=lambda found: series(found) == series(prometheus.query(COLLECTED)))


def test_types_are_equal_directly_and_through_the_collector(both_ways: tuple[Prometheus, Blog]) -> None:
    direct, collected = (types_of(both_ways[0], job) for job in ("blogauto-backend", "otel-apps"))
    ours = {name for name in direct if name.startswith("blogauto_")}
    assert len(ours) > 20
    assert {name: direct[name] for name in ours} == {name: collected.get(name) for name in ours}


# The contract's own name, and those of the semantic conventions.
_COUNT = 'non-histogram and non-summary metrics should not have "_count" suffix'
KNOWN = {
    "blogauto_blocked_ips_total": 'non-counter metrics should not have "_total" suffix',
    "db_client_connection_count": _COUNT,
    "process_thread_count": _COUNT,
    "process_unix_file_descriptor_count": _COUNT,
}


def test_promtool_finds_nothing_but_names_that_are_not_ours_to_change(both_ways: tuple[Prometheus, Blog]) -> None:
    page = both_ways[1].child.get("/metrics")[1]
    command = [str(executable("promtool")), "check", "metrics"]
    done = subprocess.run(command, input=page, capture_output=True, check=False)
    findings = (done.stdout + done.stderr).decode().splitlines()
    assert sorted(findings) == [f"{name} {finding}" for name, finding in KNOWN.items()]
