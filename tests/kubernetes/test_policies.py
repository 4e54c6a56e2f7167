"""The policy checks report what they are for: each rule is broken once."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.kubernetes.objects import EXAMPLE, documents, pick
from tests.kubernetes.policies import CONTAINER_RULES, POD_RULES, violations


def pod() -> Any:
    return copy.deepcopy(pick(documents(EXAMPLE.read_text()), "Deployment", "blog")["spec"]["template"]["spec"])


BROKEN_PODS: dict[str, dict[str, Any]] = {
    "runs as root": {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}},
    "has no seccomp profile": {"securityContext": {"runAsNonRoot": True, "runAsUser": 1}},
    "shares a namespace of the node": {"hostNetwork": True},
    "mounts a volume of the node": {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
    "has an emptyDir without a limit": {"volumes": [{"name": "x", "emptyDir": {}}]},
    "mounts a token of the API": {"automountServiceAccountToken": True},
    "has no time to end": {"terminationGracePeriodSeconds": 5},
}
SECURE = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
BROKEN_CONTAINERS: dict[str, dict[str, Any]] = {
    "writes to its root file system": {"securityContext": {**SECURE, "readOnlyRootFilesystem": False}},
    "may gain privileges": {"securityContext": {**SECURE, "allowPrivilegeEscalation": True}},
    "is privileged": {"securityContext": {**SECURE, "privileged": True}},
    "keeps capabilities": {"securityContext": {**SECURE, "capabilities": {"add": ["NET_ADMIN"]}}},
    "has a port of the node": {"ports": [{"containerPort": 1, "hostPort": 1}]},
    "has no image version": {"image": "registry.example.com:5000/blog:latest"},
    "has no resources": {"resources": {"limits": {"memory": "1Gi"}}},
    "has no probes": {"livenessProbe": None},
    "lets Go use more memory than its limit leaves": {"env": [{"name": "GOMEMLIMIT", "value": "384MiB"}]},
}


def test_the_example_breaks_none() -> None:
    assert violations(pod()) == []


@pytest.mark.parametrize("rule", POD_RULES)
def test_a_pod_that_breaks_a_rule_is_named(rule: str) -> None:
    assert violations({**pod(), **BROKEN_PODS[rule]}) == [f"pod {rule}"]


@pytest.mark.parametrize("rule", CONTAINER_RULES)
def test_a_container_that_breaks_a_rule_is_named(rule: str) -> None:
    broken = pod()
    (container,) = broken["containers"]
    container.update(BROKEN_CONTAINERS[rule])
    if container["livenessProbe"] is None:
        del container["livenessProbe"]
    assert violations(broken) == [f"app {rule}"]
