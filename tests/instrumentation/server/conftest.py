"""Requests are watched in a test, and left alone after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from blogauto_otel.instrumentation import server
from blogauto_otel.instrumentation.server import hooks
from testkit.requests import Watched


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    """Begin to watch requests, with settings."""
    registries: tuple[list[Any], ...] = (hooks._at_lifespan_start, hooks._at_lifespan_end, hooks._at_request_error)
    served, before = dict(hooks._served), [list(registry) for registry in registries]

    def begin(**settings: Any) -> Watched:
        return Watched(**settings)

    yield begin
    server.uninstrument()
    for registry, content in zip(registries, before, strict=True):
        registry[:] = content
    hooks._served.clear()
    hooks._served.update(served)


@pytest.fixture
def watched(watch: Callable[..., Watched]) -> Watched:
    """Requests are watched with the default settings, every one sampled."""
    return watch()
