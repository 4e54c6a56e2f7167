"""Names of any length and number do not exhaust the memory, and their items arrive."""

from __future__ import annotations

import gc
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from blogauto_otel._class_names import class_name, type_name
from testkit.forking import in_child
from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver
from tests.sdk.providers import Providers, providing

MANY = 10_000  # of a kind whose objects take more than a kilobyte each
MIB = 2**20


def growth(of: Callable[[int], object], first: int = 2_000) -> int:
    """Bytes by which the process grows from the `first` names to the last."""
    import psutil

    process = psutil.Process()
    for number in range(first):
        of(number)
    gc.collect()
    before = process.memory_info().rss
    for number in range(first, MANY):
        of(number)
    gc.collect()
    return int(process.memory_info().rss - before)


MAKERS: dict[str, Callable[[Providers], Callable[[int], object]]] = {
    "tracers": lambda providers: lambda number: providers.tracing.get_tracer(f"tracer {number}"),
    "loggers": lambda providers: lambda number: providers.logs.get_logger(f"logger {number}"),
    "meters": lambda providers: lambda number: providers.metering.get_meter(f"meter {number}"),
    "instruments": lambda providers: (
        lambda number: providers.metering.get_meter("m").create_counter(f"counter{number}")
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_many_names_do_not_fill_the_memory(receiver: Receiver, kind: str) -> None:
    def child() -> None:
        with providing(receiver) as providers:
            assert growth(MAKERS[kind](providers)) <= 2 * MIB

    in_child(child, timeout=120.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loggers", "operations"])
def test_many_names_of_an_application_do_not_fill_the_memory(receiver: Receiver, kind: str) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "BLOGAUTO_OTEL_SPOOL_DIR": "off"}
    command = python("-m", "tests.sdk.many_names", kind, "6000", "14000")
    done = subprocess.run(command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert after - before <= 2 * MIB


def test_what_comes_after_the_limit_still_arrives(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        for number in range(1_100):
            providers.tracing.get_tracer(f"tracer {number}")
            providers.logs.get_logger(f"logger {number}")
            providers.metering.get_meter(f"meter {number}")
        providers.tracing.get_tracer("late").start_span("work").end()
        providers.logs.get_logger("late").emit(body="hello")
        providers.metering.get_meter("late").create_counter("sold").add(3)
        providers.flush()
    assert [(span.name, span.scope) for span in receiver.spans] == [("work", "late")]
    assert [(record.body, record.scope) for record in receiver.logs] == [("hello", "late")]
    assert receiver.point("sold").value == 3


def test_more_instruments_than_the_limit_record_nothing_and_it_is_logged(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with providing(receiver) as providers:
        meter = providers.metering.get_meter("tests")
        for number in range(2_001):
            meter.create_counter(f"counter{number}").add(1)
        providers.flush()
    assert len({point.name for point in receiver.metrics}) == 2_000
    assert "names of instruments" in caplog.text


def test_long_names_are_cut(receiver: Receiver) -> None:
    long = "n" * 100_000
    with providing(receiver) as providers:
        providers.tracing.get_tracer(long).start_span("work").end()
        providers.logs.get_logger(long).emit(body="hello")
        providers.metering.get_meter(long).create_counter("sold").add(3)
        providers.flush()
    made_up: Any = type(long, (Exception,), {})
    names = [receiver.spans[0].scope, receiver.logs[0].scope, class_name(made_up), type_name(made_up)]
    assert [len(name) for name in names] == [256] * 4
