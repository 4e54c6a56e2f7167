"""Requests are instrumented during a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from blogauto_otel.instrumentation import server
from blogauto_otel.instrumentation.server import hooks, pages
from testkit.requests import Watched


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    """Instrument requests, with settings."""
    callbacks, served = hooks.state, pages.state.pages
    registries: tuple[list[Any], ...] = (
        callbacks.lifespan_startup,
        callbacks.lifespan_shutdown,
        callbacks.request_error,
    )
    served_before, before = dict(served), [list(registry) for registry in registries]

    def begin(**settings: Any) -> Watched:
        return Watched(**settings)

    yield begin
    server.uninstrument()
    for registry, content in zip(registries, before, strict=True):
        registry[:] = content
    served.clear()
    served.update(served_before)


@pytest.fixture
def watched(watch: Callable[..., Watched]) -> Watched:
    """Requests are instrumented with the default settings, every one sampled."""
    return watch()
