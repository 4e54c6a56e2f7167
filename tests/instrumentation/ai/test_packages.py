"""The SDKs of OpenAI, Google and Anthropic with their instrumentations, in one environment, against a local server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testkit import ai_providers as provider
from testkit.environments import with_ai_packages
from testkit.processes import ROOT, environment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("versions")]

PRICE = {"input": 1, "output": 10}
PRICES = {
    "currency": "USD",
    "prices": {
        "openai": {"gpt-5-mini": PRICE},
        "gcp.gemini": {"gemini-3-flash": PRICE},
        "anthropic": {"claude-haiku-5": PRICE},
    },
}
COST = (provider.IN * 1 + provider.OUT * 10) / 1e6  # of a call


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run of calls.py has recorded, with the extras of the package as pip resolves them."""
    python = with_ai_packages()
    prices = tmp_path_factory.mktemp("prices") / "prices.json"
    prices.write_text(json.dumps(PRICES))
    with provider.running() as server:
        command = [str(python), str(Path(__file__).with_name("calls.py")), server.url, str(prices)]
        variables = environment(PYTHONPATH=str(ROOT))
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("RECORDED "))
    found: dict[str, Any] = json.loads(line.removeprefix("RECORDED "))
    return found


def points(recorded: dict[str, Any], name: str, **wanted: str) -> list[dict[str, Any]]:
    labels = {key.replace("__", "."): value for key, value in wanted.items()}
    return [one for one in recorded["points"] if one["name"] == name and labels.items() <= one["attributes"].items()]


def test_all_three_are_switched_on_and_no_call_fails(recorded: dict[str, Any]) -> None:
    assert recorded["failures"] == {}
    assert recorded["clients"].startswith("on (anthropic, google-genai, openai")


# Provider: model, calls that succeed, and both errors by the names that the instrumentation gives them. The calls are
# plain, with a tool, streamed, asynchronous, streamed asynchronously and in `ai_call`; Anthropic streams in two ways.
PROVIDERS = {
    "openai": ("gpt-5-mini", 6, {"openai.BadRequestError", "openai.RateLimitError"}),
    "gcp.gemini": ("gemini-3-flash", 6, {"400", "429"}),
    "anthropic": ("claude-haiku-5", 7, {"BadRequestError", "RateLimitError"}),
}


@pytest.mark.parametrize("provider_name", PROVIDERS)
def test_each_call_has_a_span_with_its_tokens(recorded: dict[str, Any], provider_name: str) -> None:
    model, calls, _ = PROVIDERS[provider_name]
    spans = [
        span
        for span in recorded["spans"]
        if span["attributes"].get("gen_ai.request.model") == model
        and span["attributes"].get("gen_ai.usage.input_tokens") == provider.IN
        and span["attributes"].get("gen_ai.usage.output_tokens") == provider.OUT
    ]
    assert sum(span["scope"] == "blogauto_otel.ai" for span in spans) == 1
    assert len([span for span in spans if span["scope"] != "blogauto_otel.ai"]) == calls


@pytest.mark.parametrize("provider_name", PROVIDERS)
def test_tokens_and_cost_are_measured_once_a_call(recorded: dict[str, Any], provider_name: str) -> None:
    model, calls, _ = PROVIDERS[provider_name]
    labels = {"gen_ai__provider__name": provider_name, "gen_ai__request__model": model}
    tokens = points(recorded, "gen_ai.client.token.usage", **labels)
    given = sum(one["sum"] for one in tokens if one["attributes"]["gen_ai.token.type"] == "input")
    written = sum(one["sum"] for one in tokens if one["attributes"]["gen_ai.token.type"] == "output")
    assert (given, written) == (calls * provider.IN, calls * provider.OUT)
    costs = points(recorded, "blogauto.ai.cost", provider=provider_name, model=model)
    assert sum(cost["sum"] for cost in costs) == pytest.approx(calls * COST)
    durations = points(recorded, "gen_ai.client.operation.duration", **labels)
    assert sum(one["count"] for one in durations if "error.type" not in one["attributes"]) == calls


def test_a_call_without_a_price_is_counted_once(recorded: dict[str, Any]) -> None:
    [unpriced] = points(recorded, "blogauto.ai.unpriced_calls")
    assert unpriced["attributes"] == {"provider": "openai", "model": "gpt-without-price"}
    assert unpriced["sum"] == 1


@pytest.mark.parametrize("provider_name", PROVIDERS)
def test_a_rate_limit_and_a_refusal_are_counted_by_their_error(recorded: dict[str, Any], provider_name: str) -> None:
    """The retry of the SDK is within one call."""
    durations = points(recorded, "gen_ai.client.operation.duration", gen_ai__provider__name=provider_name)
    errors = [one for one in durations if "error.type" in one["attributes"]]
    assert {one["attributes"]["error.type"] for one in errors} == PROVIDERS[provider_name][2]
    assert sum(one["count"] for one in errors) == 2


def test_prompts_and_answers_do_not_leave(recorded: dict[str, Any]) -> None:
    assert "must not leave" not in json.dumps(recorded)


@pytest.mark.parametrize("provider_name", PROVIDERS)
def test_the_span_of_a_call_has_its_cost(recorded: dict[str, Any], provider_name: str) -> None:
    """Within `ai_call` that span has it. `anthropic` ends its own spans before the tokens are measured."""
    model, calls, _ = PROVIDERS[provider_name]
    spans = [one["attributes"] for one in recorded["spans"] if one["attributes"].get("gen_ai.request.model") == model]
    costs = [attributes["blogauto.ai.cost"] for attributes in spans if "blogauto.ai.cost" in attributes]
    assert costs == pytest.approx([COST] * (1 if provider_name == "anthropic" else calls))
