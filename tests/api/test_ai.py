"""AI calls: spans and metrics by the GenAI conventions, cost by the user's prices, and content that stays inside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from blogauto_otel import ai_call, operation
from blogauto_otel.api.ai_prices import read_prices
from blogauto_otel.api.ai_usage import AiResponse, read_response
from blogauto_otel.config import Settings
from blogauto_otel.errors import ConfigurationError
from blogauto_otel.redaction import build_redactor
from blogauto_otel.testing import Captured, capture_telemetry
from testkit.processes import environment, python
from testkit.receiver import Receiver

OPENAI = {
    "id": "chatcmpl-1",
    "model": "gpt-5-mini-2026-08-07",
    "choices": [{"finish_reason": "stop", "message": {"content": "hello"}}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 100},
    },
}
GEMINI = {
    "modelVersion": "gemini-3-flash",
    "responseId": "r1",
    "candidates": [{"finishReason": "STOP"}, {"finishReason": "MAX_TOKENS"}],
    "usageMetadata": {"promptTokenCount": 800, "candidatesTokenCount": 300, "thoughtsTokenCount": 200},
}
ANTHROPIC = {
    "id": "msg_1",
    "model": "claude-haiku-5",
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 7},
}


@pytest.mark.parametrize(
    ("provider", "response", "facts"),
    [
        ("openai", OPENAI, AiResponse(1000, 500, 400, "gpt-5-mini-2026-08-07", "chatcmpl-1", ("stop",))),
        ("x_ai", {"usage": {"input_tokens": 3, "output_tokens": 4}}, AiResponse(3, 4)),
        ("gcp.gemini", GEMINI, AiResponse(800, 500, 0, "gemini-3-flash", "r1", ("STOP", "MAX_TOKENS"))),
        ("anthropic", ANTHROPIC, AiResponse(105, 7, 90, "claude-haiku-5", "msg_1", ("end_turn",))),
        ("openai", "no JSON", AiResponse()),
        ("openai", {"usage": {"prompt_tokens": "many"}, "choices": "x", "model": 3}, AiResponse()),
        ("gcp.gemini", {"usageMetadata": None}, AiResponse()),
    ],
)
def test_the_facts_of_a_response_are_read_by_provider(provider: str, response: object, facts: AiResponse) -> None:
    assert read_response(provider, response) == facts


STREAMS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "chat completions": (
        "openai",
        [
            {"id": "c1", "model": "gpt-5-mini", "choices": [{"delta": {"content": "he"}, "finish_reason": None}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20}},
        ],
    ),
    "responses": (
        "openai",
        [
            {"type": "response.created", "response": {"id": "c1", "model": "gpt-5-mini", "usage": None}},
            {"type": "response.output_text.delta", "delta": "he"},
            {"type": "response.completed", "response": {"usage": {"input_tokens": 100, "output_tokens": 20}}},
        ],
    ),
    "gemini": (
        "gemini",
        [
            {"responseId": "c1", "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 3}},
            {"candidates": [{"finishReason": "STOP"}]},
            {"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 20}},
        ],
    ),
    "anthropic": (
        "anthropic",
        [
            {"type": "message_start", "message": {"id": "c1", "usage": {"input_tokens": 100, "output_tokens": 2}}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "he"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
            {"type": "message_stop"},
        ],
    ),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_the_parts_of_a_stream_make_one_call(stream: str) -> None:
    provider, parts = STREAMS[stream]
    with capture_telemetry() as telemetry, ai_call(provider, model="any") as call:
        for part in parts:
            call.first_chunk()
            call.response(part)
    tokens = measured(telemetry, "gen_ai.client.token.usage")
    assert {kind: total for kind, (total, _) in tokens.items()} == {"input": 100, "output": 20}
    attributes = dict(telemetry.span("chat any").attributes or {})
    assert attributes["gen_ai.response.id"] == "c1"
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (100, 20)
    assert "gen_ai.response.time_to_first_chunk" in attributes


@pytest.fixture
def prices(tmp_path: Path) -> str:
    path = tmp_path / "prices.json"
    table = {
        "currency": "USD",
        "rates": {"KRW": 1000},
        "prices": {
            "openai": {
                "gpt-5-mini": {"input": 0.25, "cached_input": 0.025, "output": 2.0},
                "gpt-5": {"input": 1, "output": 10},
            },
            "gcp.gemini": {"gemini-3-flash": {"input": 0.5, "output": 2}},
        },
    }
    path.write_text(json.dumps(table))
    return str(path)


def measured(telemetry: Captured, name: str) -> dict[str, tuple[float, dict[str, Any]]]:
    """Sum and attributes of a histogram, by the type of the token."""
    points: list[Any] = [point for one in telemetry.metrics if one.name == name for point in one.data.data_points]
    attributes = [dict(point.attributes or {}) for point in points]
    return {
        str(labels.get("gen_ai.token.type", "")): (point.sum, labels)
        for point, labels in zip(points, attributes, strict=True)
    }


def test_a_call_is_a_client_span_with_tokens_duration_and_cost(prices: str) -> None:
    ai = ai_call("openai", model="gpt-5-mini")
    with capture_telemetry(ai_prices=prices) as telemetry, operation("content.generate"), ai as call:
        call.first_chunk()
        call.response(OPENAI)
    span = telemetry.span("chat gpt-5-mini")
    assert span.kind.name == "CLIENT"
    attributes = dict(span.attributes or {})
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.response.model"] == "gpt-5-mini-2026-08-07"
    assert attributes["gen_ai.usage.input_tokens"] == 1000
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 400
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    cost = (600 * 0.25 + 400 * 0.025 + 500 * 2.0) / 1e6
    assert attributes["blogauto.ai.cost"] == pytest.approx(cost)
    tokens = measured(telemetry, "gen_ai.client.token.usage")
    assert (tokens["input"][0], tokens["output"][0]) == (1000, 500)
    assert measured(telemetry, "gen_ai.client.operation.duration")[""][1] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.response.model": "gpt-5-mini-2026-08-07",
    }
    assert measured(telemetry, "gen_ai.client.operation.time_to_first_chunk")
    (labels, counted), *rest = telemetry.points("blogauto.ai.cost").items()
    assert dict(labels) == {
        "provider": "openai",
        "model": "gpt-5-mini",
        "operation": "content.generate",
        "currency": "USD",
    }
    assert counted == pytest.approx(cost)
    assert not rest


def test_costs_are_counted_in_the_currency_of_the_setting(prices: str) -> None:
    ai = ai_call("gemini", model="gemini-3-flash", operation="generate_content")
    with capture_telemetry(ai_prices=prices, ai_currency="KRW") as telemetry, ai as call:
        call.usage(input=1_000_000, output=500_000)
    ((labels, cost),) = telemetry.points("blogauto.ai.cost").items()
    assert dict(labels) == {
        "provider": "gcp.gemini",
        "model": "gemini-3-flash",
        "operation": "generate_content",
        "currency": "KRW",
    }
    assert cost == pytest.approx(1500)


def test_the_cost_of_an_endpoint_is_that_of_its_calls_outside_of_operations(prices: str) -> None:
    app = FastAPI()

    @app.get("/summaries/{number}")
    async def summary(number: int) -> int:
        with ai_call("openai", model="gpt-5-mini") as call:
            call.usage(input=number)
        return number

    @app.get("/articles/{number}")
    def article(number: int) -> int:
        with operation("content.generate"), ai_call("openai", model="gpt-5-mini") as call:
            call.usage(input=number)
        return number

    with capture_telemetry(ai_prices=prices) as telemetry:
        client = TestClient(app)
        for number in (1, 2):
            client.get(f"/summaries/{number}")
            client.get(f"/articles/{number}")
    costs = {dict(labels)["operation"]: cost for labels, cost in telemetry.points("blogauto.ai.cost").items()}
    assert costs == {"/summaries/{number}": pytest.approx(0.75e-6), "content.generate": pytest.approx(0.75e-6)}


def test_a_model_without_a_price_is_counted_and_logged_once(prices: str, caplog: pytest.LogCaptureFixture) -> None:
    with capture_telemetry(ai_prices=prices) as telemetry:
        for _ in range(2):
            with ai_call("grok", model="grok-9") as call:
                call.usage(input=1, output=1)
    assert telemetry.points("blogauto.ai.unpriced_calls") == {(("model", "grok-9"), ("provider", "x_ai")): 2}
    assert telemetry.points("blogauto.ai.cost") == {}
    assert sum("grok-9" in record.getMessage() for record in caplog.records) == 1


def test_without_prices_tokens_are_measured_and_no_cost(tmp_path: Path) -> None:
    with capture_telemetry() as telemetry, ai_call("openai", model="gpt-5") as call:
        call.response(OPENAI)
    assert measured(telemetry, "gen_ai.client.token.usage")["input"][0] == 1000
    assert telemetry.points("blogauto.ai.cost") == {}
    assert telemetry.points("blogauto.ai.unpriced_calls") == {}


def test_a_failed_call_has_its_status_as_the_type_of_its_error_and_passes_on_the_exception() -> None:
    request = httpx.Request("POST", "http://ai/v1/chat/completions")
    error = httpx.HTTPStatusError("429", request=request, response=httpx.Response(429, request=request))
    with capture_telemetry() as telemetry:
        with pytest.raises(httpx.HTTPStatusError), ai_call("openai", model="gpt-5"):
            raise error
        with pytest.raises(LookupError), ai_call("openai", model="gpt-5"):
            raise LookupError("no such") from error
        with ai_call("openai", model="gpt-5") as call:
            call.failed(503)
        with pytest.raises(TimeoutError), ai_call("openai", model="gpt-5"):
            raise TimeoutError
    types = [dict(span.attributes or {}).get("error.type") for span in telemetry.spans]
    assert types == ["429", "429", "503", "TimeoutError"]
    assert all(span.status.status_code.name == "ERROR" for span in telemetry.spans)
    durations = telemetry.points("gen_ai.client.operation.duration")
    assert sorted(dict(labels)["error.type"] for labels in durations) == ["429", "503", "TimeoutError"]


async def test_async_with_works_as_well() -> None:
    with capture_telemetry() as telemetry:
        async with ai_call("openai", model="gpt-5") as call:
            call.usage(input=1)
    assert telemetry.span("chat gpt-5")


def exported_events(**variables: str) -> list[Any]:
    """The events of a call's span, as a Collector receives them."""
    script = (
        "import blogauto_otel\n"
        "telemetry = blogauto_otel.configure(service_name='shop')\n"
        "prompt = [{'role': 'user', 'content': 'the password=hunter2hunter2 of the shop'}]\n"
        "with blogauto_otel.ai_call('openai', model='gpt-5') as call:\n"
        "    call.content(input=prompt, output='no ' * 10_000)\n"
        "telemetry.shutdown()"
    )
    with Receiver() as receiver:
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "BLOGAUTO_OTEL_SPOOL_DIR": "off"}
        done = subprocess.run(
            python("-c", script), env=environment(**where, **variables), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        (span,) = (span for span in receiver.spans if span.name == "chat gpt-5")
    return list(span.events)


@pytest.mark.slow
def test_content_leaves_only_by_setting_and_then_redacted_and_cut() -> None:
    assert exported_events() == []
    (event,) = exported_events(BLOGAUTO_OTEL_AI_CONTENT="true")
    assert event.name == "gen_ai.client.inference.operation.details"
    assert "of the shop" in event.attributes["gen_ai.input.messages"]
    assert "hunter2" not in str(event)
    assert 4000 < len(event.attributes["gen_ai.output.messages"]) <= 4096


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("not json", "cannot be read"),
        ("[]", "expected"),
        ('{"prices": {"openai": {"gpt": {"output": 1}}}}', "openai gpt"),
        ('{"prices": {"openai": {"gpt": {"input": -1, "output": 1}}}}', "openai gpt"),
        ('{"prices": {"openai": {"gpt": {"input": NaN, "output": 1}}}}', "openai gpt"),
    ],
)
def test_a_price_table_that_cannot_be_used_is_said_and_nothing_breaks(
    document: str, problem: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(document)
    with pytest.raises(ValueError, match=problem):
        read_prices(path)
    with capture_telemetry(ai_prices=str(path)) as telemetry, ai_call("openai", model="gpt") as call:
        call.usage(input=1)
    assert "BLOGAUTO_OTEL_AI_PRICES" in caplog.text
    assert "broken" in telemetry.handle.status().as_dict()["instrumentation"]["ai"]
    monkeypatch.setenv("BLOGAUTO_OTEL_STRICT", "true")
    with pytest.raises(ConfigurationError), capture_telemetry(ai_prices=str(path)):
        pass


def test_a_currency_without_a_rate_is_a_problem(prices: str) -> None:
    with pytest.raises(ValueError, match='"rates" has no number for EUR'):
        read_prices(Path(prices), "EUR")
    assert read_prices(Path(prices)).price("openai", "gpt-5-2026-01-01") == read_prices(Path(prices)).price(
        "openai", "gpt-5"
    )


def test_prompts_that_a_library_records_do_not_leave_unless_the_setting_says_so() -> None:
    attributes = {
        "gen_ai.prompt.0.content": "tell me",
        "gen_ai.input.messages": "tell me",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.request.model": "m",
    }
    redacted: Any = build_redactor(Settings()).value("", attributes)
    assert redacted["gen_ai.prompt.0.content"] == redacted["gen_ai.input.messages"] == "[redacted:ai-content]"
    assert redacted["gen_ai.usage.input_tokens"] == 3
    assert redacted["gen_ai.request.model"] == "m"
    assert build_redactor(Settings(ai_content=True)).value("", attributes) == attributes
