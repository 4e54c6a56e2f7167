"""Profiles of a share of the processes, or of the traces; root spans carry the id of the profiler.

Sentry's `profiles_sample_rate` is a share of its transactions. There are none, so this is its continuous profiler.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context as OtelContext
from opentelemetry.trace import TracerProvider
from sentry_sdk import profiler
from sentry_sdk.profiler import continuous_profiler

from blogauto_otel import semconv
from blogauto_otel._guard import guarded
from blogauto_otel._threads import signals_blocked
from blogauto_otel.config import Settings
from blogauto_otel.integrations.sentry.traces import SentryTraceRatio
from blogauto_otel.sdk.span_processors import SpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

THREAD_ID: Final = "thread.id"
MAX_PROFILED_TRACES: Final = 1_000  # at once; a trace above that is not profiled

_random: Final = random.SystemRandom()


class Profiles:
    """Starts and stops the profiler of this process."""

    def __init__(self, settings: Settings, provider: TracerProvider) -> None:
        self._settings = settings
        self._processor: _RootSpans | None = None
        self._provider = provider

    def start(self) -> str:
        """Decide whether this process is profiled; returns a part of the status line."""
        rate = self._settings.sentry_profiles_rate
        if not hasattr(profiler, "start_profiler"):
            return "no profiles: this version of sentry_sdk has no continuous profiler"
        if self._settings.sentry_profiles == "trace" and rate:
            self._add_processor(_PerTrace(SentryTraceRatio(rate)))
            return f"profiles of {rate:.0%} of traces"
        if _random.random() >= rate:
            return "no profile of this process"
        with signals_blocked():
            profiler.start_profiler()
        self._add_processor(_RootSpans())
        return "this process is profiled"

    def stop(self) -> None:
        """Stop the profiler, which queues the profile so far."""
        if self._processor is not None:
            self._processor.enabled = False
            self._processor = None
            profiler.stop_profiler()

    def flush(self) -> None:
        """Queue the profile so far, and go on: after the end of a lifespan the process may be killed."""
        if type(self._processor) is _RootSpans:
            profiler.stop_profiler()
            with signals_blocked():
                profiler.start_profiler()

    def after_fork_in_child(self) -> None:
        """The profiler's thread is the parent's; whether this process is profiled is decided again."""
        self.stop()
        self.start()

    def _add_processor(self, processor: _RootSpans) -> None:
        add: Callable[[SpanProcessor], None] | None = getattr(self._provider, "add_span_processor", None)
        self._processor = processor
        if add is not None:
            add(processor)


class _RootSpans(SpanProcessor):
    """Puts the profiler's id on the first span of each trace in this process."""

    enabled = True

    @guarded("naming the profiler on a span", None)
    def on_start(self, span: Span, parent_context: OtelContext | None = None) -> None:  # noqa: ARG002 - the interface
        """See `SpanProcessor`."""
        if self.enabled and (span.parent is None or span.parent.is_remote):
            self._on_root_start(span)

    def _on_root_start(self, span: Span) -> None:
        profiler_id = continuous_profiler.get_profiler_id()
        if profiler_id:
            # The thread too, because a profile is of all threads.
            span.set_attributes({semconv.SENTRY_PROFILER_ID: profiler_id, THREAD_ID: threading.get_ident()})


class _PerTrace(_RootSpans):
    """Runs the profiler while the root span of a profiled trace is open."""

    def __init__(self, ratio: SentryTraceRatio) -> None:
        self._ratio = ratio
        self._running: dict[int, Any] = {}  # by span id

    def _on_root_start(self, span: Span) -> None:
        context = span.get_span_context()
        if context.trace_id not in self._ratio or len(self._running) >= MAX_PROFILED_TRACES:
            return
        with signals_blocked():
            profile = continuous_profiler.try_profile_lifecycle_trace_start()
        if profile is not None:
            self._running[context.span_id] = profile
            super()._on_root_start(span)

    @guarded("ending the profile of a trace", None)
    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor`."""
        profile = self._running.pop(span.context.span_id, None) if span.context is not None else None
        if profile is not None:
            profile.stop()
