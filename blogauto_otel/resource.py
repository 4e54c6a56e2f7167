"""The resource: attributes of the process, attached to every span, metric and log record."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import opentelemetry.sdk.version
from opentelemetry.sdk.resources import Resource

from blogauto_otel import plugins, semconv
from blogauto_otel._guard import guarded
from blogauto_otel._threads import start_thread
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.errors import NotInstalledError
from blogauto_otel.redaction import Redactor, build_redactor

INSTANCE_ID: Final = "service.instance.id"
POD_UID: Final = "k8s.pod.uid"
_SPAWNED: Final = "--multiprocessing-fork"  # an argument of the processes that `multiprocessing` spawns

DETECTOR_SECONDS: Final = 2.0  # for all detectors together
_GROUP: Final = "opentelemetry_resource_detector"
_OURS: Final = "otel"  # the SDK's detector of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, which the settings hold


def build_resource(
    settings: Settings, *, redactor: Redactor | None = None, detector_seconds: float = DETECTOR_SECONDS
) -> Resource:
    """Describe this process.

    Settings win over `OTEL_RESOURCE_ATTRIBUTES`, which wins over detected attributes. The resource has no schema URL,
    because the SDK refuses to merge resources of two schemas. The SDK's detectors run only when they are named, because
    they take 6 ms.

    Args:
        settings: The settings; `config.load` has resolved `OTEL_SERVICE_NAME` against `OTEL_RESOURCE_ATTRIBUTES`.
        redactor: Redacts the user's attributes; by default the one that the settings describe.
        detector_seconds: For all detectors together.
    """
    redactor = build_redactor(settings) if redactor is None else redactor
    found = {**_from_detectors(settings, detector_seconds), **settings.resource_attributes}
    given = {**found, INSTANCE_ID: _instance_id(found)}
    own = {key: redactor.value(key, value) for key, value in given.items()}
    redaction = {} if settings.redact else {semconv.REDACTION: "off"}
    return _resource({**_detected(), **own, **redaction, **_decided(settings)})


def _from_detectors(settings: Settings, seconds: float) -> Mapping[str, Any]:
    """The attributes that the named detectors find in time; each runs in a thread, because it may ask the network."""
    names = settings.resource_detectors
    names = tuple(name for name in (plugins.installed(_GROUP) if "*" in names else names) if name != _OURS)
    found: dict[str, Mapping[str, Any]] = {}
    problems: dict[str, str] = {}

    def detect(name: str) -> None:
        try:
            found[name] = dict(plugins.load(_GROUP, name)().detect().attributes)
        except NotInstalledError as error:
            problems[name] = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            problems[name] = f"it failed with {type(error).__name__}"

    deadline = time.monotonic() + seconds
    threads = [start_thread(detect, "blogauto-otel-detector", name) for name in names]
    for thread in threads:
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    for name in names:
        if name not in found:
            reason = problems.get(name, f"it did not finish within {seconds:g} s")
            warn_or_raise(settings, f"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS={name!r}: {reason}; using the others")
    return {key: value for name in names for key, value in found.get(name, {}).items()}


def child_resource(resource: Resource, settings: Settings) -> Resource:
    """Describe a forked child, whose time series need a `service.instance.id` of their own.

    The process id is appended to an id of the user; any other id is generated again.
    """
    own = settings.resource_attributes.get(INSTANCE_ID)
    generated = {key: value for key, value in resource.attributes.items() if key != INSTANCE_ID}
    instance = f"{own}-{os.getpid()}" if own else _instance_id(generated)
    return _resource({**resource.attributes, "process.pid": os.getpid(), INSTANCE_ID: instance})


def _instance_id(attributes: Mapping[str, Any]) -> str:
    """The id that the attributes have, else in Kubernetes the pod's uid, else a random id.

    A process id follows where several processes would have one id: in workers that a server spawns, which inherit the
    user's id by the environment, and in all processes of a container but the first, which have the uid of one pod.
    """
    own, pod = attributes.get(INSTANCE_ID), attributes.get(POD_UID)
    if own:
        return f"{own}-{os.getpid()}" if _SPAWNED in sys.orig_argv else str(own)
    if pod:
        return str(pod) if os.getpid() == 1 else f"{pod}-{os.getpid()}"
    return str(uuid.uuid4())


def _resource(attributes: Mapping[str, Any]) -> Resource:
    return Resource({key: value for key, value in attributes.items() if value is not None and value != ""})


def _decided(settings: Settings) -> dict[str, str]:
    named = {
        "service.name": settings.service_name,
        "service.version": settings.service_version,
        "deployment.environment.name": settings.environment,
    }
    return {key: value for key, value in named.items() if value}


def _detected() -> dict[str, object]:
    return {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": opentelemetry.sdk.version.__version__,
        "telemetry.distro.name": semconv.DISTRO_NAME,
        "telemetry.distro.version": _own_version(),
        "host.name": _host_name(),
        "process.pid": os.getpid(),
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
        "process.runtime.description": sys.version,
    }


@guarded("reading the host name", "")
def _host_name() -> str:
    return socket.gethostname()


@guarded("reading our own version", "")
def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(semconv.DISTRO_NAME)
    except PackageNotFoundError:  # running from a checkout that was never installed
        return ""
