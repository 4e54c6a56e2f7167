"""The registry of process-wide state: who is called when the process serves, forks and ends, and in which order."""

from __future__ import annotations

import subprocess

import pytest

from blogauto_otel import _guard, _process
from blogauto_otel._process import Phase
from testkit.processes import environment, python

QUIET = dict.fromkeys(("traces_exporter", "metrics_exporter", "logs_exporter"), "none") | {"console": "off"}
CALLS: list[str] = []


class State:
    def __init__(self, name: str) -> None:
        self.name = name

    def after_fork_in_child(self) -> None:
        CALLS.append(f"fork {self.name}")

    def reset(self) -> None:
        CALLS.append(f"reset {self.name}")


class Broken:
    def after_fork_in_child(self) -> None:
        raise RuntimeError("x")


@pytest.fixture(autouse=True)
def _empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process._process, "registered", [])
    CALLS.clear()


def test_states_are_renewed_by_phase_and_then_in_the_order_of_registration() -> None:
    for name, phase in (("d", Phase.INTEGRATIONS), ("a", Phase.STATE), ("c", Phase.PROVIDERS), ("b", Phase.STATE)):
        _process.register(State(name), phase)
    _process.after_fork_in_child()
    assert CALLS == ["fork a", "fork b", "fork c", "fork d"]


def test_a_reset_goes_backwards() -> None:
    for name, phase in (("c", Phase.INSTRUMENTATIONS), ("a", Phase.STATE), ("b", Phase.STATE)):
        _process.register(State(name), phase)
    _process.reset()
    assert CALLS == ["reset c", "reset b", "reset a"]


@pytest.mark.quiet_guard
def test_a_state_that_fails_does_not_affect_the_others() -> None:
    for state in (State("a"), Broken(), State("b")):
        _process.register(state)
    _process.after_fork_in_child()
    assert CALLS == ["fork a", "fork b"]
    assert _guard.swallowed() == {"after_fork_in_child of tests.test_process": 1}


def test_a_state_without_the_method_is_skipped() -> None:
    assert _process.register(object()) is not None
    _process.on_lifespan_startup()
    _process.on_lifespan_shutdown()


def test_a_forked_child_renews_the_guard_then_the_providers_then_what_uses_them() -> None:
    script = f"""
import os, sys
import blogauto_otel
from blogauto_otel import _guard, _process
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.instrumentation import registry
from blogauto_otel.sdk.logger_provider import BlogautoLoggerProvider
from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider
from blogauto_otel.sdk.tracer_provider import BlogautoTracerProvider

class Module:
    def __init__(self, name):
        self.__name__ = name
        sys.modules[name] = self
    def instrument(self, context): return registry.Report(self.__name__, registry.State.ON)
    def after_fork_in_child(self): pass

instrumentation, integration = Module("instrumentation"), Module("integration")
_process.register(integration, _process.Phase.INTEGRATIONS)
registry.INSTRUMENTATIONS = {{"instrumentation": "instrumentation"}}
blogauto_otel.configure(**{QUIET!r})

def note(owner, name):
    original = owner.after_fork_in_child
    def noted(*args):
        os.write(1, (name + " ").encode())
        return original(*args)
    owner.after_fork_in_child = noted

owners = (BlogautoLoggerProvider, BlogautoMeterProvider, BlogautoTracerProvider, Delivery, type(_guard.state))
for owner in (integration, instrumentation, *owners):
    note(owner, owner.__name__)
if os.fork() == 0:
    os._exit(0)
os.wait()
"""
    done = subprocess.run(python("-c", script), capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "_State",
        "Delivery",
        "BlogautoTracerProvider",
        "BlogautoMeterProvider",
        "BlogautoLoggerProvider",
        "instrumentation",
        "integration",
    ]
