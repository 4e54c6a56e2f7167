"""Fixtures: Sentry linked in this process, and one server run for each variant of the matrix."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sentry_sdk

from blogauto_otel.testing import Captured, capture_telemetry
from testkit.envelope_receiver import EnvelopeReceiver, Event
from tests.sentry.matrix_run import Run, run


class Linked:
    """Telemetry in memory, and a receiver of Sentry envelopes on loopback."""

    def __init__(self, telemetry: Captured, sink: EnvelopeReceiver) -> None:
        self.telemetry = telemetry
        self.sink = sink

    @property
    def report(self) -> str:
        """The part of the status line on Sentry."""
        return str(self.telemetry.handle.status().as_dict()["instrumentation"]["sentry"])

    @property
    def events(self) -> list[Event]:
        """The events received, after a flush."""
        self.telemetry.handle.force_flush(20.0)
        return self.sink.events

    @property
    def event(self) -> Event:
        """The only event."""
        (only,) = self.events
        return only

    def dropped(self) -> dict[str, float]:
        """Dropped events by reason, from the metrics."""
        points = self.telemetry.points("blogauto_otel.items.dropped")
        of_sentry = {str(dict(key)["reason"]): lost for key, lost in points.items() if ("signal", "sentry") in key}
        return {reason: lost for reason, lost in of_sentry.items() if lost}

    def figure(self, name: str) -> float:
        """The value of one of our own metrics for Sentry."""
        return self.telemetry.points(f"blogauto_otel.{name}")[(("signal", "sentry"),)]


Link = Callable[..., Any]


@pytest.fixture
def sink() -> Iterator[EnvelopeReceiver]:
    with EnvelopeReceiver() as sink:
        yield sink


@pytest.fixture
def no_client() -> Iterator[None]:
    """Close Sentry's client and clear its scopes after a test."""
    yield
    sentry_sdk.get_client().close(timeout=0.0)
    scope = sentry_sdk.get_global_scope()
    scope.clear()
    scope.set_client(None)
    sentry_sdk.get_isolation_scope().clear()
    sentry_sdk.get_current_scope().clear()


@pytest.fixture
def link(sink: EnvelopeReceiver, no_client: None) -> Link:
    """Configure with a DSN, for a block."""

    @contextmanager
    def link(**settings: Any) -> Iterator[Linked]:
        chosen = {"sentry_dsn": sink.dsn, "sentry_profiles_rate": 0.0, **settings}
        with capture_telemetry(**chosen) as telemetry:
            yield Linked(telemetry, sink)

    return link


@pytest.fixture
def linked(link: Link) -> Iterator[Linked]:
    """Configured with a DSN, and everything else by default."""
    with link() as linked:
        yield linked


@pytest.fixture
def log() -> logging.Logger:
    """An application's logger."""
    return logging.getLogger("shop.orders")


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The outcome of a variant; its server runs once."""
    runs: dict[str, Run] = {}

    def run_of(variant: str) -> Run:
        if variant not in runs:
            runs[variant] = run(variant, tmp_path_factory.mktemp("sentry"))
        return runs[variant]

    return run_of
