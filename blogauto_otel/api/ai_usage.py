"""Tokens, model and finish reasons out of the JSON of a provider's response. One function a provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel._dataclass import dataclass


@dataclass(frozen=True)
class AiResponse:
    """The facts of a response; None or empty where the provider does not say."""

    input_tokens: int | None = None
    """All input tokens, those read from the provider's cache included."""
    output_tokens: int | None = None
    """All output tokens, those of reasoning included: they are billed as output."""
    cached_input_tokens: int = 0
    model: str | None = None
    id: str | None = None
    finish_reasons: tuple[str, ...] = ()

    def updated(self, later: AiResponse) -> AiResponse:
        """With what a later part of the stream says: providers count up, so the last figures are those of the whole."""
        return AiResponse(
            input_tokens=self.input_tokens if later.input_tokens is None else later.input_tokens,
            output_tokens=self.output_tokens if later.output_tokens is None else later.output_tokens,
            cached_input_tokens=later.cached_input_tokens or self.cached_input_tokens,
            model=later.model or self.model,
            id=later.id or self.id,
            finish_reasons=later.finish_reasons or self.finish_reasons,
        )


def openai(response: Mapping[str, Any]) -> AiResponse:
    """OpenAI's chat completions, responses and embeddings, and providers that are compatible (Grok, DeepSeek)."""
    response = _map(response.get("response")) or response  # of an event of the streamed Responses API
    usage = _map(response.get("usage"))
    details = _map(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    return AiResponse(
        input_tokens=_number(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=_number(usage.get("completion_tokens", usage.get("output_tokens"))),
        cached_input_tokens=_number(details.get("cached_tokens")) or 0,
        model=_text(response.get("model")),
        id=_text(response.get("id")),
        finish_reasons=_reasons(response.get("choices"), "finish_reason"),
    )


def gemini(response: Mapping[str, Any]) -> AiResponse:
    """Gemini's `generateContent`, as Google AI Studio and Vertex AI answer it."""
    usage = _map(response.get("usageMetadata"))
    answered = _number(usage.get("candidatesTokenCount"))
    reasoned = _number(usage.get("thoughtsTokenCount"))
    return AiResponse(
        input_tokens=_number(usage.get("promptTokenCount")),
        output_tokens=None if answered is None and reasoned is None else (answered or 0) + (reasoned or 0),
        cached_input_tokens=_number(usage.get("cachedContentTokenCount")) or 0,
        model=_text(response.get("modelVersion")),
        id=_text(response.get("responseId")),
        finish_reasons=_reasons(response.get("candidates"), "finishReason"),
    )


def anthropic(response: Mapping[str, Any]) -> AiResponse:
    """Anthropic's messages and events; `input_tokens` are those that its cache does not have."""
    message = _map(response.get("message")) or response
    usage = _map(message.get("usage"))
    fresh = _number(usage.get("input_tokens"))
    cached = _number(usage.get("cache_read_input_tokens")) or 0
    written = _number(usage.get("cache_creation_input_tokens")) or 0
    reason = _text(message.get("stop_reason")) or _text(_map(response.get("delta")).get("stop_reason"))
    return AiResponse(
        input_tokens=None if fresh is None else fresh + cached + written,
        output_tokens=_number(usage.get("output_tokens")),
        cached_input_tokens=cached,
        model=_text(message.get("model")),
        id=_text(message.get("id")),
        finish_reasons=(reason,) if reason else (),
    )


# By the provider's name in the semantic conventions; others are read as OpenAI's.
READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], AiResponse]]] = MappingProxyType(
    {"gcp.gemini": gemini, "gcp.vertex_ai": gemini, "gcp.gen_ai": gemini, "anthropic": anthropic}
)


def read_response(provider: str, response: object) -> AiResponse:
    """The facts of a response of a provider; without any of them when it is no JSON object."""
    return READERS.get(provider, openai)(_map(response))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _reasons(choices: object, key: str) -> tuple[str, ...]:
    found = choices if isinstance(choices, Sequence) and not isinstance(choices, (str, bytes)) else ()
    return tuple(reason for choice in found[:20] if (reason := _text(_map(choice).get(key))))
