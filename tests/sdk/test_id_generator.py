"""`OTEL_PYTHON_ID_GENERATOR`: ids of a plugin, and random ones where it fails."""

from __future__ import annotations

import itertools

import pytest
from opentelemetry import trace

from blogauto_otel import plugins
from blogauto_otel.errors import ConfigurationError
from testkit.receiver import Receiver
from tests.sdk.providers import providing


class Counting:
    """Ids 1, 2, 3; then nothing that could be one."""

    def __init__(self) -> None:
        self._ids = itertools.chain([1, 2, 3], itertools.repeat(0))

    def generate_trace_id(self) -> int:
        return next(self._ids)

    generate_span_id = generate_trace_id


class Broken:
    def __init__(self) -> None:
        raise SystemExit


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "load", lambda group, name: {"counting": Counting, "broken": Broken}[name])


def context_of_a_span(receiver: Receiver, **settings: str) -> trace.SpanContext:
    with providing(receiver, **settings) as providers:
        tracer = providers.tracing.get_tracer("tests")
        return tracer.start_span("any").get_span_context()


def test_the_ids_are_the_plugins(receiver: Receiver) -> None:
    context = context_of_a_span(receiver, id_generator="counting")
    assert (context.trace_id, context.span_id) == (1, 2)


def test_invalid_ids_are_replaced(receiver: Receiver) -> None:
    with providing(receiver, id_generator="counting") as providers:
        tracer = providers.tracing.get_tracer("tests")
        contexts = [tracer.start_span("any").get_span_context() for _ in range(5)]
    assert all(context.is_valid for context in contexts)


def test_a_plugin_that_fails_is_named_and_ids_are_random(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    assert context_of_a_span(receiver, id_generator="broken").is_valid
    assert "OTEL_PYTHON_ID_GENERATOR='broken': it failed with SystemExit; using random ids" in caplog.text
    with pytest.raises(ConfigurationError, match="OTEL_PYTHON_ID_GENERATOR"):
        context_of_a_span(receiver, id_generator="broken", strict="true")
