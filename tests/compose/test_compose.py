"""The compose files: Compose's own loader accepts them, containers are hardened, and every named file exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import build
from stack.processes import collector_environment, executable
from testkit.compose import BASE, WITH_APPS, example_environment, load, model

pytestmark = pytest.mark.stack

ROOT = build.ROOT
REQUIRED = ("GRAFANA_USER", "GRAFANA_PASSWORD", "REDACTION_HMAC_KEY")
REQUIRED_BY_APPS = ("DB_USER", "DB_PASSWORD", "REDIS_PASSWORD")

# Every published port. All others stay inside the network.
PORTS = {
    "otel-collector": {"4317", "4318", "8006"},
    "prometheus": {"9090"},
    "alertmanager": {"9093"},
    "jaeger": {"16686"},
    "loki": {"3100"},
    "grafana": {"3001"},
    "backend": {"8000"},
}
# Why a service has no health check.
NO_HEALTH_CHECK = {
    "otel-collector": 'its image holds one program and no shell; the alert on up{job="otel-collector"} watches it',
    "prepare": "runs once and ends",
}
# Intended findings of compose-lint, and why.
WANTED_FINDINGS = {
    ("prepare", "CL-0018"): "gives volumes their owner, with CHOWN alone, without network, and ends",
    ("node-exporter", "CL-0013"): "reading /proc and /sys of the host is its purpose; read-only",
}
CREDENTIALS = {"CL-0020", "CL-0021"}
OWN_OUTPUT = {"prepare", "otel-collector", "loki", "backend"}  # the last sends its logs by OTLP


APPS_SECRETS = {"DB_USER": "reader", "DB_PASSWORD": "secret-1", "REDIS_PASSWORD": "secret-2"}


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    """All services of both files as Compose understands them."""
    return model(WITH_APPS, **APPS_SECRETS)


@pytest.fixture(scope="module")
def services(everything: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(everything["services"])


def binds(service: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (volume for volume in service.get("volumes", []) if volume["type"] == "bind")


# --- variables -----------------------------------------------------------------------------------------------------


def test_a_copy_of_the_example_environment_is_enough() -> None:
    assert load(BASE, example_environment()).stderr == ""


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_secret_is_named(name: str) -> None:
    done = load(BASE, {**example_environment(), name: ""})
    assert done.returncode != 0
    assert f"required variable {name} is missing a value: set it in .env" in done.stderr


@pytest.mark.parametrize("name", REQUIRED_BY_APPS)
def test_the_optional_services_require_their_credentials(name: str) -> None:
    done = load(WITH_APPS, {**example_environment(), **APPS_SECRETS, name: ""})
    assert done.returncode != 0
    assert f"required variable {name} is missing a value: set it in .env" in done.stderr


def test_no_secret_has_a_default() -> None:
    for name in WITH_APPS:
        text = (ROOT / name).read_text()
        assert not re.search(r"\$\{\w*(PASSWORD|KEY|SECRET|TOKEN)\w*:?-[^}]", text), name


def test_every_variable_is_in_the_example_environment() -> None:
    text = "".join((ROOT / name).read_text() for name in WITH_APPS)
    used = set(re.findall(r"\$\{(\w+)", text))
    listed = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used <= listed


def test_every_variable_of_the_contract_exists() -> None:
    wanted = {
        "ENVIRONMENT",
        "SENTRY_DSN",
        "GRAFANA_USER",
        "GRAFANA_PASSWORD",
        "DB_USER",
        "DB_PASSWORD",
        "REDIS_PASSWORD",
    }
    assert wanted <= example_environment().keys()


# --- hardening -----------------------------------------------------------------------------------------------------


def test_every_image_is_pinned_by_version_and_digest(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if "build" in service:
            continue
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-alpine)?@sha256:[0-9a-f]{64}", service["image"]), name


def test_the_demo_image_is_built_on_a_pinned_one_and_does_not_run_as_root() -> None:
    text = (ROOT / "examples" / "blog" / "Dockerfile").read_text()
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert images
    assert all(re.fullmatch(r"python:3\.12-slim@sha256:[0-9a-f]{64}", image) for image in images)
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]


def test_every_port_is_on_loopback_and_expected(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}
    assert {name: {str(port["published"]) for port in ports} for name, ports in published.items()} == PORTS


def test_every_container_is_hardened(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert not service.get("privileged"), name
        assert service.get("cap_add", []) == (["CHOWN"] if name == "prepare" else []), name
        assert not {"pid", "ipc", "devices", "userns_mode"} & service.keys(), name
        assert service.get("network_mode") in ({"none"} if name == "prepare" else {None}), name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= limits.keys(), name


def test_no_service_accesses_the_docker_engine_or_writes_to_the_host(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for volume in binds(service):
            assert "docker.sock" not in volume["source"], name
            assert volume.get("read_only") is True, (name, volume)


def test_every_service_has_a_health_check_or_a_reason(services: dict[str, dict[str, Any]]) -> None:
    without = {name for name, service in services.items() if not service.get("healthcheck")}
    assert without == NO_HEALTH_CHECK.keys()


linted = pytest.mark.skipif(sys.version_info < (3, 11), reason="compose-lint needs Python 3.11")


def lint(*files: Path) -> set[tuple[str, str]]:
    command = [sys.executable, "-m", "compose_lint", "check", "--no-env", "--format", "json", *map(str, files)]
    done = subprocess.run(command, cwd=files[0].parent, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["errors"] == []
    return {(finding["service"], finding["rule_id"]) for finding in found["findings"]}


@linted
def test_the_linter_reports_only_the_intended_findings(everything: dict[str, Any], tmp_path: Path) -> None:
    merged = tmp_path / "compose.yml"
    merged.write_text(yaml.safe_dump(everything))
    # Every variable has its value here; the next test checks the files themselves for credentials.
    found = {(service, rule) for service, rule in lint(merged) if rule not in CREDENTIALS}
    assert found == WANTED_FINDINGS.keys()


@linted
def test_the_files_hold_no_credentials() -> None:
    found = lint(*(ROOT / name for name in WITH_APPS))
    assert {(service, rule) for service, rule in found if rule in CREDENTIALS} == set()


# --- files -----------------------------------------------------------------------------------------------------


def test_every_mounted_path_exists(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for volume in binds(service):
            assert Path(volume["source"]).exists(), (name, volume["source"])


def test_every_file_that_a_command_names_is_mounted(services: dict[str, dict[str, Any]]) -> None:
    named = 0
    for name, service in services.items():
        for argument in [*(service.get("command") or []), *(service.get("entrypoint") or [])]:
            for path in re.findall(r"(/(?:etc|prepare)[\w./-]*\.(?:ya?ml|sh))", argument):
                assert host_path(service, path).is_file(), (name, path)
                named += 1
    assert named >= 10


def host_path(service: Mapping[str, Any], path: str) -> Path:
    for volume in binds(service):
        if path == volume["target"] or path.startswith(volume["target"] + "/"):
            return Path(volume["source"] + path[len(volume["target"]) :])
    raise AssertionError(f"{path} is not mounted")


def test_the_demo_image_copies_existing_files_that_dockerignore_admits() -> None:
    text = (ROOT / "examples" / "blog" / "Dockerfile").read_text()
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    sources = {source for copy in copies for source in copy}
    assert {"blogauto_otel", "examples/blog"} <= sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert {source, source.split("/")[0]} & set(allowed), source


def test_a_service_waits_only_for_what_it_cannot_start_without(services: dict[str, dict[str, Any]]) -> None:
    waits = {name: set(service.get("depends_on", {})) for name, service in services.items()}
    assert waits["otel-collector"] == {"prepare"}, "it starts without its backends: that is what its queues are for"
    assert waits["grafana"] == {"prometheus", "jaeger", "loki"}


def test_output_goes_to_loki_except_where_it_would_loop_or_arrive_twice(services: dict[str, dict[str, Any]]) -> None:
    drivers = {name: service["logging"]["driver"] for name, service in services.items()}
    assert {name for name, driver in drivers.items() if driver == "json-file"} == OWN_OUTPUT
    assert {driver for name, driver in drivers.items() if name not in OWN_OUTPUT} == {"fluentd"}
    assert all(
        service["logging"]["options"]["fluentd-async"] == "true"
        for service in services.values()
        if service["logging"]["driver"] == "fluentd"
    )


def test_prometheus_scrapes_services_that_exist(services: dict[str, dict[str, Any]]) -> None:
    outside = {"localhost", "frontend"}  # itself; the user's own
    for name in ("prometheus.yml", "scrape-apps.yml"):
        config = yaml.safe_load((ROOT / "collector" / "backends" / "prometheus" / name).read_text())
        for job in config["scrape_configs"]:
            for target in job["static_configs"][0]["targets"]:
                assert target.split(":")[0] in {*services, *outside}, target


def test_the_optional_jobs_are_mounted_where_prometheus_looks(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((ROOT / "collector" / "backends" / "prometheus" / "prometheus.yml").read_text())
    assert config["scrape_config_files"] == ["scrape.d/*.yml"]
    targets = {volume["target"] for volume in binds(services["prometheus"])}
    assert "/etc/prometheus/scrape.d/apps.yml" in targets
    jobs = yaml.safe_load(host_path(services["prometheus"], "/etc/prometheus/scrape.d/apps.yml").read_text())
    assert [job["job_name"] for job in jobs["scrape_configs"]] == ["postgres", "redis", "node", "blogauto-frontend"]


def test_the_optional_file_adds_services_and_removes_none(services: dict[str, dict[str, Any]]) -> None:
    base = model(BASE)["services"]
    for name in ("otel-collector", "prometheus"):
        assert services[name]["command"] == base[name]["command"]
        assert set(services[name]["networks"]) == {"telemetry", "apps"}
        before = [volume["target"] for volume in base[name]["volumes"]]
        assert [volume["target"] for volume in services[name]["volumes"]][: len(before)] == before


# --- Grafana -------------------------------------------------------------------------------------------------------


def datasources() -> dict[str, dict[str, Any]]:
    path = ROOT / "collector" / "backends" / "grafana" / "provisioning" / "datasources" / "blogauto.yaml"
    return {source["name"]: source for source in yaml.safe_load(path.read_text())["datasources"]}


def test_the_data_sources_are_the_services(services: dict[str, dict[str, Any]]) -> None:
    found = datasources()
    assert found.keys() == {"Prometheus", "Loki", "Jaeger", "Alertmanager"}
    for source in found.values():
        host = source["url"].removeprefix("http://").split(":")[0]
        assert host in services


def test_the_data_sources_link_to_each_other() -> None:
    found = datasources()
    uids = {source["uid"] for source in found.values()}
    linked = set(re.findall(r"blogauto-\w+", json.dumps([source["jsonData"] for source in found.values()])))
    assert linked == uids, "every one is reached from another"
    assert found["Prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"] == "blogauto-jaeger"
    assert found["Loki"]["jsonData"]["derivedFields"][0]["datasourceUid"] == "blogauto-jaeger"
    assert found["Jaeger"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] == "blogauto-loki"


def test_the_trace_id_of_a_derived_field_is_anchored() -> None:
    (field,) = datasources()["Loki"]["jsonData"]["derivedFields"]
    assert re.search(field["matcherRegex"], "trace_id")
    assert not re.search(field["matcherRegex"], "parent_trace_id")


def test_one_interval_everywhere(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((ROOT / "collector" / "backends" / "prometheus" / "prometheus.yml").read_text())
    milliseconds = int(services["backend"]["environment"]["OTEL_METRIC_EXPORT_INTERVAL"])
    assert config["global"]["scrape_interval"] == datasources()["Prometheus"]["jsonData"]["timeInterval"] == "15s"
    assert milliseconds == 15_000


def test_the_boards_are_mounted_where_grafana_reads_them(services: dict[str, dict[str, Any]]) -> None:
    path = ROOT / "collector" / "backends" / "grafana" / "provisioning" / "dashboards" / "blogauto.yaml"
    (provider,) = yaml.safe_load(path.read_text())["providers"]
    assert host_path(services["grafana"], provider["options"]["path"]) == (
        ROOT / "collector/backends/grafana/dashboards/en"
    )


# --- the Collector of the compose file -----------------------------------------------------------------------------


@pytest.mark.parametrize("extra", ["", "file:/etc/otelcol/export-sentry.yaml"])
def test_the_collector_accepts_its_command_line(extra: str, tmp_path: Path) -> None:
    service = model(BASE, OTELCOL_EXTRA_CONFIG=extra)["services"]["otel-collector"]
    arguments = [argument.replace("/etc/otelcol", str(ROOT / "collector")) for argument in service["command"]]
    assert arguments[0].endswith("/base.yaml"), "base comes first, or it undoes the overlays"
    assert len(arguments) == 7
    environment = {**collector_environment(tmp_path), **{k: v for k, v in service["environment"].items() if v}}
    command = [str(executable("otelcol")), "validate", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- before anything starts ----------------------------------------------------------------------------------------


def prepare(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run prepare.sh with a `chown` that only prints its arguments."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    chown = bin_folder / "chown"
    chown.write_text('#!/bin/sh\necho "chown $@"\n')
    chown.chmod(0o755)
    (tmp_path / "prometheus-secrets").mkdir()
    env = {"PATH": f"{bin_folder}:/usr/bin:/bin", "VOLUMES": str(tmp_path), **example_environment(), **environment}
    script = ROOT / "collector" / "backends" / "prepare.sh"
    return subprocess.run(["/bin/sh", str(script)], env=env, capture_output=True, text=True, check=False)


def test_development_starts_with_the_example_secrets(tmp_path: Path) -> None:
    done = prepare(tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"chown 10001:10001 {tmp_path}/otelcol",
        f"chown 10001:10001 {tmp_path}/jaeger",
        f"chown 65534:65534 {tmp_path}/prometheus-secrets/metrics-token",
    ]


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_other_environments_refuse_the_example_secrets(tmp_path: Path, environment: str) -> None:
    done = prepare(tmp_path, ENVIRONMENT=environment, GRAFANA_PASSWORD="a-password-of-our-own")
    assert done.returncode == 1
    assert done.stdout == "", "nothing was touched"
    assert f"ENVIRONMENT is {environment}, but .env still has a secret of .env.example" in done.stderr


def test_production_starts_with_secrets_of_its_own(tmp_path: Path) -> None:
    own = {"GRAFANA_PASSWORD": "a-password-of-our-own", "REDACTION_HMAC_KEY": "0" * 64}
    assert prepare(tmp_path, ENVIRONMENT="production", **own).returncode == 0


@pytest.mark.parametrize("token", ["", "token-of-the-test"])
def test_only_prometheus_can_read_the_token_of_the_backend(tmp_path: Path, token: str) -> None:
    assert prepare(tmp_path, BLOGAUTO_OTEL_METRICS_TOKEN=token).returncode == 0
    file = tmp_path / "prometheus-secrets" / "metrics-token"
    assert file.read_text() == token
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_token_of_the_backend_is_where_prometheus_looks_for_it(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((ROOT / "collector" / "backends" / "prometheus" / "prometheus.yml").read_text())
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "blogauto-backend"]
    assert job["authorization"] == {"credentials_file": "secrets/metrics-token"}
    mounts = {volume["target"]: volume for volume in services["prometheus"]["volumes"]}
    assert mounts["/etc/prometheus/secrets"]["read_only"] is True
    prepared = {volume["source"]: volume["target"] for volume in services["prepare"]["volumes"]}
    assert prepared[mounts["/etc/prometheus/secrets"]["source"]] == "/volumes/prometheus-secrets"
    assert services["prometheus"]["depends_on"]["prepare"]["condition"] == "service_completed_successfully"


def test_the_demo_requires_the_token_that_prometheus_sends() -> None:
    found = model(BASE, BLOGAUTO_OTEL_METRICS_TOKEN="token-of-the-test")["services"]
    for name in ("backend", "prepare"):
        assert found[name]["environment"]["BLOGAUTO_OTEL_METRICS_TOKEN"] == "token-of-the-test"


def test_containers_listen_on_all_addresses_and_the_host_publishes_on_loopback(
    services: dict[str, dict[str, Any]],
) -> None:
    assert services["otel-collector"]["environment"]["OTELCOL_LISTEN_HOST"] == "0.0.0.0"
    assert services["jaeger"]["environment"]["JAEGER_LISTEN_HOST"] == "0.0.0.0"


def test_every_writer_of_a_prepared_volume_runs_as_its_owner(services: dict[str, dict[str, Any]]) -> None:
    prepared = {volume["source"] for volume in services["prepare"]["volumes"] if volume["type"] == "volume"}
    for name, service in services.items():
        written = (volume for volume in service.get("volumes", []) if not volume.get("read_only"))
        volumes = {volume["source"] for volume in written if volume["type"] == "volume"}
        if name != "prepare" and volumes & prepared:
            assert service["user"] == "10001:10001", name
            assert service["depends_on"]["prepare"]["condition"] == "service_completed_successfully", name
