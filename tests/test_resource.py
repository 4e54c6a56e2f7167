"""Who is speaking: names, precedence, an identity per process, and no secret among them."""

from __future__ import annotations

import os
import subprocess
import threading
import uuid
from collections.abc import Callable

import pytest
from opentelemetry.sdk.resources import Resource

from blogauto_otel import config, plugins, resource
from blogauto_otel.config import Settings
from blogauto_otel.errors import ConfigurationError, NotInstalledError
from testkit.processes import ROOT, environment, python


def described(**environ: str) -> dict[str, object]:
    return dict(resource.build_resource(config.load(environ).settings).attributes)


def test_a_process_says_its_service_environment_sdk_host_and_runtime() -> None:
    attributes = described(BLOGAUTO_OTEL_SERVICE_VERSION="1.2.3", ENVIRONMENT="production")
    assert attributes["service.name"] == "blogauto-backend"
    assert attributes["service.version"] == "1.2.3"
    assert attributes["deployment.environment.name"] == "production"
    assert attributes["telemetry.sdk.name"] == "opentelemetry"
    assert attributes["telemetry.distro.name"] == "blogauto_otel"
    assert attributes["process.pid"] == os.getpid()
    assert attributes["host.name"]
    assert attributes["process.runtime.name"]
    assert "service.namespace" not in attributes  # Prometheus would make `job` of it


def test_no_attribute_is_empty() -> None:
    assert all(value not in ("", None) for value in described().values())


def test_the_resource_has_no_schema_so_that_it_merges_with_any_other() -> None:
    assert resource.build_resource(Settings()).schema_url == ""


def test_each_process_gets_an_instance_id_of_its_own() -> None:
    first, second = described(), described()
    assert first["service.instance.id"] != second["service.instance.id"]
    assert uuid.UUID(str(first["service.instance.id"])).version == 4


def test_an_instance_id_of_the_user_is_kept() -> None:
    assert described(OTEL_RESOURCE_ATTRIBUTES="service.instance.id=pod-7")["service.instance.id"] == "pod-7"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=from-attributes"}, "from-attributes"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x", "OTEL_SERVICE_NAME": "from-name"}, "from-name"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x", "OTEL_SERVICE_NAME": "blogauto-backend"}, "blogauto-backend"),
        ({}, "blogauto-backend"),
    ],
)
def test_otel_service_name_wins_over_resource_attributes_which_win_over_the_default(
    environ: dict[str, str], name: str
) -> None:
    assert described(**environ)["service.name"] == name


def test_an_argument_wins_over_everything() -> None:
    loaded = config.load(
        {"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b,service.version=9"}, service_name="c"
    )
    attributes = resource.build_resource(loaded.settings).attributes
    assert attributes["service.name"] == "c"
    assert attributes["service.version"] == "9"


def test_further_attributes_are_taken_over_decoded() -> None:
    assert described(OTEL_RESOURCE_ATTRIBUTES="team=blog%20auto,k8s.pod.name=p-1")["team"] == "blog auto"


def test_what_was_detected_can_be_overruled() -> None:
    assert described(OTEL_RESOURCE_ATTRIBUTES="host.name=node-a")["host.name"] == "node-a"


def test_a_secret_among_the_users_attributes_does_not_leave() -> None:
    attributes = described(
        OTEL_RESOURCE_ATTRIBUTES="db.password=hunter2,backend=postgres://app:hunter2@db/blog,team=blog"
    )
    assert "hunter2" not in str(attributes)
    assert attributes["team"] == "blog"


def test_a_forked_child_has_another_instance_id() -> None:
    parent = resource.build_resource(Settings())
    child = resource.child_resource(parent, Settings())
    assert child.attributes["service.instance.id"] != parent.attributes["service.instance.id"]
    assert child.attributes["service.name"] == parent.attributes["service.name"]


