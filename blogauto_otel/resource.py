"""Who is speaking: the resource attached to every span, metric and log record."""

from __future__ import annotations

import os
import platform
import socket
import sys
import uuid
from collections.abc import Mapping
from typing import Any, Final

import opentelemetry.sdk.version
from opentelemetry.sdk.resources import Resource

from blogauto_otel import semconv
from blogauto_otel._guard import guarded
from blogauto_otel.config import Settings
from blogauto_otel.redaction import Redactor, build_redactor

INSTANCE_ID: Final = "service.instance.id"


def build_resource(settings: Settings, *, redactor: Redactor | None = None) -> Resource:
    """Describe this process.

    What a setting says wins over `OTEL_RESOURCE_ATTRIBUTES`, which wins over what is detected. There is no schema URL,
    because the SDK refuses to merge resources of two schemas, and no detector thread, because the SDK's take 6 ms.

    Args:
        settings: Who we are; `config.load` has settled `OTEL_SERVICE_NAME` against `OTEL_RESOURCE_ATTRIBUTES`.
        redactor: What cleans the user's attributes; by default the one that the settings describe.
    """
    redactor = build_redactor(settings) if redactor is None else redactor
    own = {key: redactor.value(key, value) for key, value in settings.resource_attributes.items()}
    return _resource({**_detected(), INSTANCE_ID: str(uuid.uuid4()), **own, **_decided(settings)})


def child_resource(resource: Resource, settings: Settings) -> Resource:
    """Describe a forked child: two processes with one `service.instance.id` would overwrite each other's series.

    The user's own id gets the process id as a suffix, any other is drawn anew.
    """
    own = settings.resource_attributes.get(INSTANCE_ID)
    instance = f"{own}-{os.getpid()}" if own else str(uuid.uuid4())
    return _resource({**resource.attributes, "process.pid": os.getpid(), INSTANCE_ID: instance})


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
