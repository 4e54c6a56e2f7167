"""What a pod may not do: the level "restricted" of Kubernetes' pod security standards, and rules of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Pod = Mapping[str, Any]
Container = Mapping[str, Any]

VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_MULTIPLES: Final = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

# Each entry holds for every pod, with a message for what breaks it.
POD_RULES: Final[dict[str, Callable[[Pod], bool]]] = {
    "runs as root": lambda pod: _security(pod).get("runAsNonRoot") is True and _security(pod).get("runAsUser", 0) > 0,
    "has no seccomp profile": lambda pod: _security(pod).get("seccompProfile") == {"type": "RuntimeDefault"},
    "shares a namespace of the node": lambda pod: not any(pod.get(f"host{name}") for name in ("Network", "PID", "IPC")),
    "mounts a volume of the node": lambda pod: all(kinds(volume) <= VOLUMES for volume in pod.get("volumes", ())),
    "has an emptyDir without a limit": lambda pod: all(
        "sizeLimit" in volume["emptyDir"] for volume in pod.get("volumes", ()) if "emptyDir" in volume
    ),
    "mounts a token of the API": lambda pod: pod.get("automountServiceAccountToken") is False,
    "has no time to end": lambda pod: pod.get("terminationGracePeriodSeconds", 0) >= 30,
}
CONTAINER_RULES: Final[dict[str, Callable[[Container], bool]]] = {
    "writes to its root file system": lambda one: _security(one).get("readOnlyRootFilesystem") is True,
    "may gain privileges": lambda one: _security(one).get("allowPrivilegeEscalation") is False,
    "is privileged": lambda one: not _security(one).get("privileged"),
    "keeps capabilities": lambda one: _security(one).get("capabilities") == {"drop": ["ALL"]},
    "has a port of the node": lambda one: not any("hostPort" in port for port in one.get("ports", ())),
    "has no image version": lambda one: re.search(r":v?\d[\w.-]*(@sha256:[0-9a-f]{64})?$", one["image"]) is not None,
    "has no resources": lambda one: all(
        {"cpu", "memory"} <= one.get("resources", {}).get(kind, {}).keys() for kind in ("requests", "limits")
    ),
    "has no probes": lambda one: {"readinessProbe", "livenessProbe"} <= one.keys(),
    "lets Go use more memory than its limit leaves": lambda one: _go_memory(one) <= 0.9,
}


def violations(pod: Pod) -> list[str]:
    """The broken rules of a pod's specification, `collector has a port of the node`."""
    found = [f"pod {rule}" for rule, holds in POD_RULES.items() if not holds(pod)]
    for one in (*pod.get("initContainers", ()), *pod["containers"]):
        found += [f"{one['name']} {rule}" for rule, holds in CONTAINER_RULES.items() if not holds(one)]
    return found


def kinds(volume: Mapping[str, Any]) -> set[str]:
    """What a volume is."""
    return set(volume) - {"name"}


def size(quantity: str) -> float:
    """Bytes of `512Mi` or of Go's `512MiB`."""
    match = re.fullmatch(r"(\d+)(\w*)", quantity)
    assert match is not None, quantity
    return float(match[1]) * _MULTIPLES[match[2]]


def _security(one: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = one.get("securityContext", {})
    return found


def _go_memory(one: Container) -> float:
    """GOMEMLIMIT as a share of the memory limit; 0 where it is not set."""
    limits = [variable["value"] for variable in one.get("env", ()) if variable["name"] == "GOMEMLIMIT"]
    return size(limits[0]) / size(one["resources"]["limits"]["memory"]) if limits else 0.0
