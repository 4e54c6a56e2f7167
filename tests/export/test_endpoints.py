"""Endpoints by the OpenTelemetry specification, shown without credentials."""

from __future__ import annotations

import importlib.util
from typing import Any, get_args

import pytest

from blogauto_otel import config
from blogauto_otel.errors import ConfigurationError
from blogauto_otel.export.endpoints import PROTOCOLS, ExportConfig, OtlpProtocol, export_configs
from blogauto_otel.export.transport.grpc import GrpcTransport
from blogauto_otel.export.transport.http import HttpTransport
from blogauto_otel.otlp.signal import Signal

TRACES, METRICS, LOGS = Signal.TRACES, Signal.METRICS, Signal.LOGS


def by_signal(**settings: Any) -> dict[Signal, ExportConfig]:
    return {each.signal: each for each in export_configs(config.load({}, **settings).settings)}


def urls(**settings: Any) -> list[str]:
    made = by_signal(**settings)
    return [made[signal].destination.url for signal in (TRACES, METRICS, LOGS)]


def test_the_default_endpoint_is_localhost() -> None:
    assert urls() == [f"http://localhost:4318/v1/{signal.value}" for signal in (TRACES, METRICS, LOGS)]


@pytest.mark.parametrize("base", ["http://collector:4318", "http://collector:4318/"])
def test_a_base_gets_a_path_for_each_signal(base: str) -> None:
    assert urls(endpoint=base)[0] == "http://collector:4318/v1/traces"
    assert urls(endpoint=base + "/prefix/")[2].endswith("/prefix/v1/logs")


def test_the_url_of_a_signal_is_used_unchanged() -> None:
    assert urls(endpoint="http://base", metrics_endpoint="https://other/x")[1] == "https://other/x"


def test_grpc_has_a_port_of_its_own_and_no_paths() -> None:
    assert urls(protocol="grpc") == ["http://localhost:4317"] * 3
    assert isinstance(by_signal(protocol="grpc")[TRACES].transport(), GrpcTransport)
    assert isinstance(by_signal()[TRACES].transport(), HttpTransport)


def test_headers_of_a_signal_replace_the_general_ones() -> None:
    made = by_signal(headers={"a": "1"}, logs_headers={"b": "2"}, metrics_headers={})
    assert [dict(made[s].destination.headers) for s in (TRACES, METRICS, LOGS)] == [{"a": "1"}, {}, {"b": "2"}]


def test_timeout_and_compression_of_a_signal_take_precedence() -> None:
    made = by_signal(timeout=7.0, logs_timeout=3.0, metric_timeout=2.0, compression="gzip", traces_compression="none")
    assert [made[s].destination.timeout for s in (TRACES, METRICS, LOGS)] == [7.0, 2.0, 3.0]
    assert [made[s].destination.gzip for s in (TRACES, METRICS, LOGS)] == [False, True, True]


def test_endpoints_are_shown_without_credentials_and_with_all_exporters() -> None:
    made = by_signal(
        endpoint="http://me:secret@collector:4318",
        traces_exporter="otlp,console",
        logs_exporter="none",
        metrics_exporter="console",
    )
    assert made[TRACES].endpoint == "http://****@collector:4318/v1/traces, console"
    assert (made[METRICS].endpoint, made[LOGS].endpoint) == ("console", "nowhere")


def test_grpc_without_its_package_falls_back_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _hide_grpc(monkeypatch)
    assert isinstance(by_signal(protocol="grpc")[TRACES].transport(), HttpTransport)
    assert urls(protocol="grpc")[0] == "http://localhost:4318/v1/traces"
    assert 'pip install "blogauto_otel[grpc]"' in caplog.text


def test_grpc_without_its_package_is_an_error_when_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide_grpc(monkeypatch)
    with pytest.raises(ConfigurationError, match="grpcio"):
        by_signal(protocol="grpc", strict=True)


def _hide_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "grpc" else find(name, *a))


@pytest.mark.parametrize(
    ("url", "logged"),
    [
        ("http://collector.example:4318", True),
        ("http://10.0.0.1:4318", True),
        ("https://collector.example", False),
        ("http://localhost:4318", False),
        ("http://127.0.0.1:4318", False),
        ("http://[::1]:4318", False),
    ],
)
def test_credentials_without_encryption_are_warned_of(url: str, logged: bool, caplog: pytest.LogCaptureFixture) -> None:
    by_signal(endpoint=url, headers={"authorization": "Bearer abc"})
    assert ("not encrypted" in caplog.text) is logged
    assert "abc" not in caplog.text


class TestPerSignal:
    def test_protocol_and_files_of_a_signal_stand_in_place_of_the_general_ones(self) -> None:
        made = by_signal(protocol="grpc", logs_protocol="http/protobuf", certificate="ca", traces_certificate="own")
        assert [type(made[s].transport()) for s in (TRACES, METRICS, LOGS)] == [
            GrpcTransport,
            GrpcTransport,
            HttpTransport,
        ]
        assert [made[s].destination.certificate for s in (TRACES, METRICS, LOGS)] == ["own", "ca", "ca"]

    def test_the_shorter_of_the_two_timeouts_applies(self) -> None:
        made = by_signal(timeout=7.0, span_export_timeout=30.0, log_export_timeout=2.0)
        assert [made[s].destination.timeout for s in (TRACES, METRICS, LOGS)] == [7.0, 7.0, 2.0]

    @pytest.mark.parametrize(("insecure", "scheme"), [({}, "https"), ({"insecure": True}, "http")])
    def test_an_endpoint_without_a_scheme_is_encrypted_unless_insecure(self, insecure: Any, scheme: str) -> None:
        assert urls(protocol="grpc", endpoint="collector:4317", **insecure) == [f"{scheme}://collector:4317"] * 3
        own = by_signal(protocol="grpc", endpoint="collector:4317", logs_insecure=True)
        assert own[LOGS].destination.url == "http://collector:4317"

    def test_an_endpoint_without_a_scheme_is_refused_for_http(self) -> None:
        loaded = config.load({}, endpoint="collector:4317", traces_protocol="grpc")
        assert loaded.settings.endpoint is None
        assert "http/protobuf" in loaded.problems[0]
        assert config.load({}, traces_endpoint="collector:4317", traces_protocol="grpc").problems == ()


def test_every_protocol_of_the_settings_has_its_row() -> None:
    assert set(get_args(config.Protocol)) == set(PROTOCOLS)


def test_a_protocol_is_one_row_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    row = OtlpProtocol(lambda _, destination: HttpTransport(destination), "http://localhost:9999", has_paths=False)
    monkeypatch.setitem(PROTOCOLS, "grpc", row)
    exported = by_signal(protocol="grpc", logs_protocol="http/protobuf")
    assert isinstance(exported[Signal.TRACES].transport(), HttpTransport)
    assert exported[Signal.TRACES].destination.url == "http://localhost:9999"
    assert exported[Signal.LOGS].destination.url == "http://localhost:4318/v1/logs"
