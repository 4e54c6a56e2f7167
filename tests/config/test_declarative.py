"""`OTEL_CONFIG_FILE`: a file in place of the variables of the specification."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel import config
from blogauto_otel.config import Settings
from blogauto_otel.errors import ConfigurationError
from testkit.processes import environment, python
from testkit.receiver import Receiver
from tests.export.peers import GrpcReceiver

WHOLE = """\
file_format: "1.0"
disabled: false
log_level: warn2
resource:
  attributes:
    - name: service.name
      value: ${SERVICE:-shop}
    - name: replicas
      value: "3"
      type: int
    - name: zones
      value: [a, b]
  attributes_list: team=a%20b,service.name=other
  detection/development:
    detectors: [{service: }]
attribute_limits: {attribute_count_limit: 64, attribute_value_length_limit: }
propagator:
  composite: [{tracecontext: }, {baggage: }]
  composite_list: b3
tracer_provider:
  processors:
    - batch:
        schedule_delay: 200
        export_timeout: 0
        max_queue_size: 100
        max_export_batch_size: 50
        exporter:
          otlp_grpc:
            endpoint: collector:4317
            tls: {ca_file: /ca.pem, cert_file: /c.pem, key_file: /k.pem, insecure: true}
            headers_list: tenant=0,x-api-key=low
            headers:
              - {name: x-api-key, value: "a,b="}
            compression: gzip
            timeout: 2500
    - simple: {exporter: {console: }}
  limits: {event_count_limit: 0, link_attribute_count_limit: 3}
  sampler:
    parent_based:
      root: {trace_id_ratio_based: {ratio: 0.25}}
      remote_parent_sampled: {always_on: }
meter_provider:
  exemplar_filter: always_off
  readers:
    - periodic:
        interval: 5000
        timeout: 1000
        cardinality_limits: {default: 100}
        exporter:
          otlp_http:
            endpoint: http://metrics:4318/v1/metrics
            timeout: 50
            temporality_preference: low_memory
            default_histogram_aggregation: base2_exponential_bucket_histogram
    - pull: {exporter: {prometheus/development: {host: 0.0.0.0, port: 9465}}}
instrumentation/development:
  general: {http: {server: {request_captured_headers: [x-tenant, accept], known_methods: [GET]}}}
