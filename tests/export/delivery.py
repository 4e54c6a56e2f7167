"""A delivery to a receiver, and items whose names can be read there."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from blogauto_otel import config
from blogauto_otel.export.pipeline import THREAD_NAME, Delivery, build_delivery
from blogauto_otel.export.retry import RetryPolicy, SpoolTiming, Timing
from blogauto_otel.otlp.encoder import Encoder, encode_scope
from blogauto_otel.otlp.signal import Signal
from testkit.receiver import Receiver
from tests.export.redactors import Nothing
from tests.otlp.decoding import finished

QUICK_RETRIES = Timing(retry=RetryPolicy(first_backoff=0.01, max_backoff_answered=0.1, max_backoff_unreachable=0.1))

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "parent"})
SCOPE = encode_scope(InstrumentationScope("tests"))
ENCODER = Encoder(Nothing())


@contextmanager
def delivering(receiver: Receiver | str, *, timing: Timing | None = None, **settings: Any) -> Iterator[Delivery]:
    """A delivery with short delays and without a spool; pending items are dropped at the end."""
    url = receiver if isinstance(receiver, str) else receiver.url
    given: dict[str, Any] = {
        "endpoint": url,
        "span_delay": 0.05,
        "log_delay": 0.05,
        "metric_interval": 3600.0,
        "spool_dir": "off",
    }
    delivery = build_delivery(config.load({}, **{**given, **settings}).settings, RESOURCE, timing=timing)
    try:
        yield delivery
    finally:
        delivery.shutdown(0.0)


def quick_timing(**changes: float) -> Timing:
    """Tenths of a second instead of seconds, with these changes to the retry policy or the timing of the spool."""
    retry = {"spool_after": 0.6, "overload_window": 0.2, "max_backoff_unreachable": 0.3, "max_backoff_answered": 0.3}
    spool = {"rescan_idle": 0.5, "rescan_busy": 0.2, "jitter": 0.05, "retry_after_error": 0.5}
    whole = {name: changes.pop(name) for name in ("store_at_least",) if name in changes}
    of_spool = {field.name for field in dataclasses.fields(SpoolTiming)}
    spool |= {name: value for name, value in changes.items() if name in of_spool}
    retry |= {name: value for name, value in changes.items() if name not in of_spool}
    return Timing(retry=RetryPolicy(**retry), spool=SpoolTiming(**spool), **whole)  # type: ignore[arg-type]


def a_span(name: str = "span", *, size: int = 0, scope: bytes = SCOPE) -> tuple[Signal, bytes, bytes]:
    """The arguments of `enqueue` for a span of that name."""
    return Signal.TRACES, scope, ENCODER.span(finished(name, attributes={"pad": "x" * size} if size else {}))


def enqueue(delivery: Delivery, names: range | list[str], *, size: int = 0) -> None:
    for name in names:
        delivery.enqueue(*a_span(str(name), size=size))


def names(receiver: Receiver) -> list[str]:
    return [span.name for span in receiver.spans]


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def await_workers_of_other_tests() -> None:
    """Before a test that counts them: a delivery ends without waiting for its thread."""
    wait_for(lambda: workers() == [], 60.0)


def without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every further start of a thread fail."""
    start = threading.Thread.start

    def none_left(self: threading.Thread) -> None:
        if self.name.startswith("blogauto"):
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", none_left)


def wait_for(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Wait for a condition that no receiver can observe."""
    pause = threading.Event()
    for _ in range(int(timeout / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise TimeoutError(f"not within {timeout:g} s")
