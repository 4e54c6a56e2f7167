"""Calls of AI models: spans and metrics by the GenAI semantic conventions, and what they cost.

    with ai_call("openai", model="gpt-5-mini") as call:
        answer = requests.post(URL, json=body, timeout=60)
        answer.raise_for_status()
        call.response(answer.json())

For calls over HTTP; the packages `openai`, `google-genai` and `anthropic` are instrumented without it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from blogauto_otel import semconv
from blogauto_otel._class_names import type_name
from blogauto_otel._guard import guard, log_once
from blogauto_otel._process import register
from blogauto_otel.api import conventions
from blogauto_otel.api.ai_usage import AiResponse, read_response
from blogauto_otel.api.context import SCOPE
from blogauto_otel.api.declarations import AtMost, counter
from blogauto_otel.api.operation import current_operation
from blogauto_otel.api.text import description

if TYPE_CHECKING:
    from blogauto_otel.api.ai_prices import PriceTable

Provider = Annotated[str, AtMost(20)]
Model = Annotated[str, AtMost(50)]

# What people call the providers, and their names in the semantic conventions.
PROVIDERS: Final[Mapping[str, str]] = {
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "grok": "x_ai",
    "xai": "x_ai",
    "claude": "anthropic",
    "azure": "azure.ai.openai",
    "mistral": "mistral_ai",
    "bedrock": "aws.bedrock",
}

IN_CALL: Final = "blogauto-ai-call"  # in the context: an instrumentation below records neither tokens nor durations
FIRST_ERROR, LAST_ERROR = 400, 599  # of HTTP statuses
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
COST: Final = "blogauto.ai.cost"  # attribute of the span of a call


@counter("ai.cost", unit="{cost}", domain="ai")
def ai_cost(
    *, provider: Provider, model: Model, operation: Annotated[str, AtMost(100)], currency: Annotated[str, AtMost(5)]
) -> None:
    """Cost of AI calls by the price table of the settings, in the currency of the label."""


@counter("ai.unpriced_calls", unit="{call}", domain="ai")
def ai_unpriced_calls(*, provider: Provider, model: Model) -> None:
    """AI calls whose model has no price, so that the cost lacks them."""


def ai_call(provider: str, *, model: str, operation: str = "chat", **attributes: AttributeValue) -> AiCall:
    """Record one call of an AI model: a client span, its duration, its tokens and its cost.

    Args:
        provider: `openai`, `gemini`, `anthropic`, `grok` or a name of the semantic conventions (`gcp.vertex_ai`).
        model: the name of the model that is asked for.
        operation: `chat`, `embeddings`, `generate_content`, `text_completion` or another name of the conventions.
        attributes: further attributes of the span.

    Returns:
        A context manager, for `with` and `async with`. An exception passes untouched; it is recorded on the span and in
        `error.type`. Each attempt of a retry is a call of its own. Nothing raises.

    Source: https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai.
    """
    return AiCall(PROVIDERS.get(provider, provider), model, operation, attributes)


class AiCall:
    """One call of an AI model, from its start to its end."""

    __slots__ = (
        "_attributes", "_error", "_facts", "_first_chunk", "_model", "_operation", "_provider", "_span", "_started",
        "_token",
    )  # fmt: skip

    def __init__(self, provider: str, model: str, operation: str, attributes: Mapping[str, AttributeValue]) -> None:
        self._provider, self._model, self._operation = provider, model, operation
        self._attributes = attributes
        self._facts = AiResponse()
        self._first_chunk: float | None = None
        self._error: str | None = None
        self._token: Any = None
        self._span: trace.Span = trace.INVALID_SPAN
        self._started = time.perf_counter()

    # --- what the application tells ------------------------------------------------------------------------------

    def response(self, response: object) -> None:
        """Read tokens, model, id and finish reasons out of the provider's JSON response, or of each streamed part."""
        with guard("reading the response of an AI call"):
            self._facts = self._facts.updated(read_response(self._provider, response))

    def usage(self, *, input: int, output: int = 0, cached: int = 0, model: str | None = None) -> None:  # noqa: A002 - the conventions' word
        """State the tokens, where no response in JSON has them.

        Args:
            input: all input tokens, the cached ones included.
            output: all output tokens, those of reasoning included.
            cached: those of the input that the provider read from its cache.
            model: the model that answered, where it has another name.
        """
        self._facts = AiResponse(
            input, output, cached, model or self._facts.model, self._facts.id, self._facts.finish_reasons
        )

    def first_chunk(self) -> None:
        """Note the first part of a streamed response; later calls do nothing."""
        if self._first_chunk is None:
            self._first_chunk = time.perf_counter() - self._started

    def failed(self, error_type: str | int) -> None:
        """Note a failure that is no exception, such as the status 429 of the response."""
        self._error = str(error_type)

    def content(self, *, input: object = None, output: object = None) -> None:  # noqa: A002 - likewise
        """Record prompt and answer as an event of the span, redacted and cut; only with `BLOGAUTO_OTEL_AI_CONTENT`."""
        if not _state.has_content:
            return
        with guard("recording the content of an AI call"):
            given = {"gen_ai.input.messages": input, "gen_ai.output.messages": output}
            texts = {name: _text(value) for name, value in given.items() if value is not None}
            self._span.add_event(DETAILS_EVENT, texts)

    # --- its life ------------------------------------------------------------------------------------------------

    def __enter__(self) -> AiCall:  # noqa: PYI034 - Self is not in typing before Python 3.11
        with guard("starting an AI call"):
            name = f"{self._operation} {self._model}"
            self._span = _state.tracer().start_span(
                name, kind=SpanKind.CLIENT, attributes={**self._attributes, **self._labels()}
            )
            inside = otel_context.set_value(IN_CALL, True, trace.set_span_in_context(self._span))
            self._token = otel_context.attach(inside)
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._started
        with guard("recording an AI call"):
            if error is not None:
                self._error = _error_type(error)
            self._measure(seconds)
        if self._token is not None:
            with guard("leaving an AI call"):
                otel_context.detach(self._token)
        with guard("ending an AI call"):
            self._end_span(error)

    async def __aenter__(self) -> AiCall:  # noqa: PYI034 - likewise
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace_)

    def _labels(self) -> dict[str, AttributeValue]:
        return {
            "gen_ai.operation.name": self._operation,
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": self._model,
        }

    def _measure(self, seconds: float) -> None:
        facts, labels = self._facts, self._labels()
        if facts.model:
            labels["gen_ai.response.model"] = facts.model
        _state.record(
            "gen_ai.client.operation.duration", seconds, labels | ({"error.type": self._error} if self._error else {})
        )
        if self._first_chunk is not None:
            _state.record("gen_ai.client.operation.time_to_first_chunk", self._first_chunk, labels)
        for kind, tokens in (("input", facts.input_tokens), ("output", facts.output_tokens)):
            if tokens is not None:
                _state.record("gen_ai.client.token.usage", tokens, {**labels, "gen_ai.token.type": kind})
        if facts.input_tokens is not None or facts.output_tokens is not None:
            cost = add_cost(
                self._provider, self._model, self._operation, response_model=facts.model,
                input_tokens=facts.input_tokens or 0, output_tokens=facts.output_tokens or 0,
                cached_input_tokens=facts.cached_input_tokens,
            )  # fmt: skip
            if cost is not None:
                self._span.set_attribute(COST, cost)

    def _end_span(self, error: BaseException | None) -> None:
        span, facts = self._span, self._facts
        known = {
            "gen_ai.response.model": facts.model,
            "gen_ai.response.id": facts.id,
            "gen_ai.response.finish_reasons": facts.finish_reasons or None,
            "gen_ai.usage.input_tokens": facts.input_tokens,
            "gen_ai.usage.output_tokens": facts.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": facts.cached_input_tokens or None,
            "gen_ai.response.time_to_first_chunk": self._first_chunk,
            "error.type": self._error,
        }
        span.set_attributes({name: value for name, value in known.items() if value is not None})
        if isinstance(error, Exception):
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, description(error)))
        elif self._error is not None:
            span.set_status(Status(StatusCode.ERROR, self._error))
        span.end()