"""
EXPECTED: dict[str, Any] = {
    "service_name": "shop",
    "internal_log_level": "warn",
    "resource_attributes": {"service.name": "shop", "replicas": 3, "zones": ["a", "b"], "team": "a b"},
    "max_attributes": 64,
    "propagators": ("tracecontext", "baggage", "b3"),
    "traces_exporter": ("otlp", "console"),
    "metrics_exporter": ("otlp", "prometheus"),
    "logs_exporter": (),
    "traces_protocol": "grpc",
    "metrics_protocol": "http/protobuf",
    "traces_endpoint": "collector:4317",
    "metrics_endpoint": "http://metrics:4318/v1/metrics",
    "traces_insecure": True,
    "traces_certificate": "/ca.pem",
    "traces_client_certificate": "/c.pem",
    "traces_client_key": "/k.pem",
    "traces_headers": {"tenant": "0", "x-api-key": "a,b="},
    "traces_compression": "gzip",
    "traces_timeout": 2.5,
    "metrics_timeout": 0.05,
    "span_delay": 0.2,
    "span_export_timeout": 600.0,
    "span_queue_items": 100,
    "span_batch_items": 50,
    "max_events": 0,
    "max_link_attributes": 3,
    "sampler": "parentbased_traceidratio",
    "sampler_arg": "0.25",
    "metric_interval": 5.0,
    "metric_timeout": 1.0,
    "metrics_temporality": "lowmemory",
    "histogram_aggregation": "base2_exponential_bucket_histogram",
    "exemplar_filter": "always_off",
    "series_limit": 100,
    "prometheus_host": "0.0.0.0",
    "prometheus_port": 9465,
    "capture_request_headers": ("x-tenant", "accept"),
    "known_methods": ("GET",),
}
MINIMAL = 'file_format: "1.0"\n'

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str, name: str = "otel.yaml") -> str:
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write


def read(path: str, **variables: str) -> config.Loaded:
    return config.read({"OTEL_CONFIG_FILE": path, **variables})


def changed(settings: Settings) -> dict[str, Any]:
    found = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
    return {name: value for name, value in found.items() if value != config.default_of(name) and name != "config_file"}


class TestTheFile:
    def test_every_node_with_a_meaning_is_obeyed(self, write: Write) -> None:
        loaded = read(write(WHOLE))
        assert loaded.problems == ()
        assert changed(loaded.settings) == EXPECTED

    def test_json_is_the_same_and_needs_no_package(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        import yaml

        as_json = json.dumps(yaml.safe_load(WHOLE))
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert changed(read(write(as_json, "otel.json")).settings) == EXPECTED

    def test_yaml_without_its_package_says_how_to_get_it(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        loaded = read(write(WHOLE), OTEL_SERVICE_NAME="shop")
        assert 'pip install "blogauto_otel[config]"' in loaded.problems[0]
        assert loaded.settings.service_name == "shop"  # the variables apply

    def test_a_provider_that_it_omits_is_off(self, write: Write) -> None:
        settings = read(write(MINIMAL)).settings
        assert (settings.traces_exporter, settings.metrics_exporter, settings.logs_exporter) == ((), (), ())
        assert settings.propagators == ("none",)

    @pytest.mark.parametrize(
        ("sampler", "expected"),
        [
            ("always_on:", ("always_on", None)),
            ("always_off: {}", ("always_off", None)),
            ("trace_id_ratio_based: {ratio: 0.5}", ("traceidratio", "0.5")),
            ("parent_based:", ("parentbased_always_on", None)),
            ("parent_based: {root: {always_off: }}", ("parentbased_always_off", None)),
            ("composite/development: {always_on: }", ("always_on", None)),
            ("composite/development: {probability: {ratio: 0.1}}", ("traceidratio", "0.1")),
            (
                "composite/development: {parent_threshold: {root: {probability: {ratio: 0.1}}}}",
                ("parentbased_traceidratio", "0.1"),
            ),
            ("parent_based: {root: {probability/development: {ratio: 0.1}}}", ("parentbased_traceidratio", "0.1")),
        ],
    )
    def test_samplers(self, write: Write, sampler: str, expected: object) -> None:
        settings = read(write(f"{MINIMAL}tracer_provider: {{sampler: {{{sampler}}}}}\n")).settings
        assert (settings.sampler, settings.sampler_arg) == expected

    @pytest.mark.parametrize(
        ("sampler", "place"),
        [
            ("composite/development: {rule_based: {rules: []}}", "composite/development.rule_based"),
            ("parent_based: {root: {parent_based: }}", "parent_based.root.parent_based.root.always_on"),
        ],
    )
    def test_a_sampler_that_nothing_here_equals_is_named(self, write: Write, sampler: str, place: str) -> None:
        path = write(f"{MINIMAL}tracer_provider: {{sampler: {{{sampler}}}}}\n")
        [problem] = read(path).problems
        assert problem == f"{path}: not supported and without effect: tracer_provider.sampler.{place}"

    @pytest.mark.parametrize(
        ("view", "expected"),
        [
            ("{selector: {instrument_type: meter}}", "expected one of counter, gauge"),
            ("{stream: {aggregation: {median: }}}", "expected one of default, drop"),
            ("{stream: {aggregation: {sum: {boundaries: [1]}}}}", "it has no boundaries"),
            ("7", "expected the form of the specification"),
        ],
    )
    def test_a_view_that_cannot_be_used_is_named(self, write: Write, view: str, expected: str) -> None:
        path = write(f"{MINIMAL}meter_provider: {{views: [{view}]}}\n")
        [problem] = read(path).problems
        assert problem.startswith(f"{path}: meter_provider.views: ")
        assert expected in problem


class TestPrecedence:
    def test_the_file_replaces_variables_of_the_specification_and_names_those_that_are_ignored(
        self, write: Write
    ) -> None:
        loaded = read(
            write(WHOLE),
            OTEL_SERVICE_NAME="ignored",
            OTEL_BSP_SCHEDULE_DELAY="999",
            OTEL_EXPORTER_OTLP_ENDPOINT="http://ignored:4318",
            SERVICE="from-the-environment",
        )
        assert loaded.settings.service_name == "from-the-environment"
        assert loaded.settings.span_delay == 0.2
        assert loaded.settings.endpoint is None
        [note] = loaded.notes
        assert note.endswith("ignored: OTEL_BSP_SCHEDULE_DELAY, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME")

    def test_a_variable_that_the_file_refers_to_is_not_ignored(self, write: Write) -> None:
        content = MINIMAL + "resource: {attributes: [{name: service.name, value: '${OTEL_SERVICE_NAME}'}]}\n"
        loaded = read(write(content), OTEL_SERVICE_NAME="shop")
        assert (loaded.settings.service_name, loaded.notes) == ("shop", ())

    def test_settings_of_ours_and_arguments_still_apply(self, write: Write) -> None:
        path = write(WHOLE)
        ours = {"OTEL_CONFIG_FILE": path, "BLOGAUTO_OTEL_SERIES_LIMIT": "500", "BLOGAUTO_OTEL_CONSOLE": "json"}
        settings = config.read(ours, span_delay=3.0).settings
        assert (settings.series_limit, settings.console, settings.span_delay) == (500, "json", 3.0)
        assert config.read({}, config_file=path).settings.service_name == "shop"


class TestSubstitution:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("${REGION}", "seoul"),
            ("${env:REGION}", "seoul"),
            ("in ${REGION}-${MISSING:-2}", "in seoul-2"),
            ("${EMPTY:-used}", "used"),
            ("$${REGION}", "${REGION}"),
            ("${PORT}", 4318),
            ('"${PORT}"', "4318"),
        ],
    )
    def test_values(self, write: Write, value: str, expected: object) -> None:
        content = f"{MINIMAL}resource: {{attributes: [{{name: x, value: {value}}}]}}\n"
        if not value.startswith('"') and "{" in value:
            content = f"{MINIMAL}resource:\n  attributes:\n    - name: x\n      value: {value}\n"
        loaded = read(write(content), REGION="seoul", PORT="4318", EMPTY="")
        assert loaded.settings.resource_attributes == {"x": expected}

    def test_a_value_of_a_variable_is_no_yaml(self, write: Write) -> None:
        content = f"{MINIMAL}resource:\n  attributes:\n    - name: x\n      value: ${{EVIL}}\n"
        loaded = read(write(content), EVIL="a\ndisabled: true")
        assert loaded.settings.sdk_disabled is False
        assert loaded.settings.resource_attributes == {"x": "a\ndisabled: true"}


class TestMistakes:
    def test_nodes_without_effect_are_named_in_one_line(self, write: Write) -> None:
        content = """\
