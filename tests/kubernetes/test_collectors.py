"""The Collectors of the plain files, started as processes: the same arguments, variables and files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stack.processes import (
    COLLECTOR_PORTS,
    LOOPBACK,
    TEST_KEY,
    Collector,
    collector_environment,
    eventually,
    executable,
    free_port,
    start_collector,
    start_kafka,
)
from testkit import otlp
from testkit.processes import python, running
from tests.kubernetes.objects import chart, environment, pick, pods

pytestmark = pytest.mark.stack


def start(tier: str, tmp: Path, *settings: str, env: Mapping[str, str] | None = None) -> Collector:
    """The Collector of one tier, with its ports, its folder and the addresses of the next tier."""
    objects = chart(*settings)
    (container,) = dict(pods(objects))[f"otel-{tier}"]["spec"]["containers"]
    folder = tmp / "etc"
    folder.mkdir(parents=True)
    for name, text in pick(objects, "ConfigMap", f"otel-{tier}-config")["data"].items():
        (folder / name).write_text(text)
    ports = {name: free_port() for name in COLLECTOR_PORTS}
    given = environment(container, {}, {"hmac-key": TEST_KEY})
    local = {
        name: value for name, value in collector_environment(tmp, ports).items() if name in given or "PORT" in name
    }
    command = [str(executable("otelcol")), *(word.replace("/etc/otelcol", str(folder)) for word in container["args"])]
    return Collector(command, ports=ports, env={**given, **local, **(env or {})}, tmp=tmp)


@pytest.mark.parametrize("tier", ["agent", "gateway"])
def test_a_tier_starts(tier: str, tmp_path: Path) -> None:
    with start(tier, tmp_path) as collector:
        assert otlp.post(collector.endpoint, otlp.traces([])) == 200


def test_with_samplers_both_tiers_behind_the_agent_start(tmp_path: Path) -> None:
    for tier in ("gateway", "sampler"):
        with start(tier, tmp_path / tier, "sampler.enabled=true") as collector:
            assert collector.alive


def test_an_agent_answers_when_the_next_collector_has_answered(tmp_path: Path) -> None:
    """Nothing is in the agent's hands: it may end at any time."""
    with start_collector(("export-file",), tmp=tmp_path / "gateway") as gateway:
        address = {"OTELCOL_NEXT_ENDPOINT": f"dns:///localhost:{gateway.ports['GRPC']}"}
        with start("agent", tmp_path / "agent", env=address) as agent:
            sent = [otlp.span(f"span {number}") for number in range(20)]
            assert otlp.post(agent.endpoint, otlp.traces(sent)) == 200
            agent.kill()
            assert gateway.total("otelcol_receiver_accepted_spans_total") == 20
            arrived = eventually(gateway.spans, lambda found: len(found) == 20)
    assert {span.name for span in arrived} == {span.name for span in sent}


def test_an_agent_without_a_gateway_gives_the_data_back_to_the_sender(tmp_path: Path) -> None:
    nobody = {"OTELCOL_NEXT_ENDPOINT": f"{LOOPBACK}:{free_port()}"}
    with start("agent", tmp_path, env=nobody) as agent:
        assert otlp.post(agent.endpoint, otlp.traces([otlp.span()])) == 503, "a status that senders retry"


def test_what_a_gateway_has_acknowledged_survives_its_end(tmp_path: Path) -> None:
    """Jaeger's place is empty when the pod is killed, and taken when it starts again with the same volume."""
    port = free_port()
    jaeger = {"JAEGER_OTLP_ENDPOINT": f"{LOOPBACK}:{port}"}
    gateway = start("gateway", tmp_path / "gateway", env=jaeger)
    with gateway:
        assert otlp.post(gateway.endpoint, otlp.traces([otlp.span("survivor")])) == 200
        gateway.kill()
        backend: Any = {"OTELCOL_GRPC_PORT": str(port)}
        with start_collector(("export-file",), tmp=tmp_path / "jaeger", env=backend) as receiving:
            gateway.start()
            gateway.wait_ready()
            arrived = eventually(receiving.spans, bool)
    assert {span.name for span in arrived} == {"survivor"}, "at least once: a slow answer is not waited for"


def test_with_kafka_what_a_gateway_accepts_arrives_at_a_sampler_and_its_backend(tmp_path: Path) -> None:
    settings = ("sampler.enabled=true", "kafka.enabled=true", "kafka.brokers=kafka:9092")
    (broker,) = start_kafka(tmp=tmp_path)
    with ExitStack() as running:
        running.enter_context(broker)
        backend = running.enter_context(start_collector(("export-file",), tmp=tmp_path / "backend"))
        kafka = {"KAFKA_BROKERS": broker.address, "KAFKA_CREATE_TOPICS": "true"}
        gateway = running.enter_context(start("gateway", tmp_path / "gateway", *settings, env=kafka))
        span = otlp.span("through Kafka", attributes={"app.force_sample": True})
        assert otlp.post(gateway.endpoint, otlp.traces([span])) == 200
        eventually(lambda: gateway.total("otelcol_exporter_sent_spans_total") == 1, what="a topic with a record")
        jaeger = {**kafka, "JAEGER_OTLP_ENDPOINT": f"{LOOPBACK}:{backend.ports['GRPC']}"}
        running.enter_context(start("sampler", tmp_path / "sampler", *settings, env=jaeger))
        arrived = eventually(backend.spans, timeout=90.0)
    assert [span.name for span in arrived] == ["through Kafka"]


APPLICATION = """
import blogauto_otel
from opentelemetry import trace
telemetry = blogauto_otel.configure(console="off", strict=True)
with trace.get_tracer("application").start_as_current_span("recorded while no gateway was there"):
    pass
telemetry.shutdown()
"""
IDLE = "import time, blogauto_otel; telemetry = blogauto_otel.configure(console='off'); time.sleep(60)"


def test_what_an_agent_rejects_is_on_the_applications_volume_and_arrives_later(tmp_path: Path) -> None:
    """Two containers of a pod, one after the other; the gateway comes in between."""
    port = free_port()
    with start("agent", tmp_path / "agent", env={"OTELCOL_NEXT_ENDPOINT": f"{LOOPBACK}:{port}"}) as agent:
        pod = {"OTEL_EXPORTER_OTLP_ENDPOINT": agent.endpoint, "BLOGAUTO_OTEL_SPOOL_DIR": str(tmp_path / "spool")}
        with running(python("-c", APPLICATION), tmp_path / "first.log", port=0, **pod) as first:
            assert first.wait() == 0
        assert agent.total("otelcol_exporter_sent_spans_total") == 0
        gateway = start_collector(("export-file",), tmp=tmp_path / "gateway", env={"OTELCOL_GRPC_PORT": str(port)})
        with gateway, running(python("-c", IDLE), tmp_path / "second.log", port=0, **pod):
            arrived = eventually(gateway.spans, bool)
    assert [span.name for span in arrived] == ["recorded while no gateway was there"]
