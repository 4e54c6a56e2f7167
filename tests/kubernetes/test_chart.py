"""The chart and the plain files: Helm accepts them, the schemas too, and pods have no rights that they do not need."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from stack import build
from tests.kubernetes.objects import EVERYTHING, Object, chart, pick, pods, shipped
from tests.kubernetes.policies import violations
from tools import kubernetes

pytestmark = pytest.mark.stack

KAFKA = ("kafka.enabled=true", "sampler.enabled=true")
VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "everything": EVERYTHING,
    "a secret for TLS and tokens": ("gatewaySecret=otel-gateway",),
}
# The parts of two custom resources that the chart uses, by their definitions: Kubernetes has no schemas of them.
OWN = {"type": "object", "additionalProperties": False}
CUSTOM: dict[str, dict[str, Any]] = {
    "PodMonitor": {
        **OWN,
        "required": ["selector", "podMetricsEndpoints"],
        "properties": {
            "selector": {**OWN, "properties": {"matchLabels": {"type": "object"}}},
            "podMetricsEndpoints": {
                "type": "array",
                "items": {
                    **OWN,
                    "properties": {
                        "port": {"type": "string"},
                        "interval": {"type": "string", "pattern": r"^\d+(s|m)$"},
                        "relabelings": {
                            "type": "array",
                            "items": {
                                **OWN,
                                "properties": {
                                    "sourceLabels": {"type": "array", "items": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}},
                                    "targetLabel": {"type": "string"},
                                    "replacement": {"type": "string"},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
    "Instrumentation": {
        **OWN,
        "properties": {
            "exporter": {**OWN, "properties": {"endpoint": {"pattern": "^https?://"}}},
            "resource": {**OWN, "properties": {"addK8sUIDAttributes": {"type": "boolean"}}},
            "propagators": {"items": {"enum": ["tracecontext", "baggage"]}},
            "python": {
                **OWN,
                "required": ["image"],
                "properties": {
                    "image": {"type": "string", "minLength": 1},
                    "env": {"items": {**OWN, "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}},
                    "resourceRequirements": {"type": "object"},
                },
            },
        },
    },
}


def validate(one: Object, version: str) -> None:
    """Check one object against the schemas of a Kubernetes version, strictly.

    Raises:
        Exception: It does not fit; with the path.
    """
    if one["kind"] in CUSTOM:
        jsonschema.validate(one["spec"], CUSTOM[one["kind"]])
    else:
        kubernetes_validate.validate(one, version, strict=True)


def test_helm_lint_reports_nothing() -> None:
    done = kubernetes.helm("lint", "--strict", str(kubernetes.CHART), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[ERROR]" not in done.stdout
    assert "[WARNING]" not in done.stdout


def test_the_plain_files_and_the_collectors_files_are_up_to_date() -> None:
    assert kubernetes.main(["--check"]) == 0, "run: python -m tools.kubernetes"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_every_object_fits_its_schema(variant: str, version: str) -> None:
    objects = chart(*VARIANTS[variant])
    assert len(objects) > 10
    for one in objects:
        validate(one, version)


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_the_plain_files_and_the_example_fit_their_schemas(version: str) -> None:
    for one in shipped():
        validate(one, version)


def test_a_field_that_does_not_exist_is_found() -> None:
    service = pick(chart(), "Service", "otel-agent")
    service["spec"]["internalTrafficPolcy"] = "Local"
    with pytest.raises(Exception, match="internalTrafficPolcy"):
        validate(service, kubernetes_validate.latest_version())


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_pod_breaks_a_rule(variant: str) -> None:
    found = {name: violations(template["spec"]) for name, template in pods(chart(*VARIANTS[variant]))}
    assert found
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_the_agent_alone_may_have_a_port_of_the_node() -> None:
    found = {name: violations(template["spec"]) for name, template in pods(chart("agent.hostPort=true", *EVERYTHING))}
    assert found == {"otel-agent": ["collector has a port of the node"], "otel-gateway": [], "otel-sampler": []}


def test_each_collector_loads_the_files_of_this_repository_unchanged() -> None:
    objects = chart(*EVERYTHING)
    for tier in ("agent", "gateway", "sampler"):
        data = pick(objects, "ConfigMap", f"otel-{tier}-config")["data"]
        for name, text in data.items():
            original = (build.ROOT / "collector" / name).read_bytes()
            assert hashlib.sha256(text.encode()).digest() == hashlib.sha256(original).digest(), name
        arguments = next(template for name, template in pods(objects) if name == f"otel-{tier}")["spec"]["containers"][
            0
        ]["args"]
        loaded = re.findall(r"--config=file:/etc/otelcol/(\S+)", " ".join(arguments))
        assert loaded[0] == "base.yaml", "a later file wins"
        assert set(loaded) == set(data)
        assert len(yaml.safe_dump(data)) < 1_000_000, "a ConfigMap holds one MiB"


def test_only_a_tier_that_redacts_gets_the_key() -> None:
    keys = {name: "hmac-key" in str(template) for name, template in pods(chart(*EVERYTHING))}
    assert keys == {"otel-agent": True, "otel-gateway": False, "otel-sampler": False}


def test_a_changed_collector_file_starts_the_pods_again(tmp_path: Path) -> None:
    changed = tmp_path / "chart"
    shutil.copytree(kubernetes.CHART, changed)
    (changed / "files" / "base.yaml").write_text((changed / "files" / "base.yaml").read_text() + "# changed\n")
    before, after = dict(pods(chart())), dict(pods(chart(folder=changed)))
    assert before["otel-agent"]["metadata"]["annotations"] != after["otel-agent"]["metadata"]["annotations"]


def test_the_image_is_the_pinned_one_of_compose() -> None:
    (container,) = dict(pods(chart()))["otel-gateway"]["spec"]["containers"]
    assert container["image"] == build.image_of("otel-collector")


def test_the_autoscaler_and_the_disruption_budget_belong_to_their_stateful_set() -> None:
    objects = chart(*EVERYTHING)
    for name in ("otel-gateway", "otel-sampler"):
        scaler = pick(objects, "HorizontalPodAutoscaler", name)["spec"]
        assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name}
        assert scaler["minReplicas"] >= 2, "a disruption leaves one"
        labels = dict(pods(objects))[name]["metadata"]["labels"]
        budget = pick(objects, "PodDisruptionBudget", name)["spec"]
        assert budget["selector"]["matchLabels"].items() <= labels.items()
        assert "replicas" not in pick(objects, "StatefulSet", name)["spec"], "the autoscaler's, or an upgrade resets it"


def test_services_policies_and_the_monitor_select_the_pods_and_their_ports() -> None:
    objects = chart(*EVERYTHING)
    templates = dict(pods(objects))
    for name, template in templates.items():
        labels = template["metadata"]["labels"]
        ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        service = pick(objects, "Service", name)["spec"]
        assert service["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["ports"]} <= ports
        policy = pick(objects, "NetworkPolicy", name)["spec"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        monitor = pick(objects, "PodMonitor", "otel-collectors")["spec"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports


def test_each_tier_accepts_only_the_tier_before_it() -> None:
    objects = chart(*EVERYTHING)
    for tier, before in (("gateway", "agent"), ("sampler", "gateway")):
        (sender,) = pick(objects, "NetworkPolicy", f"otel-{tier}")["spec"]["ingress"][0]["from"]
        assert sender["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == before
        assert "namespaceSelector" not in sender, "of this namespace"


def loaded(template: Object) -> list[str]:
    """The files that a Collector loads, in their order."""
    return re.findall(r"/etc/otelcol/(\S+)\.yaml", " ".join(template["spec"]["containers"][0]["args"]))


def variables(template: Object) -> dict[str, Any]:
    """The variables of a Collector."""
    return {one["name"]: one.get("value") for one in template["spec"]["containers"][0]["env"]}


def test_samplers_get_the_traces_that_gateways_export_without_them() -> None:
    without, with_samplers = dict(pods(chart())), dict(pods(chart("sampler.enabled=true")))
    assert "export-jaeger" in loaded(without["otel-gateway"])
    assert "export-jaeger" not in loaded(with_samplers["otel-gateway"])
    assert "SAMPLER_HOST" in "".join(texts(with_samplers["otel-gateway"]))
    assert loaded(with_samplers["otel-sampler"])[:2] == ["base", "process-sampling"]
    assert "export-jaeger" in loaded(with_samplers["otel-sampler"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_an_agent_sends_to_the_gateways(variant: str) -> None:
    """A gateway that sends to gateways would send in circles."""
    senders = {
        name for name, template in pods(chart(*VARIANTS[variant])) if "OTELCOL_NEXT_" in "".join(texts(template))
    }
    assert senders == {"otel-agent"}


def texts(template: Object) -> list[str]:
    """The files that a Collector loads, as they are."""
    return [(build.ROOT / "collector" / f"{name}.yaml").read_text() for name in loaded(template)]


def test_with_kafka_gateways_write_to_it_and_samplers_read_from_it(tmp_path: Path) -> None:
    with_kafka = tmp_path / "chart"
    shutil.copytree(kubernetes.CHART, with_kafka)
    for name in ("tier-kafka-out", "tier-kafka-in"):
        (with_kafka / "files" / f"{name}.yaml").write_text("service: {}\n")
    objects = chart(*KAFKA, "kafka.brokers=kafka:9093", "kafka.port=9093", folder=with_kafka)
    templates = dict(pods(objects))
    assert loaded(templates["otel-gateway"]) == ["base", "tier-kafka-out"]
    assert loaded(templates["otel-sampler"])[:2] == ["base", "tier-kafka-in"]
    assert "export-prometheus-otlp" in loaded(templates["otel-sampler"]), "every signal comes out of Kafka there"
    brokers = {name: variables(template).get("KAFKA_BROKERS") for name, template in templates.items()}
    assert brokers == {"otel-agent": None, "otel-gateway": "kafka:9093", "otel-sampler": "kafka:9093"}
    for name in ("otel-gateway", "otel-sampler"):
        assert {"protocol": "TCP", "port": 9093} in pick(objects, "NetworkPolicy", name)["spec"]["egress"][-1]["ports"]


def refusal(*settings: str, folder: Path = kubernetes.CHART) -> str:
    with pytest.raises(RuntimeError) as caught:
        chart(*settings, folder=folder)
    return str(caught.value)


def test_values_that_cannot_work_are_refused_with_a_way_out(tmp_path: Path) -> None:
    without = tmp_path / "chart"
    shutil.copytree(kubernetes.CHART, without)
    for path in (without / "files").glob("tier-kafka-*"):
        path.unlink()
    assert "there is no files/tier-kafka-out.yaml" in refusal(*KAFKA, folder=without)
    assert "kafka.enabled needs sampler.enabled" in refusal("kafka.enabled=true")
    assert "deploy/kubernetes/Dockerfile" in refusal("instrumentation.enabled=true")
    assert "there is no files/export-jeager.yaml" in refusal("gateway.overlays={export-jeager}")


@pytest.mark.parametrize("setting", ["sampler.enable=true", "gateway.autoscaling.cpu=200", "backends.loki=loki:3100"])
def test_a_misspelt_value_is_an_error(setting: str) -> None:
    assert setting.partition("=")[0].rpartition(".")[2] in refusal(setting)


def test_each_value_of_the_chart_is_in_its_schema_and_on_the_page() -> None:
    values = yaml.safe_load((kubernetes.CHART / "values.yaml").read_text())
    schema = json.loads((kubernetes.CHART / "values.schema.json").read_text())["properties"]
    assert set(schema) == {*values, "global"}
    for name, inner in values.items():
        if isinstance(inner, dict):
            assert set(schema[name]["properties"]) == set(inner), name
    page = (build.ROOT / "docs" / "kubernetes.md").read_text()
    assert [name for name in values if f"`{name}" not in page] == []
