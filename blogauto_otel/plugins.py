"""Plugins: what other packages register as entry points of OpenTelemetry, such as samplers and resource detectors."""

from __future__ import annotations

from typing import Any

from blogauto_otel._otel import entry_points
from blogauto_otel.errors import NotInstalledError


def installed(group: str) -> tuple[str, ...]:
    """The names that are registered in a group."""
    return tuple(dict.fromkeys(entry_point.name for entry_point in entry_points(group=group)))


def load(group: str, name: str) -> Any:
    """The object that is registered under the name. Loading may raise whatever the package raises.

    Raises:
        NotInstalledError: no package registers the name.
    """
    for entry_point in entry_points(group=group, name=name):
        return entry_point.load()
    raise NotInstalledError(f"{name!r} is not installed")