file_format: "1.0"
distribution: {other: {a: 1}}
resource: {schema_url: "https://x"}
tracer_provider:
  tracer_configurator/development: {default_config: {enabled: true}}
  processors:
    - batch: {exporter: {otlp_http: {endpoint: "http://a/v1/traces", encoding: json}}}
    - batch: {exporter: {otlp_http: {endpoint: "http://b/v1/traces"}}}
    - batch: {exporter: {zipkin: {endpoint: x}}}
  sampler: {jaeger_remote/development: {endpoint: x}}
meter_provider: {views: [{selector: {}, stream: {aggregation_cardinality_limit: 5}}], readers: []}
typo: 1
"""
        path = write(content)
        loaded = read(path)
        [problem] = loaded.problems
        assert problem == (
            f"{path}: not supported and without effect: distribution, resource.schema_url, "
            "tracer_provider.tracer_configurator/development, "
            "tracer_provider.processors[0].batch.exporter.otlp_http.encoding=json, "
            "tracer_provider.processors[1].batch.exporter.otlp_http, "
            "tracer_provider.processors[2].batch.exporter.zipkin, "
            "tracer_provider.sampler.jaeger_remote/development, "
            "meter_provider.views[0].stream.aggregation_cardinality_limit, typo"
        )
        assert loaded.settings.traces_endpoint == "http://a/v1/traces"

    def test_a_value_that_cannot_be_used_is_named_by_its_place(self, write: Write) -> None:
        path = write(f"{MINIMAL}tracer_provider: {{limits: {{event_count_limit: many}}}}\n")
        [problem] = read(path).problems
        expected = "expected a whole number from 0 to 4096; using 128"
        assert problem == f"{path}: tracer_provider.limits.event_count_limit='many': {expected}"

    @pytest.mark.parametrize(
        "content",
        [
            "file_format: '9.0'",
            f"{MINIMAL}resource: {{attributes: [1]}}",
            f"{MINIMAL}resource: {{attributes: [{{name: x, value: a, type: int}}]}}",
            f"{MINIMAL}tracer_provider: {{sampler: always_on}}",
            f"{MINIMAL}propagator: {{composite: 7}}",
            f"{MINIMAL}disabled: {{}}",
        ],
    )
    def test_a_node_of_another_form_is_one_message(self, write: Write, content: str) -> None:
        [problem] = read(write(content)).problems
        assert "expected" in problem or "invalid literal" in problem

    @pytest.mark.parametrize(
        "content",
        ["a: [", "- 1", "", "'", "\0", "{", "x: ${1}", "a: &a [*a]\ntracer_provider: {processors: *a}", "!!python/x 1"],
    )
    def test_a_file_that_cannot_be_used_is_one_message_and_the_variables_apply(
        self, write: Write, content: str
    ) -> None:
        loaded = read(write(content), OTEL_SERVICE_NAME="shop")
        assert len(loaded.problems) == 1
        assert loaded.problems[0].endswith("; using the environment variables")
        assert loaded.settings.service_name == "shop"

    def test_so_is_one_that_is_missing(self, tmp_path: Path) -> None:
        [problem] = read(str(tmp_path / "missing.yaml")).problems
        assert "it cannot be read (FileNotFoundError)" in problem

    def test_strict_raises(self, write: Write) -> None:
        with pytest.raises(ConfigurationError, match="typo"):
            config.load({"OTEL_CONFIG_FILE": write(f"{MINIMAL}typo: 1"), "BLOGAUTO_OTEL_STRICT": "true"})


def test_at_start_the_file_decides_where_each_signal_goes(write: Write) -> None:
    script = """
