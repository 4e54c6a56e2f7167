"""Every instrumentation of the table is switched on, reported and switched off on its own."""

from __future__ import annotations

import dataclasses
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from blogauto_otel import _guard, _process
from blogauto_otel.errors import ConfigurationError, MissingDependencyError
from blogauto_otel.instrumentation import Report, State, registry
from blogauto_otel.instrumentation.registry import ENTRY_POINTS, INSTRUMENTATIONS
from testkit.recording import Recording

CALLS: list[str] = []


def module(name: str, instrument: Any = None) -> ModuleType:
    def switch_on(_: Any) -> Report:
        CALLS.append(f"on {name}")
        return Report(name, State.ON)

    made: Any = ModuleType(f"tests_instrumentation_{name}")
    made.instrument = instrument or switch_on
    made.uninstrument = lambda: CALLS.append(f"off {name}")
    return made  # type: ignore[no-any-return]


def raising(error: BaseException) -> Any:
    def instrument(_: Any) -> Report:
        raise error

    return instrument


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace the table by these modules."""
    registry.uninstrument_all()
    CALLS.clear()

    def fill(**modules: ModuleType | None) -> None:
        rows = {name: f"tests_instrumentation_{name}" for name in modules}
        monkeypatch.setattr(registry, "INSTRUMENTATIONS", rows)
        for name, made in modules.items():
            if made is not None:
                monkeypatch.setitem(sys.modules, rows[name], made)

    return fill


def instrument(**settings: Any) -> dict[str, Report]:
    context = dataclasses.replace(Recording(**settings).context, redactor=SimpleNamespace())  # type: ignore[arg-type]
    return {report.name: report for report in registry.instrument_all(context)}


def test_they_are_switched_on_in_order_and_off_in_reverse(table: Any) -> None:
    table(context=module("context"), logging=module("logging"), asgi=module("asgi"))
    assert [report.state for report in instrument().values()] == [State.ON] * 3
    registry.uninstrument_all()
    assert CALLS == ["on context", "on logging", "on asgi", "off asgi", "off logging", "off context"]


def test_what_is_not_installed_is_missing(table: Any) -> None:
    table(
        asgi=None, sqlalchemy=module("sqlalchemy", raising(ModuleNotFoundError("No module", name="sqlalchemy.engine")))
    )
    reports = instrument()
    assert reports["asgi"].state is State.MISSING
    assert reports["sqlalchemy"] == Report("sqlalchemy", State.MISSING, "sqlalchemy.engine is not installed")


@pytest.mark.quiet_guard
@pytest.mark.parametrize("error", [RuntimeError("odd"), ImportError("half"), TypeError("base"), AttributeError("x")])
def test_one_that_breaks_does_not_affect_the_others(table: Any, error: Exception) -> None:
    table(asgi=module("asgi", raising(error)), system=module("system"))
    reports = instrument()
    assert reports["asgi"] == Report("asgi", State.BROKEN, f"{type(error).__name__}: {error}")
    assert reports["system"].state is State.ON
    assert _guard.swallowed() == {"instrumenting asgi": 1}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("error", [ConfigurationError("no"), MissingDependencyError("x", "y")])
def test_only_strict_settings_raise(table: Any, error: Exception) -> None:
    table(asgi=module("asgi", raising(error)))
    assert instrument()["asgi"].state is State.BROKEN
    with pytest.raises(ConfigurationError):
        instrument(strict=True)


@pytest.mark.parametrize(
    ("name", "entry_point"), [(n, e) for n, es in ENTRY_POINTS.items() for e in [*sorted(es), "*"]]
)
def test_opentelemetrys_own_switch_works(table: Any, name: str, entry_point: str) -> None:
    table(**{name: module(name)})
    assert instrument(disabled_instrumentations=("other", entry_point))[name].state is State.OFF
    assert CALLS == []


def test_what_belongs_to_no_library_is_not_switched_off_with_all_libraries(table: Any) -> None:
    table(internal=module("internal"))
    assert instrument(disabled_instrumentations=("*",))["internal"].state is State.ON


@pytest.mark.quiet_guard
def test_a_fork_and_the_end_reach_every_loaded_module_whatever_fails(table: Any) -> None:
    first, last = module("first"), module("last")
    first.after_fork_in_child = lambda: CALLS.append("fork first")  # type: ignore[attr-defined]
    last.after_fork_in_child = raising(RuntimeError("x"))  # type: ignore[attr-defined]
    last.uninstrument = lambda: raising(RuntimeError("x"))(None)  # type: ignore[attr-defined]
    table(last=last, absent=None, plain=module("plain"), first=first)
    instrument()
    CALLS.clear()
    _process.after_fork_in_child()
    registry.uninstrument_all()
    assert CALLS == ["fork first", "off first", "off plain"]


def test_the_table_names_modules_that_exist() -> None:
    import importlib

    for name in INSTRUMENTATIONS.values():
        loaded = importlib.import_module(name)
        assert callable(loaded.instrument)
        assert callable(loaded.uninstrument)
