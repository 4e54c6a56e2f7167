"""The backends' own files, each accepted and started by the real program that reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from stack.processes import (
    BACKENDS,
    LOOPBACK,
    SHIPPED_RULES,
    Stack,
    StackError,
    executable,
    prometheus_config,
    start_alertmanager,
    start_jaeger,
    start_prometheus,
    write_metrics_token,
)
from testkit.example import example
from testkit.ports import free_port
from tests.stack.pages import serve_page

pytestmark = pytest.mark.stack

METRICS = b"""# TYPE blogauto_api_requests counter
blogauto_api_requests_total{endpoint="/api/keywords",method="GET",status="200"} 7
# TYPE process_open_fds gauge
process_open_fds 12
# EOF
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.fixture(params=["en", "ko"])
def shipped(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The configuration laid out as the container sees it, with the rules of each MONITORING_LANGUAGE."""
    files = BACKENDS / "prometheus"
    (tmp_path / "prometheus.yml").write_text((files / "prometheus.yml").read_text())
    (tmp_path / "rules").symlink_to(files / "rules" / request.param)
    write_metrics_token(tmp_path)
    return tmp_path


def test_promtool_accepts_the_configuration(shipped: Path) -> None:
    done = run(executable("promtool"), "check", "config", "--lint=all", "--lint-fatal", shipped / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration_with_the_optional_jobs(shipped: Path) -> None:
    (shipped / "scrape.d").mkdir()
    (shipped / "scrape.d" / "apps.yml").write_text((BACKENDS / "prometheus" / "scrape-apps.yml").read_text())
    done = run(executable("promtool"), "check", "config", "--lint=all", "--lint-fatal", shipped / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("token", ["", "token-of-the-test"])
def test_prometheus_reads_the_page_of_an_application_with_a_token_and_without(tmp_path: Path, token: str) -> None:
    nowhere = f"http://{LOOPBACK}:9"
    with example(tmp_path, nowhere, port=free_port(), BLOGAUTO_OTEL_METRICS_TOKEN=token) as blog:
        targets = {"backend:8000": blog.url.removeprefix("http://")}
        config = prometheus_config(tmp_path, targets, rules=SHIPPED_RULES, interval="1s", metrics_token=token)
        with start_prometheus(config, tmp=tmp_path) as prometheus:
            assert prometheus.wait_for('up{job="blogauto-backend"}')[0].value == 1
        assert blog.child.get("/metrics")[0] == (401 if token else 200), "the token is asked for"


def test_prometheus_is_set_as_promised(tmp_path: Path) -> None:
    with start_prometheus(tmp=tmp_path) as prometheus:
        config = yaml.safe_load(prometheus.answer("status/config")["yaml"])
        flags = prometheus.answer("status/flags")
    assert config["global"]["scrape_interval"] == config["global"]["evaluation_interval"] == "15s"
    assert config["storage"]["tsdb"]["retention"]["time"] in ("30d", "4w2d", "1mo", "720h")
    assert config["storage"]["exemplars"]["max_exemplars"] == 100_000
    assert "exemplar-storage" in flags["enable-feature"]


def test_amtool_accepts_the_configuration() -> None:
    done = run(executable("amtool"), "check-config", BACKENDS / "alertmanager" / "alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_starts_with_the_shipped_file(tmp_path: Path) -> None:
    with start_alertmanager(tmp=tmp_path) as alertmanager:
        assert alertmanager.alerts() == []


def test_jaeger_starts_with_the_shipped_file_and_keeps_its_spans_on_disk(tmp_path: Path) -> None:
    with start_jaeger(tmp=tmp_path) as jaeger:
        assert jaeger.services() == []
        assert jaeger.trace("0" * 31 + "1") == []
        assert list((tmp_path / "jaeger" / "keys").iterdir())


def test_all_targets_are_up_and_prometheus_knows_its_alertmanager(tmp_path: Path) -> None:
    with serve_page(METRICS) as address, Stack(tmp_path, backend=address, alertmanager=True) as stack:
        jobs = {"otel-apps", "otel-collector", "blogauto-backend", "prometheus", "alertmanager", "jaeger"}
        stack.prometheus.wait_for("up == 1", lambda found: {sample.labels["job"] for sample in found} == jobs)
        assert set(stack.prometheus.targets().values()) == {"up"}
        (found,) = stack.prometheus.answer("alertmanagers")["activeAlertmanagers"]
        assert found["url"].startswith(stack.alertmanager.url)


def test_the_backend_is_watched_but_its_own_figures_are_left_to_the_collector(tmp_path: Path) -> None:
    with serve_page(METRICS) as address, Stack(tmp_path, backend=address) as stack:
        stack.prometheus.wait_for('up{job="blogauto-backend"} == 1')
        scraped = stack.prometheus.wait_for('scrape_samples_scraped{job="blogauto-backend"}')
        assert scraped[0].value == 2, "the page was read"
        kept = stack.prometheus.query('count by (__name__) ({job="blogauto-backend"})')
        assert all(sample.labels["__name__"].startswith(("up", "scrape_")) for sample in kept)


def test_a_backend_that_does_not_answer_is_down(tmp_path: Path) -> None:
    with Stack(tmp_path, backend=f"{LOOPBACK}:9") as stack:
        assert stack.prometheus.wait_for('up{job="blogauto-backend"}')[0].value == 0


def test_a_job_without_a_target_is_left_out_and_the_others_are_as_shipped(tmp_path: Path) -> None:
    shipped = yaml.safe_load((BACKENDS / "prometheus" / "prometheus.yml").read_text())
    path = prometheus_config(tmp_path, {"otel-collector:8889": "127.0.0.1:1"}, rules=["rules/*.yml"])
    (job,) = yaml.safe_load(path.read_text())["scrape_configs"]
    (original,) = [one for one in shipped["scrape_configs"] if one["job_name"] == "otel-apps"]
    assert job == {**original, "static_configs": [{"targets": ["127.0.0.1:1"]}]}


def test_a_program_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("scrape_configs: 7\n")
    prometheus = start_prometheus(broken, tmp=tmp_path)
    with pytest.raises(StackError, match=r"prometheus ended while starting:\n(.*\n)*.*cannot unmarshal"):
        prometheus.wait_ready()


def test_a_wrong_query_says_why(tmp_path: Path) -> None:
    with start_prometheus(tmp=tmp_path) as prometheus, pytest.raises(StackError, match="parse error"):
        prometheus.query("sum(")


def test_loki_indexes_by_what_does_not_change_with_every_start() -> None:
    """Loki itself is not to be had here; its file is read as it stands."""
    config = yaml.safe_load((BACKENDS / "loki" / "loki.yaml").read_text())
    otlp = config["limits_config"]["otlp_config"]["resource_attributes"]
    (rule,) = otlp["attributes_config"]
    assert otlp["ignore_defaults"] is True
    assert rule["action"] == "index_label"
    assert set(rule["attributes"]) == {"service.name", "service.namespace", "deployment.environment.name"}
    (schema,) = config["schema_config"]["configs"]
    assert (schema["schema"], schema["store"]) == ("v13", "tsdb"), "what OTLP needs"
    assert config["limits_config"]["retention_period"] == "720h"
