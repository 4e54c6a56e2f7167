"""The three providers over one delivery, uninstalled, as `configure` builds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.resources import Resource

from blogauto_otel import config
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery, build_delivery
from blogauto_otel.redaction import build_redactor
from blogauto_otel.sdk.logger_provider import BlogautoLoggerProvider, build_logger_provider
from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider, build_meter_provider
from blogauto_otel.sdk.private import LOCKS
from blogauto_otel.sdk.tracer_provider import BlogautoTracerProvider, build_tracer_provider
from testkit.receiver import Receiver

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "parent"})
CHILD = Resource({"service.name": "shop", "service.instance.id": "child"})


@dataclass(frozen=True)
class Providers:
    settings: Settings
    delivery: Delivery
    tracing: BlogautoTracerProvider
    metering: BlogautoMeterProvider
    logs: BlogautoLoggerProvider

    def flush(self) -> None:
        assert self.delivery.force_flush(10.0)

    def after_fork_in_child(self) -> None:
        for part in (self.delivery, self.tracing, self.metering, self.logs):
            part.after_fork_in_child(CHILD)


@contextmanager
def providing(
    receiver: Receiver, *, span_processors: Sequence[Any] = (), log_processors: Sequence[Any] = (), **settings: Any
) -> Iterator[Providers]:
    """Providers that deliver to the receiver when they are flushed."""
    given = {"endpoint": receiver.url, "metric_interval": 3600.0, "span_delay": 600.0, "log_delay": 600.0, **settings}
    loaded = config.load({}, **given)
    assert loaded.problems == ()
    redactor = build_redactor(loaded.settings)
    delivery = build_delivery(loaded.settings, RESOURCE)
    parts: dict[str, Any] = {"delivery": delivery, "redactor": redactor}
    try:
        yield Providers(
            loaded.settings,
            delivery,
            build_tracer_provider(loaded.settings, RESOURCE, processors=span_processors, **parts),
            build_meter_provider(loaded.settings, RESOURCE, **parts),
            build_logger_provider(loaded.settings, RESOURCE, processors=log_processors, **parts),
        )
    finally:
        delivery.shutdown(0.0)


def locks_of(*owners: Any) -> list[Any]:
    """Every lock among the attributes of these objects; it has another name in each version of the SDK."""
    found = [value for owner in owners for value in vars(owner).values() if isinstance(value, LOCKS)]
    assert found
    return found