def add_cost(
    provider: str, model: str, operation: str, *, response_model: str | None = None,
    input_tokens: int = 0, output_tokens: int = 0, cached_input_tokens: int = 0, is_call: bool = True,
) -> float | None:  # fmt: skip
    """Count the cost of tokens; None without a price table, and for a model that it lacks, which is logged once.

    `is_call` is False for the rest of the tokens of a call, so that a call without a price is counted once.
    The label `operation` is the enclosing `operation()` of the application; without one the route of the request; and
    outside of both the operation of the call.
    """
    table = _state.prices
    if table is None:
        return None
    price = table.price(provider, model, response_model)
    if price is None:
        if is_call:
            ai_unpriced_calls.add(provider=provider, model=model)
        log_once(
            f"price {provider} {model}",
            "AI model %s of %s has no price: its cost is not counted. Add it to the file of BLOGAUTO_OTEL_AI_PRICES",
            model, provider,
        )  # fmt: skip
        return None
    cost = price.cost(input_tokens=input_tokens, output_tokens=output_tokens, cached_input_tokens=cached_input_tokens)
    caused_by = current_operation() or SCOPE.get().current_route() or operation
    ai_cost.add(cost, provider=provider, model=model, operation=caused_by, currency=table.currency)
    return cost


def _error_type(error: BaseException) -> str:
    """The status of the response where the exception or its cause has one, as those of clients do; else the class."""
    for one in (error, error.__cause__):
        status = _http_status(one)
        if status is not None:
            return status
    return type_name(type(error))


def _http_status(error: object) -> str | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and FIRST_ERROR <= status <= LAST_ERROR:
                return str(status)
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class _State:
    """Prices, whether content is recorded, and the instruments of the current providers."""

    def __init__(self) -> None:
        self.prices: PriceTable | None = None
        self.has_content = False
        self._tracer: tuple[object, trace.Tracer] = (None, trace.NoOpTracer())
        self._instruments: tuple[object, dict[str, metrics.Histogram]] = (None, {})

    def reset(self) -> None:
        """Before `configure`."""
        self.prices, self.has_content = None, False

    def tracer(self) -> trace.Tracer:
        provider = trace.get_tracer_provider()
        if provider is not self._tracer[0]:
            self._tracer = (provider, provider.get_tracer(semconv.SCOPE_AI))
        return self._tracer[1]

    def record(self, name: str, value: float, attributes: Mapping[str, AttributeValue]) -> None:
        provider = metrics.get_meter_provider()
        if provider is not self._instruments[0]:
            self._instruments = (provider, _create_histograms(provider.get_meter(semconv.SCOPE_AI)))
        self._instruments[1][name].record(value, attributes)


def _create_histograms(meter: metrics.Meter) -> dict[str, metrics.Histogram]:
    return {
        spec.name: meter.create_histogram(
            spec.name,
            unit=spec.unit,
            description=spec.description,
            explicit_bucket_boundaries_advisory=list(spec.boundaries),
        )
        for spec in conventions.METRICS
        if spec.domain == "ai"
    }


_state: Final = register(_State())


def use(*, prices: PriceTable | None, content: bool) -> None:
    """Set the prices, and whether prompts and answers are recorded; `configure` does it from the settings."""
    _state.prices, _state.has_content = prices, content
