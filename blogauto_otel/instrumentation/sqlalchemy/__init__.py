"""SQL statements as spans and durations, for every SQLAlchemy engine of the process, sync or async, old or new.

Methods of `Connection` are wrapped by class. Empty listeners of the public events cost 23 us a statement and a wrapper
1 us, and the events leave a span open when a statement is cancelled (docs/decisions/0020).
"""

from __future__ import annotations

import re
import sys
from importlib import util
from types import ModuleType
from typing import Any, Final

from blogauto_otel import _process, semconv
from blogauto_otel._guard import guard, guarded, log_once
from blogauto_otel.instrumentation import Context, Report, State, conventions
from blogauto_otel.instrumentation.import_hooks import when_imported
from blogauto_otel.instrumentation.patching import version_of
from blogauto_otel.instrumentation.sqlalchemy import patches, pools, recorder
from blogauto_otel.sdk import private

NAME: Final = "sqlalchemy"
OLDEST: Final = (2, 0)

_BASE: Final = "sqlalchemy.engine.base"
_PACKAGE: Final = "sqlalchemy"  # of contrib


class _State:
    """What `instrument` has done besides patching."""

    waits_for_import = False
    switched_contrib_on = False


_state: Final = _process.register(_State())


def instrument(context: Context) -> Report:
    """Record every statement from now on; SQLAlchemy is patched when the application imports it."""
    if context.settings.sqlalchemy == "off":
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_SQLALCHEMY")
    is_there = "sqlalchemy" in sys.modules or util.find_spec("sqlalchemy") is not None
    version = version_of("sqlalchemy") if is_there else None
    if version is None:
        return Report(NAME, State.MISSING, "SQLAlchemy is not installed")
    if context.settings.sqlalchemy == "contrib":
        refusal = _switch_contrib_on(context)
        if refusal is None:
            return Report(NAME, State.ON, f"by the contrib instrumentor, SQLAlchemy {version}")
        own = _instrument(context, version)
        return Report(NAME, refusal.state, f"{refusal.detail}; instead ours is {own.state.value}")
    if _contrib() is not None:
        return Report(NAME, State.SKIPPED, "the contrib instrumentor is on already")
    return _instrument(context, version)


def _contrib() -> Any:
    """The contrib instrumentor, if it is on."""
    module = sys.modules.get("opentelemetry.instrumentation.sqlalchemy")
    instrumentor = getattr(module, "SQLAlchemyInstrumentor", lambda: None)()
    return instrumentor if getattr(instrumentor, "is_instrumented_by_opentelemetry", False) else None


def _instrument(context: Context, version: str) -> Report:
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        return Report(NAME, State.WRONG_VERSION, f"SQLAlchemy {version}; 2.0 or later is needed")
    base = sys.modules.get(_BASE)
    problem = patches.changed_method(base) if base is not None else None
    if problem:
        return Report(NAME, State.WRONG_VERSION, f"SQLAlchemy {version}: {problem}")
    recorder.state.active = recorder.Recorder(context)
    provider = context.meter_provider

    def is_active() -> bool:  # by the provider, which keeps the first callback when it is instrumented again
        return recorder.state.active is not None and recorder.state.active.meter_provider is provider

    pools.observe_connections(provider.get_meter(semconv.SCOPE_SQL), is_active)
    if base is not None:
        patches.install(base)
    else:
        _patch_when_imported()
    return Report(NAME, State.ON, f"SQLAlchemy {version}")


def _patch_when_imported() -> None:
    """The import takes 100 ms and more, so it is left to an application that uses SQLAlchemy."""
    if not _state.waits_for_import:
        _state.waits_for_import = True
        when_imported(_BASE, _on_import)


@guarded("instrumenting SQLAlchemy", None)
def _on_import(base: ModuleType) -> None:
    problem = patches.changed_method(base)
    if problem:
        log_once("sqlalchemy version", "SQLAlchemy is not instrumented: %s", problem)
    elif recorder.state.active is not None:
        patches.install(base)


def _switch_contrib_on(context: Context) -> Report | None:
    """Switch the contrib instrumentor on; a report when that is not possible."""
    try:
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    except ImportError as error:
        return Report(NAME, State.MISSING, f'{error}: pip install "blogauto_otel[sqlalchemy]"')

    instrumentor = SQLAlchemyInstrumentor()
    conflict = private.dependency_conflict(instrumentor)
    if conflict is not None:
        return Report(NAME, State.WRONG_VERSION, f"contrib takes {conflict.required} and found {conflict.found}")
    conventions.prefer_stable(_PACKAGE)
    with guard("importing sqlalchemy.ext.asyncio"):
        # Imported after the instrumentor, it makes two tracers of every async engine (contrib issue 2149).
        import sqlalchemy.ext.asyncio  # noqa: F401
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(tracer_provider=context.tracer_provider, meter_provider=context.meter_provider)
        _state.switched_contrib_on = True
    return None


def uninstrument() -> None:
    """Restore SQLAlchemy's methods."""
    recorder.state.active = None
    pools.clear()
    base = sys.modules.get(_BASE)
    if base is not None:
        patches.remove(base)
    if _state.switched_contrib_on and _contrib() is not None:
        _contrib().uninstrument()
        conventions.forget(_PACKAGE)
    _state.switched_contrib_on = False
