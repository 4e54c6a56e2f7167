"""The example in a pod: its container's command and variables, as the kubelet would set them, as a process."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from testkit.ports import free_port
from testkit.processes import Process, eventually, running
from testkit.receiver import Receiver
from tests.kubernetes.objects import EXAMPLE, documents, environment, pick

pytestmark = pytest.mark.slow

UID = "8f0d7a4e-3c1b-4a55-9d0a-1f6f1c9f2a11"
FIELDS = {
    "metadata.name": "blog-5b6f9d7c4-x2vqz",
    "metadata.uid": UID,
    "metadata.namespace": "shop",
    "spec.nodeName": "node-3",
}


def pod() -> Any:
    return pick(documents(EXAMPLE.read_text()), "Deployment", "blog")["spec"]["template"]["spec"]


def variables(folder: Path, endpoint: str) -> dict[str, str]:
    """Of the manifest, with folders and the address of this machine."""
    given = environment(pod()["containers"][0], FIELDS)
    database = {"BLOG_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'blog.db'}"}
    return {
        **given,
        **database,
        "BLOGAUTO_OTEL_SPOOL_DIR": str(folder / "spool"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
    }


def command(port: int) -> list[str]:
    words = ["127.0.0.1" if word == "0.0.0.0" else word for word in pod()["containers"][0]["command"]]
    return [str(port) if word == "8000" else word for word in words]


def container(folder: Path, endpoint: str) -> Any:
    """The container's process."""
    port = free_port()
    program = [str(Path(sys.executable).with_name("uvicorn")), *command(port)[1:]]
    return running(program, folder / "log", port=port, **variables(folder, endpoint))


def serve_one_request(child: Process) -> None:
    child.wait_until_it_answers("/api/health")
    assert child.get("/api/health")[0] == 200


def test_telemetry_says_which_pod_it_is_from(tmp_path: Path) -> None:
    with Receiver() as receiver, container(tmp_path, receiver.url) as child:
        serve_one_request(child)
        child.terminate()
        resource = receiver.wait_for(lambda found: found.resources)[0]
        assert resource["service.name"] == "blog"
        assert resource["k8s.pod.name"] == "blog-5b6f9d7c4-x2vqz"
        assert resource["k8s.pod.uid"] == UID
        assert resource["k8s.namespace.name"] == "shop"
        assert resource["k8s.node.name"] == "node-3"
        assert (resource["k8s.deployment.name"], resource["k8s.container.name"]) == ("blog", "app")
        # Process 1 of a container has the uid alone (tests/test_resource.py); this one is not process 1.
        assert resource["service.instance.id"] == f"{UID}-{resource['process.pid']}"


def test_a_pod_ends_within_its_grace_period_even_without_a_collector(tmp_path: Path) -> None:
    specification = pod()
    budget = specification["terminationGracePeriodSeconds"]
    pre_stop = specification["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    with Receiver() as receiver:
        address = receiver.url
    with container(tmp_path, address) as child:
        serve_one_request(child)
        seconds = child.terminate(signal.SIGTERM)
    assert seconds < budget - pre_stop
    parts = [pre_stop, int(command(1)[-1]), float(variables(tmp_path, "")["BLOGAUTO_OTEL_SHUTDOWN_TIMEOUT"])]
    assert sum(parts) < budget, "the longest end is within the budget too"


def test_the_next_container_of_the_pod_sends_what_the_last_one_could_not(tmp_path: Path) -> None:
    with Receiver() as receiver:
        address, port = receiver.url, int(receiver.url.rsplit(":", 1)[1])
    with container(tmp_path, address) as child:
        serve_one_request(child)
        child.terminate()
    assert list((tmp_path / "spool").rglob("*")), "on the volume"
    first = re.findall(r"Started server process \[(\d+)\]", child.output)[0]
    with Receiver(port=port) as receiver, container(tmp_path, address) as child:
        child.wait_until_it_answers("/api/health")
        eventually(lambda: {str(one["process.pid"]) for one in receiver.resources}, lambda found: first in found)
