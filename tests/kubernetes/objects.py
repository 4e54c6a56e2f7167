"""The objects of deploy/kubernetes, as the tests read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools import kubernetes

Object = dict[str, Any]
EXAMPLE = kubernetes.FOLDER / "example-app.yaml"
EVERYTHING = (
    "sampler.enabled=true",
    "podMonitor.enabled=true",
    "instrumentation.enabled=true",
    "instrumentation.image=init:1",
)


def documents(*texts: str) -> list[Object]:
    """Every object of some YAML texts."""
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def shipped() -> list[Object]:
    """The plain files and the example."""
    paths = [*sorted(kubernetes.RENDERED.glob("*.yaml")), kubernetes.FOLDER / "namespace.yaml", EXAMPLE]
    return documents(*(path.read_text() for path in paths))


def chart(*settings: str, folder: Path = kubernetes.CHART) -> list[Object]:
    """The chart's objects with these values (`name=value`)."""
    values = [word for setting in settings for word in ("--set", setting)]
    done = kubernetes.helm("template", "otel", str(folder), "--namespace", "observability", *values)
    return documents(done.stdout)


def pick(objects: Iterable[Object], kind: str, name: str) -> Object:
    """One object."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def pods(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """The pod templates, with the name of their owner."""
    for one in objects:
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]


def environment(
    container: Object, fields: Mapping[str, str], secrets: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables of a container as the kubelet sets them.

    Args:
        container: of a pod template.
        fields: Values of the downward API, by path.
        secrets: Values of secrets, by key.
    """
    built: dict[str, str] = {}
    for one in container["env"]:
        source = one.get("valueFrom", {})
        if "fieldRef" in source:
            built[one["name"]] = fields[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            built[one["name"]] = (secrets or {})[source["secretKeyRef"]["key"]]
        else:
            # A reference to a name that is not defined yet stays as it is.
            built[one["name"]] = re.sub(r"\$\((\w+)\)", lambda found: built.get(found[1], found[0]), one["value"])
    return built
