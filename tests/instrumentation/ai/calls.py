"""Calls the real SDKs of OpenAI, Google and Anthropic against a local server; prints what was recorded, as JSON.

Run by test_packages.py in an environment of its own: `python calls.py URL PRICES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import sys
from typing import Any

url, prices = sys.argv[1:]
os.environ.pop("PYTEST_VERSION", None)

import blogauto_otel  # noqa: E402
from blogauto_otel import ai_call  # noqa: E402
from blogauto_otel.testing import capture_telemetry  # noqa: E402

PROMPT = [{"role": "user", "content": "a prompt that must not leave"}]


def openai_calls() -> None:
    import openai

    client = openai.OpenAI(base_url=f"{url}/openai/v1", api_key="key", max_retries=1)
    client.chat.completions.create(model="gpt-5-mini", messages=PROMPT)
    tool = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
    client.chat.completions.create(model="gpt-5-mini", messages=PROMPT, tools=[tool])
    options = {"include_usage": True}
    for _ in client.chat.completions.create(model="gpt-5-mini", messages=PROMPT, stream=True, stream_options=options):
        pass
    with contextlib.suppress(openai.RateLimitError):
        client.chat.completions.create(model="limited", messages=PROMPT)
    with contextlib.suppress(openai.BadRequestError):
        client.chat.completions.create(model="refused", messages=PROMPT)
    with ai_call("openai", model="gpt-5-mini") as call:  # around the instrumented SDK: measured once
        answer = client.chat.completions.create(model="gpt-5-mini", messages=PROMPT)
        call.response(answer.model_dump())

    async def asynchronous() -> None:
        other = openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="key")
        await other.chat.completions.create(model="gpt-5-mini", messages=PROMPT)

    asyncio.run(asynchronous())


def google_calls() -> None:
    genai = importlib.import_module("google.genai")

    client = genai.Client(api_key="key", http_options={"base_url": f"{url}/gemini"})
    client.models.generate_content(model="gemini-3-flash", contents="a prompt that must not leave")


def anthropic_calls() -> None:
    import anthropic

    client = anthropic.Anthropic(base_url=f"{url}/anthropic", api_key="key", max_retries=0)
    client.messages.create(model="claude-haiku-5", max_tokens=10, messages=PROMPT)


def main() -> dict[str, Any]:
    with capture_telemetry(ai_prices=prices) as telemetry:
        failures = {}
        for calls in (openai_calls, google_calls, anthropic_calls):
            try:
                calls()
            except Exception as error:
                failures[calls.__name__] = repr(error)
        status = blogauto_otel.configure().status().as_dict()["instrumentation"]
    return {
        "failures": failures,
        "clients": status["clients"],
        "spans": [
            {"name": span.name, "scope": span.instrumentation_scope.name, "attributes": dict(span.attributes or {})}
            for span in telemetry.spans
            if span.instrumentation_scope is not None
        ],
        "points": [
            {
                "name": metric.name,
                "attributes": dict(point.attributes or {}),
                "sum": getattr(point, "sum", getattr(point, "value", 0)),
                "count": getattr(point, "count", 1),
            }
            for metric in telemetry.metrics
            for point in metric.data.data_points
            if metric.name.startswith(("gen_ai.", "blogauto.ai."))
        ],
        "logs": [str(record.log_record.body) for record in telemetry.logs],
    }


print("RECORDED " + json.dumps(main(), default=str))