def test_children_of_a_named_instance_carry_its_name_and_their_process_id() -> None:
    settings = Settings(resource_attributes={"service.instance.id": "pod-7"})
    parent = resource.build_resource(settings)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        child = resource.child_resource(resource.child_resource(parent, settings), settings)
        os.write(write, f"{child.attributes['service.instance.id']!s} {child.attributes['process.pid']!s}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 200).decode() == f"pod-7-{pid} {pid}"


POD = "8f0d7a4e-3c1b-4a55-9d0a-1f6f1c9f2a11"


def test_in_a_pod_the_first_process_of_the_container_is_the_pod_and_others_add_their_process_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_pod = f"k8s.pod.uid={POD}"
    assert described(OTEL_RESOURCE_ATTRIBUTES=in_pod)["service.instance.id"] == f"{POD}-{os.getpid()}"
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert described(OTEL_RESOURCE_ATTRIBUTES=in_pod)["service.instance.id"] == POD
    named = described(OTEL_RESOURCE_ATTRIBUTES=f"{in_pod},service.instance.id=shop-0")
    assert named["service.instance.id"] == "shop-0", "what the user says wins"


def test_a_forked_child_in_a_pod_adds_its_process_id(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(resource_attributes={"k8s.pod.uid": POD})
    monkeypatch.setattr(os, "getpid", lambda: 1)
    parent = resource.build_resource(settings)
    monkeypatch.setattr(os, "getpid", lambda: 42)
    child = resource.child_resource(parent, settings)
    assert (parent.attributes["service.instance.id"], child.attributes["service.instance.id"]) == (POD, f"{POD}-42")


def test_workers_that_a_server_spawns_with_one_environment_have_ids_of_their_own() -> None:
    """As uvicorn's `--workers` does; the OpenTelemetry Operator sets one id for the container."""
    script = (
        "import multiprocessing; from tests.test_resource import instance_and_pid\n"
        "worker = multiprocessing.get_context('spawn').Pool(1).apply(instance_and_pid)\n"
        "print(worker, instance_and_pid())"
    )
    env = environment(OTEL_RESOURCE_ATTRIBUTES="service.instance.id=shop.blog-1.app")
    done = subprocess.run(python("-c", script), env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    worker, worker_pid, parent, _ = done.stdout.split()
    assert (worker, parent) == (f"shop.blog-1.app-{worker_pid}", "shop.blog-1.app")


def instance_and_pid() -> str:
    return f"{described(**os.environ)['service.instance.id']} {os.getpid()}"


@pytest.mark.quiet_guard
def test_a_host_without_a_name_is_described_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise OSError("no name")

    monkeypatch.setattr("socket.gethostname", fail)
    attributes = described()
    assert "host.name" not in attributes
    assert attributes["service.name"] == "blogauto-backend"


class Detector:
    """A resource detector as packages bring them; `detect` does what the test says."""

    def __init__(self, detect: Callable[[], Resource]) -> None:
        self.detect = detect


@pytest.fixture
def detectors(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Resource]]:
    """Installed detectors by name; the test adds them."""
    registered: dict[str, Callable[[], Resource]] = {}

    def load(group: str, name: str) -> object:
        if name not in registered:
            raise NotInstalledError(f"{name!r} is not installed")
        return lambda: Detector(registered[name])

    monkeypatch.setattr(plugins, "load", load)
    monkeypatch.setattr(plugins, "installed", lambda group: tuple(registered))
    return registered


class TestDetectors:
    def test_named_detectors_run_and_what_the_user_says_wins(
        self, detectors: dict[str, Callable[[], Resource]]
    ) -> None:
        detectors["cloud"] = lambda: Resource({"cloud.region": "seoul", "host.name": "vm-1", "team": "unknown"})
        attributes = described(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="otel,cloud", OTEL_RESOURCE_ATTRIBUTES="team=a")
        assert (attributes["cloud.region"], attributes["host.name"], attributes["team"]) == ("seoul", "vm-1", "a")
        assert "cloud.region" in described(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="*")
        assert "cloud.region" not in described()

    def test_one_that_fails_hangs_or_is_not_installed_is_named_and_costs_nothing_else(
        self,
        detectors: dict[str, Callable[[], Resource]],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        released = threading.Event()

        def hang() -> Resource:
            released.wait(30.0)
            return Resource({})

        def fail() -> Resource:
            raise SystemExit

        detectors.update(fine=lambda: Resource({"found": "yes"}), broken=fail, slow=hang)
        settings = config.load({"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "fine,broken,slow,missing"}).settings
        attributes = resource.build_resource(settings, detector_seconds=0.2).attributes
        released.set()
        assert attributes["found"] == "yes"
        for words in ("'broken': it failed with SystemExit", "'slow': it did not finish", "'missing' is not installed"):
            assert words in caplog.text

    def test_strict_raises(self, detectors: dict[str, Callable[[], Resource]]) -> None:
        with pytest.raises(ConfigurationError, match="is not installed"):
            described(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="missing", BLOGAUTO_OTEL_STRICT="true")

    def test_the_detectors_of_the_sdk_work(self) -> None:
        assert "os.type" in described(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="os")
