"""`blogauto-otel doctor` on the real Collector, Prometheus and Jaeger: healthy, and with one hop broken each."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from testkit.processes import environment, python
from tests.doctor.scenarios import BROKEN, Change, Deployment, Scenario, run_doctor, title, whole_stack

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("doctor")]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with whole_stack(tmp_path_factory.mktemp("doctor")) as made:
        yield made


def test_a_healthy_stack_has_no_broken_hop(deployment: Deployment) -> None:
    started = time.monotonic()
    report = run_doctor(deployment, Change())
    assert report.status == 0, report.errors
    assert report.first_broken is None
    assert report.hop("jaeger")["detail"].startswith(f"trace {report.document['trace_id']}")
    assert " 0 statements" not in report.hop("jaeger")["detail"]
    assert {hop["hop"] for hop in report.document["hops"] if hop["state"] == "ok"} >= {
        "settings", "sampling", "spool", "name", "connection", "collector traces", "delivery logs", "collector queues",
        "application", "instrumentation", "metrics page", "jaeger", "prometheus", "alerts", "loki", "sentry", "grafana",
    }  # fmt: skip
    assert time.monotonic() - started < 45


@pytest.mark.parametrize(("scenario", "hop", "word"), BROKEN, ids=[title(one) for one, _, _ in BROKEN])
def test_the_broken_hop_is_named_with_its_fix(deployment: Deployment, scenario: Scenario, hop: str, word: str) -> None:
    report = run_doctor(deployment, scenario(deployment))
    assert report.first_broken == hop, report.errors
    assert word in report.document["fix"]
    assert report.status == 1


def test_what_is_not_configured_is_said_and_not_failed(deployment: Deployment) -> None:
    nothing = dict.fromkeys(deployment.addresses())
    report = run_doctor(deployment, Change(options=nothing))
    assert report.status == 0
    assert "--jaeger" in report.hop("jaeger")["detail"]
    assert report.hop("jaeger")["state"] == "not checked"


def test_a_route_that_is_never_traced_is_said(deployment: Deployment) -> None:
    report = run_doctor(deployment, Change(options={"--path": "/api/health"}))
    assert report.hop("instrumentation")["state"] == "warning"
    assert report.hop("jaeger")["state"] == "not checked"


def test_an_option_that_is_no_url_is_status_2() -> None:
    command = python("-m", "blogauto_otel", "doctor", "--app", "localhost:8000")
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert "--app" in done.stderr


def test_the_report_for_people_ends_with_the_first_broken_hop_and_its_fix(deployment: Deployment) -> None:
    command = python("-m", "blogauto_otel", "doctor", "--app", deployment.app, "--path", "/nowhere")
    variables = environment(**deployment.variables(), OTEL_TRACES_SAMPLER="always_off")
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].startswith("broken: sampling. remove it")
