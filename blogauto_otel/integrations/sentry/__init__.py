"""Sentry, linked both ways: an error event names the span that failed, and the span and the log name the event.

| module | contents |
|---|---|
| `linking` | registers all of the following |
| `clients` | our client, and the application's own |
| `capture`, `rate_limiter`, `threads` | capturing events, how many, and those of threads |
| `events`, `breadcrumbs`, `source_context`, `privacy` | the contents of an event |
| `transport_stats` | how many events were queued, sent and lost: a metric on Sentry is added there |
| `scopes` | scopes of a request |
| `traces`, `profiles`, `dsn` | spans and profiles to Sentry |

Neither these modules nor Sentry's SDK is imported without a DSN, unless the application imports the SDK.
"""

from __future__ import annotations

import sys
from importlib import util
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel import _process
from blogauto_otel._guard import guard
from blogauto_otel.config import warn_or_raise
from blogauto_otel.errors import MissingDependencyError
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.instrumentation.import_hooks import when_imported

if TYPE_CHECKING:
    from blogauto_otel.integrations.sentry.linking import SentryLink
    from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider

__all__ = ["flush", "link", "report", "shutdown", "unlink"]

NAME: Final = "sentry"
PACKAGE: Final = "sentry_sdk"


class _State:
    """The link, or the context for linking when the application imports Sentry's SDK."""

    context: Context | None = None
    link: SentryLink | None = None

    def after_fork_in_child(self) -> None:
        """A child has an empty queue, and a rate limit of its own."""
        if self.link is not None:
            self.link.after_fork_in_child()


_state: Final = _process.register(_State(), _process.Phase.INTEGRATIONS)


def link(context: Context, metering: BlogautoMeterProvider | None) -> Report:  # noqa: ARG001 - the interface
    """Link Sentry's SDK with OpenTelemetry: at once when there is a DSN, else when the application imports the SDK.

    An application may call `sentry_sdk.init` itself, before or after: its client is linked and keeps its options.

    Raises:
        MissingDependencyError: there is a DSN and no `sentry_sdk`, and `strict` is on.
    """
    unlink()
    settings = context.settings
    if util.find_spec(PACKAGE) is None:
        if settings.sentry_dsn is None:
            return Report(NAME, State.OFF, "no SENTRY_DSN")
        return _missing(context)
    if settings.sentry_dsn is None and PACKAGE not in sys.modules:
        _state.context = context
        when_imported(PACKAGE, _imported)
        return Report(NAME, State.OFF, "no SENTRY_DSN")
    return _start_link(context)


def _missing(context: Context) -> Report:
    error = MissingDependencyError("SENTRY_DSN", "sentry-sdk", extra="sentry")
    if context.settings.strict:
        raise error
    warn_or_raise(context.settings, str(error))
    return Report(NAME, State.MISSING, "sentry_sdk is not installed")


def _start_link(context: Context) -> Report:
    try:
        from blogauto_otel.integrations.sentry.linking import SentryLink
    except ImportError as error:
        problem = f"this version of sentry_sdk cannot be linked ({error})"
        warn_or_raise(context.settings, problem)
        return Report(NAME, State.WRONG_VERSION, problem)
    _state.link = linked = SentryLink(context)
    linked.start()
    return Report(NAME, *linked.state())


def _imported(_: ModuleType) -> None:
    """The application has imported Sentry's SDK after `configure`, and may call `init`."""
    if _state.context is not None and _state.link is None:
        with guard("linking Sentry when it is imported"):
            _start_link(_state.context)


def report() -> Report | None:
    """The current state; None when nothing is linked."""
    return None if _state.link is None else Report(NAME, *_state.link.state())


def unlink() -> None:
    """Undo `link`; Sentry's SDK keeps an event processor that does nothing."""
    linked, _state.link, _state.context = _state.link, None, None
    if linked is not None:
        linked.stop()


def flush(timeout: float) -> bool:
    """Send what is queued, for at most `timeout` seconds; True when all of it was sent."""
    return _call("flush", timeout)


def shutdown(timeout: float) -> bool:
    """The same, and count what is left as dropped."""
    return _call("shutdown", timeout)


def _call(name: str, timeout: float) -> bool:
    call: Any = getattr(_state.link, name, None)
    return True if call is None else bool(call(timeout))
