"""Tenants: a service has a token of its own, cannot write as another, and has its own rate."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.processes import COLLECTOR, LOOPBACK, Collector, eventually, free_port, start_collector
from testkit import otlp
from testkit.certificates import make
from testkit.processes import Process, python, running

pytestmark = pytest.mark.stack

TOKENS = {"shop": "shop.0123456789abcdef", "blog": "blog.fedcba9876543210", "team/api": "team/api.0011223344556677"}
SENDING = """
import blogauto_otel
from opentelemetry import trace
telemetry = blogauto_otel.configure(service_name="blog", spool_dir="off", console="off", shutdown_timeout=5.0)
with trace.get_tracer("sender").start_as_current_span("sent by the package"):
    pass
telemetry.shutdown()
"""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tenants")
    make(folder)
    (folder / "tokens").write_text("".join(f"{token}\n" for token in [*TOKENS.values(), "withoutname"]))
    return folder


@pytest.fixture(scope="module")
def collector(folder: Path) -> Iterator[Collector]:
    env = {"OTELCOL_TENANTS_FILE": str(folder / "tokens")}
    with start_collector(("receive-tenants", "export-file"), tmp=folder / "open", env=env) as collector:
        yield collector


def resources(collector: Collector, signal: str) -> list[dict[str, Any]]:
    """The attributes of every resource that arrived."""
    return [
        {pair["key"]: pair["value"].get("stringValue") for pair in resource["resource"]["attributes"]}
        for document in collector.documents(signal)
        for resource in document[f"resource{'Spans' if signal == 'traces' else signal.title()}"]
    ]


def arrived(collector: Collector, instance: str) -> dict[str, dict[str, Any]]:
    """The resource of a process by signal, once all three are there."""

    def found() -> dict[str, dict[str, Any]]:
        return {
            signal: one
            for signal in ("traces", "metrics", "logs")
            for one in resources(collector, signal)
            if one.get("service.instance.id") == instance
        }

    return eventually(found, lambda signals: len(signals) == 3, timeout=20.0)


def send(endpoint: str, headers: dict[str, str], instance: str, **resource: str) -> set[int]:
    of = {"service.instance.id": instance, **{name.replace("_", "."): value for name, value in resource.items()}}
    messages = (
        otlp.traces([otlp.span()], of),
        otlp.metrics([otlp.counter("things", 1)], of),
        otlp.logs([otlp.record("text")], of),
    )
    return {otlp.post(endpoint, message, headers=headers) for message in messages}


def test_a_service_writes_under_its_name(collector: Collector) -> None:
    for name, token in TOKENS.items():
        assert send(collector.endpoint, bearer(token), f"own {name}", service_name=name) == {200}
        for resource in arrived(collector, f"own {name}").values():
            assert resource["service.name"] == name
            assert "service.claimed_name" not in resource


@pytest.mark.parametrize("claim", ["blog", "shop-2", ""])
def test_a_service_that_claims_another_name_writes_under_its_own(collector: Collector, claim: str) -> None:
    claimed = {"service_name": claim} if claim else {}
    assert send(collector.endpoint, bearer(TOKENS["shop"]), f"claims {claim}", **claimed) == {200}
    for signal, resource in arrived(collector, f"claims {claim}").items():
        assert (resource["service.name"], resource.get("service.claimed_name")) == ("shop", claim or None), signal


def test_attributes_of_the_sender_do_not_decide(collector: Collector) -> None:
    forged = {
        "tenant_name": "blog",
        "tenant.token": "Bearer blog.x",
        "service.name": "blog",
        "service.instance.id": "f",
    }
    for token in (TOKENS["shop"], "withoutname"):
        message = otlp.traces([otlp.span()], forged)
        assert otlp.post(collector.endpoint, message, headers=bearer(token)) == 200
    names = eventually(
        lambda: [one["service.name"] for one in resources(collector, "traces") if one["service.instance.id"] == "f"],
        lambda found: len(found) == 2,
    )
    assert sorted(names) == ["shop", "unknown_tenant"]


def test_a_second_authorization_header_does_not_decide(collector: Collector) -> None:
    resource = {"service.name": "blog", "service.instance.id": "two headers"}
    connection = http.client.HTTPConnection(LOOPBACK, collector.ports["HTTP"])
    connection.putrequest("POST", "/v1/traces")
    body = otlp.traces([otlp.span()], resource).SerializeToString()
    for name, value in (
        ("Content-Type", "application/x-protobuf"),
        ("Content-Length", str(len(body))),
        *(("Authorization", f"Bearer {TOKENS[name]}") for name in ("shop", "blog")),
    ):
        connection.putheader(name, value)
    connection.endheaders(body)
    connection.getresponse().read()
    connection.close()

    def names() -> list[Any]:
        return [
            one["service.name"] for one in resources(collector, "traces") if one["service.instance.id"] == "two headers"
        ]

    assert "blog" not in eventually(names)


def test_no_token_is_in_what_arrives_or_in_the_log(collector: Collector) -> None:
    assert send(collector.endpoint, bearer(TOKENS["shop"]), "looks for tokens", service_name="shop") == {200}
    arrived(collector, "looks for tokens")
    written = "".join((collector.files / f"{name}.jsonl").read_text() for name in ("traces", "metrics", "logs"))
    for token in TOKENS.values():
        assert token.partition(".")[2] not in written + collector.output


@pytest.mark.parametrize("token", ["shop.wrong", "shop", "", TOKENS["shop"] + "x"])
def test_a_wrong_token_is_refused(collector: Collector, token: str) -> None:
    before = collector.total("otelcol_receiver_accepted_spans_total")
    assert send(collector.endpoint, bearer(token), "refused") == {401}
    assert collector.total("otelcol_receiver_accepted_spans_total") == before


def test_a_token_can_be_added_while_the_collector_runs(collector: Collector, folder: Path) -> None:
    assert send(collector.endpoint, bearer("late.00ff"), "late") == {401}
    (folder / "tokens").write_text("".join(f"{token}\n" for token in [*TOKENS.values(), "withoutname", "late.00ff"]))
    eventually(lambda: send(collector.endpoint, bearer("late.00ff"), "late") == {200}, timeout=30.0)
    assert {one["service.name"] for one in arrived(collector, "late").values()} == {"late"}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_over_mutual_tls_only_a_sender_with_certificate_and_token_is_accepted(
    folder: Path, tmp_path: Path, protocol: str
) -> None:
    env = {
        "OTELCOL_TENANTS_FILE": str(folder / "tokens"),
        "OTELCOL_TLS_CERT_FILE": str(folder / "server.pem"),
        "OTELCOL_TLS_KEY_FILE": str(folder / "server.key"),
        "OTELCOL_TLS_CLIENT_CA_FILE": str(folder / "authority.pem"),
    }
    overlays = ("receive-mtls", "receive-tenants", "export-file")
    with start_collector(overlays, tmp=tmp_path, env=env) as collector:
        port = collector.ports["GRPC" if protocol == "grpc" else "HTTP"]
        given = {
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://{LOOPBACK}:{port}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(folder / "authority.pem"),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(folder / "client.pem"),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(folder / "client.key"),
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKENS['shop']}",
        }
        for wrong in (
            {
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(folder / "unknown.pem"),
                "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(folder / "unknown.key"),
            },
            {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20shop.wrong"},
            {},
        ):
            with running(python("-c", SENDING), tmp_path / "sender.log", port=0, **{**given, **wrong}) as sender:
                assert sender.wait() == 0, sender.output
        spans = eventually(collector.spans)
        assert [span.name for span in spans] == ["sent by the package"], "the third"
        assert {one["service.name"] for one in resources(collector, "traces")} == {"shop"}


# -- rates


@pytest.fixture
def limiter(collector: Collector, tmp_path: Path) -> Iterator[Process]:
    """nginx with the shipped file, at ports of this machine, 5 requests a second."""
    port = free_port()
    text = (COLLECTOR / "limit" / "nginx.conf").read_text()
    for old, new in (
        ("rate=50r/s", "rate=5r/s"),
        ("burst=100", "burst=10"),
        ("otel-collector:4318", f"{LOOPBACK}:{collector.ports['HTTP']}"),
        ("otel-collector:4317", f"{LOOPBACK}:{collector.ports['GRPC']}"),
        ("listen 4318", f"listen {LOOPBACK}:{port}"),
        ("listen 4317", f"listen {LOOPBACK}:{free_port()}"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "nginx.conf").write_text(re.sub(r"/tmp/(nginx-otlp)", rf"{tmp_path}/\1", text))
    command = ["nginx", "-e", "stderr", "-c", str(tmp_path / "nginx.conf"), "-g", "daemon off;"]
    url = f"http://{LOOPBACK}:{port}"
    with Process("nginx", command, log=tmp_path / "nginx.log", url=url, ready_url="tcp:") as process:
        yield process


def test_a_service_over_its_rate_is_refused_and_another_is_not(limiter: Process) -> None:
    message = otlp.traces([otlp.span()])
    statuses = [otlp.post(limiter.url, message, headers=bearer(TOKENS["shop"])) for _ in range(40)]
    assert set(statuses) == {200, 429}
    assert statuses[:10] == [200] * 10, "a burst is no excess"
    assert otlp.post(limiter.url, message, headers=bearer(TOKENS["blog"])) == 200
    refused = [json.loads(line) for line in limiter.output.splitlines() if line.startswith("{")]
    assert len(refused) == statuses.count(429), "each refusal is a line"
    assert "Bearer" not in limiter.output
    assert TOKENS["shop"] not in limiter.output


def test_who_has_no_token_cannot_use_up_the_rate_of_a_service(limiter: Process) -> None:
    message = otlp.traces([otlp.span()])
    assert {otlp.post(limiter.url, message, headers=bearer("shop.guess")) for _ in range(40)} == {401, 429}
    assert otlp.post(limiter.url, message, headers=bearer(TOKENS["shop"])) == 200


def test_what_is_over_the_rate_arrives_later(limiter: Process, collector: Collector, tmp_path: Path) -> None:
    """Our SDK keeps what is refused, and sends it when Retry-After is over."""
    limited = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": limiter.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKENS['blog']}",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
    }
    script = SENDING.replace("with trace", "for number in range(60):\n  with trace").replace("    pass", "      pass")
    script = script.replace('"sent by the package"', 'f"limited {number}"')
    script = script.replace("telemetry.shutdown()", "import time; time.sleep(20); telemetry.shutdown()")
    with running(python("-c", script), tmp_path / "sender.log", port=0, **limited) as sender:
        names = {f"limited {number}" for number in range(60)}
        eventually(lambda: {span.name for span in collector.spans()} >= names, timeout=60.0, what=sender.output)
    assert '"status":429' in limiter.output
