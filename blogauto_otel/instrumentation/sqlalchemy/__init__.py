"""SQL statements as spans and durations, for every SQLAlchemy engine of the process, sync or async, old or new.

Methods of `Connection` are wrapped by class. Public events would cost 23 us a statement by existing, where a wrapper
costs 1, and they leave a span open when a statement is cancelled (docs/decisions/0020).
"""

from __future__ import annotations

import re
import sys
from importlib import metadata, util
from types import ModuleType
from typing import Any, Final

from blogauto_otel import semconv
from blogauto_otel._guard import guard, guarded, log_once
from blogauto_otel.instrumentation import Context, Report, State, conventions
from blogauto_otel.instrumentation.imports import when_imported
from blogauto_otel.instrumentation.sqlalchemy import patches, pools, recorder
from blogauto_otel.sdk import private

NAME: Final = "sqlalchemy"
OLDEST: Final = (2, 0)

_BASE: Final = "sqlalchemy.engine.base"
_PACKAGE: Final = "sqlalchemy"  # of contrib
_waiting = False
_handed_over = False


def instrument(context: Context) -> Report:
    """Record every statement from now on; SQLAlchemy itself is not imported for it."""
    if context.settings.sqlalchemy == "off":
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_SQLALCHEMY")
    if "sqlalchemy" not in sys.modules and util.find_spec("sqlalchemy") is None:
        return Report(NAME, State.MISSING, "SQLAlchemy is not installed")
    version = _version()
    if context.settings.sqlalchemy == "contrib":
        refusal = _hand_over(context)
        if refusal is None:
            return Report(NAME, State.ON, f"by the contrib instrumentor, SQLAlchemy {version}")
        ours = _instrument(context, version)
        return Report(NAME, refusal.state, f"{refusal.detail}; instead ours is {ours.state.value}")
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
    problem = patches.problem_with(base) if base is not None else None
    if problem:
        return Report(NAME, State.WRONG_VERSION, f"SQLAlchemy {version}: {problem}")
    recorder.active = ours = recorder.Recorder(context)
    pools.observe(context.meter_provider.get_meter(semconv.SCOPE_SQL), lambda: recorder.active is ours)
    if base is not None:
        patches.install(base)
    else:
        _patch_when_imported()
    return Report(NAME, State.ON, f"SQLAlchemy {version}")


def _version() -> str:
    imported = getattr(sys.modules.get("sqlalchemy"), "__version__", None)
    return str(imported or metadata.version("sqlalchemy"))


def _patch_when_imported() -> None:
    """Importing SQLAlchemy for an application that may never use it would cost every process of it 100 ms and more."""
    global _waiting
    if not _waiting:
        _waiting = True
        when_imported(_BASE, _imported)


@guarded("instrumenting SQLAlchemy", None)
def _imported(base: ModuleType) -> None:
    problem = patches.problem_with(base)
    if problem:
        log_once("sqlalchemy version", "SQLAlchemy is not instrumented: %s", problem)
    elif recorder.active is not None:
        patches.install(base)


def _hand_over(context: Context) -> Report | None:
    """Switch the contrib instrumentor on; a report says why it could not be."""
    global _handed_over
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
        # Imported after the instrumentor, it would make two tracers of every async engine (contrib issue 2149).
        import sqlalchemy.ext.asyncio  # noqa: F401
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(tracer_provider=context.tracer_provider, meter_provider=context.meter_provider)
        _handed_over = True
    return None


def uninstrument() -> None:
    """Put SQLAlchemy's methods back."""
    global _handed_over
    recorder.active = None
    pools.forget()
    base = sys.modules.get(_BASE)
    if base is not None:
        patches.remove(base)
    if _handed_over and _contrib() is not None:
        _contrib().uninstrument()
        conventions.leave(_PACKAGE)
    _handed_over = False


def after_fork_in_child() -> None:
    """Connections of the parent are not the child's: a pool is known again once the child takes one from it."""
    pools.forget()
