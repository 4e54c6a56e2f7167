"""Other systems we answer to or link with: one table, each module with `link(context, metering) -> Report`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from blogauto_otel._guard import swallow
from blogauto_otel.instrumentation import Context, Report, State

if TYPE_CHECKING:
    from blogauto_otel.providers.metrics import Metering

INTEGRATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "prometheus": "blogauto_otel.integrations.prometheus",
    }
)


def link_all(context: Context, metering: Metering | None) -> tuple[Report, ...]:
    """Link every integration of the table; one that fails is reported and costs the others nothing.

    Raises:
        ConfigurationError: only with `strict`.
    """
    return tuple(_link(name, module, context, metering) for name, module in INTEGRATIONS.items())


def _link(name: str, module: str, context: Context, metering: Metering | None) -> Report:
    try:
        report: Report = importlib.import_module(module).link(context, metering)
    except Exception as error:
        if context.settings.strict or not swallow(f"linking {name}", error):
            raise
        return Report(name, State.BROKEN, f"{type(error).__name__}: {error}")
    return report
