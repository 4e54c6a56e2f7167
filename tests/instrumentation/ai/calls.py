"""Calls the real SDKs of OpenAI, Google and Anthropic against a local server; prints what was recorded, as JSON.

Run by test_packages.py in an environment of its own: `python calls.py URL PRICES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import json
import os
import sys
import traceback
from collections.abc import Iterable
from typing import Any

url, prices = sys.argv[1:]
os.environ.pop("PYTEST_VERSION", None)

import blogauto_otel  # noqa: E402
from blogauto_otel import ai_call  # noqa: E402
from blogauto_otel.testing import capture_telemetry  # noqa: E402

PROMPT = "a prompt that must not leave"
MESSAGES = [{"role": "user", "content": PROMPT}]
SCHEMA = {"type": "object", "properties": {}}


# Each provider is called in the same ways: plain, with a tool, streamed, asynchronous, streamed asynchronously, refused
# (400), limited (429, which the SDK retries once), and within `ai_call`, which measures it alone.


def openai_calls() -> None:
    import openai

    client = openai.OpenAI(base_url=f"{url}/openai/v1", api_key="key", max_retries=1)
    ask = functools.partial(client.chat.completions.create, model="gpt-5-mini", messages=MESSAGES)
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    ask()
    ask(model="gpt-without-price")
    ask(tools=[{"type": "function", "function": {"name": "lookup", "parameters": SCHEMA}}])
    consume(ask(**streamed))
    with contextlib.suppress(openai.BadRequestError):
        ask(model="refused")
    with contextlib.suppress(openai.RateLimitError):
        ask(model="limited")
    with ai_call("openai", model="gpt-5-mini") as call:
        call.response(ask().model_dump())

    async def asynchronous() -> None:
        other = openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="key")
        await other.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)
        async for _ in await other.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **streamed):
            pass

    asyncio.run(asynchronous())


def google_calls() -> None:
    genai = importlib.import_module("google.genai")
    errors = importlib.import_module("google.genai.errors")

    retries = {"attempts": 2, "initial_delay": 0.01}
    client = genai.Client(api_key="key", http_options={"base_url": f"{url}/gemini", "retry_options": retries})
    ask = functools.partial(client.models.generate_content, model="gemini-3-flash", contents=PROMPT)
    ask()
    ask(config={"tools": [{"function_declarations": [{"name": "lookup"}]}]})
    consume(client.models.generate_content_stream(model="gemini-3-flash", contents=PROMPT))
    for model in ("refused", "limited"):
        with contextlib.suppress(errors.ClientError):
            ask(model=model)
    with ai_call("gemini", model="gemini-3-flash", operation="generate_content") as call:
        call.response(ask().model_dump(by_alias=True))

    async def asynchronous() -> None:
        await client.aio.models.generate_content(model="gemini-3-flash", contents=PROMPT)
        async for _ in await client.aio.models.generate_content_stream(model="gemini-3-flash", contents=PROMPT):
            pass

    asyncio.run(asynchronous())


def anthropic_calls() -> None:
    import anthropic

    client = anthropic.Anthropic(base_url=f"{url}/anthropic", api_key="key", max_retries=1)
    asked: dict[str, Any] = {"model": "claude-haiku-5", "max_tokens": 10, "messages": MESSAGES}
    ask = functools.partial(client.messages.create, **asked)
    ask()
    ask(tools=[{"name": "lookup", "input_schema": SCHEMA}])
    consume(ask(stream=True))
    with client.messages.stream(**asked) as stream:  # the SDK's other way to stream
        consume(stream)
    with contextlib.suppress(anthropic.BadRequestError):
        ask(model="refused")
    with contextlib.suppress(anthropic.RateLimitError):
        ask(model="limited")
    with ai_call("anthropic", model="claude-haiku-5") as call:
        call.response(ask().model_dump())

    async def asynchronous() -> None:
        other = anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key="key")
        await other.messages.create(**asked)
        async for _ in await other.messages.create(**asked, stream=True):
            pass

    asyncio.run(asynchronous())


def consume(stream: Iterable[object]) -> None:
    for _ in stream:
        pass


def main() -> dict[str, Any]:
    with capture_telemetry(ai_prices=prices) as telemetry:
        failures = {}
        for calls in (openai_calls, google_calls, anthropic_calls):
            try:
                calls()
            except Exception:
                failures[calls.__name__] = traceback.format_exc()
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
