"""Clients of the external services: an AI provider that generates text and checks keys, and WordPress sites."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Annotated, Any, Final

import httpx
from fastapi import Depends, Request

from blogauto_otel import ai_call
from examples.blog import simulators
from examples.blog.settings import BlogSettings

logger = logging.getLogger(__name__)


# Model and operation of each provider.
MODELS: Final = {"openai": ("gpt-5-mini", "text_completion"), "gemini": ("gemini-3-flash", "generate_content")}


EVENT: Final = "data: "
TIMEOUT: Final = httpx.Timeout(10.0, read=60.0)  # seconds: a model may take long to answer, not to be reached


class OutsideError(Exception):
    """An external service failed; the message says which and how."""


class Outside:
    """One HTTP client for all services; httpx is instrumented, so each request is a span, and each AI call another."""

    def __init__(self, client: httpx.AsyncClient, *, ai_url: str, wordpress_url: str) -> None:
        self._client = client
        self._ai_url = ai_url
        self._wordpress_url = wordpress_url

    async def write(self, prompt: str, *, provider: str) -> str:
        """The text that the AI provider generates, and streams."""
        model, operation = MODELS[provider]
        url = f"{self._ai_url}/{provider}/v1/completions"
        texts: list[str] = []
        with ai_call(provider, model=model, operation=operation) as call:
            async for part in self._streamed(url, {"model": model, "prompt": prompt}):
                call.first_chunk()
                call.response(part)  # the last parts say how many tokens it were
                texts.append(part.get("text", ""))
        return "".join(texts)

    async def key_is_valid(self, key: str, *, service: str) -> bool:
        """Whether the service accepts the key."""
        answer = await self._post(f"{self._ai_url}/{service}/v1/keys/check", {"key": key})
        return bool(answer["valid"])

    async def publish(self, title: str, body: str, *, site: str) -> str:
        """Post to a WordPress site; the URL of the new post."""
        url = f"{self._wordpress_url}/{site}/wp-json/wp/v2/posts"
        answer = await self._post(url, {"title": title, "content": body, "status": "publish"})
        return str(answer["link"])

    async def _post(self, url: str, body: dict[str, str]) -> dict[str, Any]:
        with _explained(url):
            response = await self._client.post(url, json=body)
            response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    async def _streamed(self, url: str, body: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        """The parts of an answer, which are server-sent events."""
        with _explained(url):
            async with self._client.stream("POST", url, json={**body, "stream": True}) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if line.startswith(EVENT):
                        yield json.loads(line.removeprefix(EVENT))


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise OutsideError(f"{url} answered {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise OutsideError(f"{url} cannot be reached: {type(error).__name__}") from error


@asynccontextmanager
async def connected(settings: BlogSettings) -> AsyncIterator[Outside]:
    """The configured services, or simulated ones."""
    with ExitStack() as stack:
        ai_url, wordpress_url = settings.ai_url, settings.wordpress_url
        if ai_url is None or wordpress_url is None:
            simulated = stack.enter_context(simulators.running())
            logger.info("simulating services at %s", simulated)
            ai_url, wordpress_url = ai_url or simulated, wordpress_url or simulated
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            yield Outside(client, ai_url=ai_url, wordpress_url=wordpress_url)


def _outside(request: Request) -> Outside:
    found: Outside = request.app.state.outside
    return found


Services = Annotated[Outside, Depends(_outside)]
