"""What the application is made to do, by name: harm to itself and the hostile values that it hands to telemetry."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import trace

Deed = Callable[..., Any]

DEEDS: dict[str, Deed] = {}


def deed(function: Deed) -> Deed:
    """Make a function known under its name."""
    DEEDS[function.__name__] = function
    return function


def arguments() -> dict[str, Any]:
    """The arguments of `configure` that a row wants: text, and objects that a deed makes."""
    given = json.loads(os.environ.get("CONFIGURE", "{}"))
    makers = json.loads(os.environ.get("CONFIGURE_WITH", "{}"))
    return {**given, **{name: DEEDS[maker]() for name, maker in makers.items()}}


# --- harm --------------------------------------------------------------------------------------------------------------


@deed
def resolving_takes_for_ever() -> None:
    """A resolver that does not answer, for the Collector's name alone."""
    stock = socket.getaddrinfo

    def slow(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".invalid"):
            time.sleep(600)
        return stock(host, *args, **kwargs)

    socket.getaddrinfo = slow


# --- values ------------------------------------------------------------------------------------------------------------


@deed
def many_large_spans(count: int, size: int) -> int:
    """Spans with one attribute of that size."""
    tracer = trace.get_tracer("deeds")
    for _ in range(count):
        with tracer.start_as_current_span("large", attributes={"pad": "x" * size}):
            pass
    return count