import logging
import blogauto_otel
from opentelemetry import trace

telemetry = blogauto_otel.configure(console="off", spool_dir="off", system_metrics=False)
with trace.get_tracer("shop").start_as_current_span("sell"):
    logging.warning("sold")
assert telemetry.force_flush(20.0)
telemetry.shutdown()
"""
    content = """\
file_format: "1.0"
resource:
  attributes: [{name: service.name, value: shop}, {name: replicas, value: 3}]
tracer_provider:
  processors: [{batch: {exporter: {otlp_grpc: {endpoint: "${GRPC}"}}}}]
logger_provider:
  processors:
    - batch: {exporter: {otlp_http: {endpoint: "${HTTP}/v1/logs", headers: [{name: tenant, value: "7"}]}}}
"""
    with Receiver() as receiver, GrpcReceiver() as grpc_receiver:
        env = environment(OTEL_CONFIG_FILE=write(content), GRPC=grpc_receiver.url, HTTP=receiver.url)
        done = subprocess.run(python("-c", script), capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0, done.stderr
        assert [span.name for span in grpc_receiver.spans] == ["sell"]
        assert {record.body for record in receiver.logs} >= {"sold"}
        assert receiver.metrics == ()
        assert receiver.logs[0].resource["service.name"] == "shop"
        assert receiver.logs[0].resource["replicas"] == 3
        assert {request.headers["tenant"] for request in receiver.requests} == {"7"}
