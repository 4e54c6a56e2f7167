"""The Collector where others can reach it: loopback by default, and OTLP with a token, over TLS."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from stack.processes import BACKENDS, COLLECTOR, Collector, collector_arguments, executable, start_collector
from testkit.certificates import make
from testkit.processes import python
from tests.stack.overlays import OVERLAYS

pytestmark = pytest.mark.stack

TOKEN = "token-of-the-test"
SENDING = """
import blogauto_otel
from opentelemetry import trace
handle = blogauto_otel.configure(service_name="sender", spool_dir="off", console="off", shutdown_timeout=5.0)
with trace.get_tracer("sender").start_as_current_span("sent"):
    pass
handle.shutdown()
"""


def send(collector: Collector, protocol: str, **variables: str) -> None:
    """Send one span with the package in a process of its own, whether it is accepted or not."""
    port = collector.ports["GRPC" if protocol == "grpc" else "HTTP"]
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "BLOGAUTO_"))},
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{port}",
        **variables,
    }
    done = subprocess.run(python("-c", SENDING), env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secured")
    make(folder)
    (folder / "token").write_text(TOKEN + "\n")
    return folder


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[Collector]:
    env = {
        "OTELCOL_TOKEN_FILE": str(folder / "token"),
        "OTELCOL_TLS_CERT_FILE": str(folder / "server.pem"),
        "OTELCOL_TLS_KEY_FILE": str(folder / "server.key"),
    }
    with start_collector(("receive-token", "receive-tls", "export-file"), tmp=folder, env=env) as collector:
        yield collector


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_only_a_sender_with_the_token_is_accepted(secured: Collector, folder: Path, protocol: str) -> None:
    before = secured.total("otelcol_receiver_accepted_spans_total")
    trusting = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(folder / "authority.pem")}
    send(secured, protocol, **trusting)
    send(secured, protocol, **trusting, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20wrong")
    assert secured.total("otelcol_receiver_accepted_spans_total") == before
    send(secured, protocol, **trusting, OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{TOKEN}")
    assert secured.total("otelcol_receiver_accepted_spans_total") == before + 1


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_plain_text_connections_are_refused(secured: Collector, protocol: str) -> None:
    before = secured.total("otelcol_receiver_accepted_spans_total")
    port = secured.ports["GRPC" if protocol == "grpc" else "HTTP"]
    send(
        secured,
        protocol,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{TOKEN}",
    )
    assert secured.total("otelcol_receiver_accepted_spans_total") == before


def test_every_listener_is_on_loopback_until_one_variable_opens_it(tmp_path: Path) -> None:
    for listen, expected in (({}, "127.0.0.1"), ({"OTELCOL_LISTEN_HOST": "192.0.2.1"}, "192.0.2.1")):
        env = {
            "PATH": os.environ["PATH"],
            "REDACTION_HMAC_KEY": "0" * 64,
            "SENTRY_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTELCOL_STORAGE_DIR": str(tmp_path),
            **listen,
        }
        command = [str(executable("otelcol")), "print-config", *collector_arguments(OVERLAYS)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        config = yaml.safe_load(done.stdout)
        protocols = config["receivers"]["otlp"]["protocols"]
        (reader,) = config["service"]["telemetry"]["metrics"]["readers"]
        listeners = {
            protocols["grpc"]["endpoint"],
            protocols["http"]["endpoint"],
            config["receivers"]["fluent_forward"]["endpoint"],
            config["exporters"]["prometheus"]["endpoint"],
            config["extensions"]["health_check"]["endpoint"],
            f"{reader['pull']['exporter']['prometheus']['host']}:8888",
        }
        assert {address.rpartition(":")[0] for address in listeners} == {expected}


def test_no_file_of_the_stack_listens_everywhere_by_itself() -> None:
    for path in (*COLLECTOR.glob("*.yaml"), BACKENDS / "jaeger" / "jaeger.yaml"):
        assert "0.0.0.0" not in path.read_text(), path.name


def test_lokis_api_refuses_to_delete_logs() -> None:
    """Loki itself is not to be had here; its file is read as it stands."""
    config = yaml.safe_load((BACKENDS / "loki" / "loki.yaml").read_text())
    assert config["limits_config"]["deletion_mode"] == "disabled"
    assert config["compactor"]["retention_enabled"] is True, "old logs go all the same"
