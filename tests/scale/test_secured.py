"""Between tiers: only a Collector with a certificate of the authority, and with the token, delivers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.processes import Collector, eventually, start_collector
from testkit import otlp
from testkit.certificates import make

pytestmark = pytest.mark.stack

TOKEN = "token-of-the-tier"
ACCEPTED = "otelcol_receiver_accepted_spans_total"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make(folder)
    (folder / "token").write_text(TOKEN + "\n")
    return folder


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[Collector]:
    env = {
        "OTELCOL_TOKEN_FILE": str(folder / "token"),
        "OTELCOL_TLS_CERT_FILE": str(folder / "server.pem"),
        "OTELCOL_TLS_KEY_FILE": str(folder / "server.key"),
        "OTELCOL_TLS_CLIENT_CA_FILE": str(folder / "authority.pem"),
    }
    with start_collector(("receive-mtls", "receive-token", "export-file"), tmp=folder, env=env) as collector:
        yield collector


def sender(gateway: Collector, folder: Path, tmp: Path, overlay: str = "tier-agent", **changes: str) -> Collector:
    """A Collector with everything that it needs to send to `gateway`, except for the changes."""
    port = str(gateway.ports["GRPC"])
    env = {
        "OTELCOL_NEXT_ENDPOINT": f"127.0.0.1:{port}",
        "SAMPLER_PORT": port,
        "TIER_INSECURE": "false",
        "TIER_CA_FILE": str(folder / "authority.pem"),
        "TIER_CERT_FILE": str(folder / "client.pem"),
        "TIER_KEY_FILE": str(folder / "client.key"),
        "TIER_AUTHORIZATION": f"Bearer {TOKEN}",
        **changes,
    }
    return start_collector((overlay,), tmp=tmp, env=env)


@pytest.mark.parametrize("overlay", ["tier-agent", "tier-gateway"])
def test_a_tier_with_certificate_and_token_delivers(
    gateway: Collector, folder: Path, tmp_path: Path, overlay: str
) -> None:
    before = gateway.total(ACCEPTED)
    with sender(gateway, folder, tmp_path, overlay) as agent:
        assert otlp.post(agent.endpoint, otlp.traces([otlp.span()])) == 200
        eventually(lambda: gateway.total(ACCEPTED), lambda count: count == before + 1)


@pytest.mark.parametrize("certificate", ["", "unknown"], ids=["no certificate", "of another authority"])
def test_with_a_wrong_certificate_nothing_is_accepted_and_the_agent_keeps_it(
    gateway: Collector, folder: Path, tmp_path: Path, certificate: str
) -> None:
    before = gateway.total(ACCEPTED)
    files = {"TIER_CERT_FILE": f"{certificate}.pem", "TIER_KEY_FILE": f"{certificate}.key"}
    wrong = {name: str(folder / file) if certificate else "" for name, file in files.items()}
    with sender(gateway, folder, tmp_path, **wrong) as agent:
        assert otlp.post(agent.endpoint, otlp.traces([otlp.span()])) == 200
        eventually(lambda: "Exporting failed. Will retry" in agent.output)
        assert gateway.total(ACCEPTED) == before
    with sender(gateway, folder, tmp_path) as agent:
        eventually(lambda: gateway.total(ACCEPTED), lambda count: count == before + 1, what="what was kept")


def test_with_a_wrong_token_nothing_is_accepted_and_the_loss_is_counted(
    gateway: Collector, folder: Path, tmp_path: Path
) -> None:
    """OTLP defines Unauthenticated as not retryable, so the Collector does not keep what is refused for it."""
    before = gateway.total(ACCEPTED)
    with sender(gateway, folder, tmp_path, TIER_AUTHORIZATION="Bearer wrong") as agent:
        assert otlp.post(agent.endpoint, otlp.traces([otlp.span()])) == 200
        eventually(lambda: agent.total("otelcol_exporter_send_failed_spans_total") == 1)
        assert gateway.total(ACCEPTED) == before
