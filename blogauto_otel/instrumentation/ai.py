"""AI calls: the price table of the settings, and the meter provider for the instrumentations of AI packages.

`opentelemetry-instrumentation-openai-v2`, `-google-genai` and `-anthropic` record tokens, but no cost; and a call that
the application wraps in `ai_call` must not be measured twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.metrics import Histogram, Meter, MeterProvider
from opentelemetry.trace import Span, TracerProvider

from blogauto_otel._class_names import type_name
from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.api import ai, conventions
from blogauto_otel.config import warn_or_raise
from blogauto_otel.instrumentation import Context, Report, State

if TYPE_CHECKING:
    from blogauto_otel.api.ai_prices import PriceTable

NAME: Final = "ai"

# Entry points whose instrumentations follow the GenAI conventions.
ENTRY_POINTS: Final = frozenset({"openai", "google-genai", "anthropic"})

_MEASURED_BY_CALL: Final = frozenset(spec.name for spec in conventions.METRICS if spec.domain == "ai")
_TOKENS: Final = "gen_ai.client.token.usage"


def instrument(context: Context) -> Report:
    """Read the price table.

    Raises:
        ConfigurationError: only with `strict`: the file of prices cannot be used.
    """
    settings = context.settings
    prices: PriceTable | None = None
    if settings.ai_prices is not None:
        from blogauto_otel.api.ai_prices import read_prices  # only where there is a table

        try:
            prices = read_prices(Path(settings.ai_prices), settings.ai_currency)
        except ValueError as error:
            warn_or_raise(settings, f"BLOGAUTO_OTEL_AI_PRICES: {error}; the cost of AI calls is not counted")
            ai.use(prices=None, content=settings.ai_content)
            return Report(NAME, State.BROKEN, "the price table cannot be used")
    ai.use(prices=prices, content=settings.ai_content)
    return Report(NAME, State.ON, "no prices" if prices is None else _described(prices))


def uninstrument() -> None:
    """Count no cost any more."""
    ai.use(prices=None, content=False)
    _streams.reset()


def _described(prices: PriceTable) -> str:
    return f"{len(prices)} prices in {prices.currency}" + (f" of {prices.date}" if prices.date else "")


# --- for the instrumentations of AI packages -------------------------------------------------------------------------


def meter_provider_for(name: str, provider: MeterProvider) -> MeterProvider:
    """The meter provider for the instrumentation with this entry point name."""
    return AiMeterProvider(provider) if name in ENTRY_POINTS else provider


def tracer_provider_for(name: str, provider: TracerProvider) -> TracerProvider:
    """The tracer provider for it: one that exports nothing where the library makes spans itself, as `anthropic` does.

    The instrumentation measures only with a span that records.
    """
    if name != "anthropic" or not _traces_itself():
        return provider
    from opentelemetry.sdk.trace import TracerProvider as UnexportedTracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    return UnexportedTracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)


def _traces_itself() -> bool:
    try:
        return util.find_spec("anthropic._tracing") is not None
    except (ImportError, ValueError):
        return False


def count_streamed_tokens_once(name: str) -> None:
    """Correct an instrumentation that was switched on: `anthropic` 0.62 adds the output tokens of a stream's events up.

    Each event counts from the beginning. Another version that does not add up, or has no such function, stays as it is.
    """
    if name == "anthropic":
        with guard("correcting the tokens of Anthropic's streams"):
            _streams.correct(sys.modules[_STREAMING])


_STREAMING: Final = "opentelemetry.instrumentation.anthropic.streaming"
_PROCESS: Final = "_process_response_item"


class _Streams:
    """The function of the instrumentation that reads the events of a stream, replaced and restored."""

    def __init__(self) -> None:
        self._before: Callable[[Any, Any], None] | None = None
        self._module: ModuleType | None = None

    def correct(self, module: ModuleType) -> None:
        process = getattr(module, _PROCESS, None)
        if process is None or self._before is not None:
            return

        def process_once(item: Any, complete_response: Any) -> None:
            with guard("reading an event of an AI stream"):
                if (
                    item.type == "message_delta"
                    and item.usage
                    and "output_tokens" in complete_response.get("usage", {})
                ):
                    complete_response["usage"]["output_tokens"] = 0
            process(item, complete_response)

        self._module, self._before = module, process
        setattr(module, _PROCESS, process_once)

    def reset(self) -> None:
        if self._module is not None:
            setattr(self._module, _PROCESS, self._before)
        self._module = self._before = None


_streams: Final = register(_Streams())


class AiMeterProvider(MeterProvider):
    """A meter provider whose token histogram counts cost as well, and which measures nothing within `ai_call`."""

    def __init__(self, inner: MeterProvider) -> None:
        self._inner = inner

    def get_meter(self, *args: Any, **kwargs: Any) -> Meter:
        """See `MeterProvider`."""
        meter = self._inner.get_meter(*args, **kwargs)
        with guard("measuring AI calls"):
            return cast("Meter", _AiMeter(meter))
        return meter


class _AiMeter:
    """A meter that wraps the histograms of the GenAI conventions, and passes everything else on."""

    def __init__(self, inner: Meter) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_histogram(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        histogram = self._inner.create_histogram(name, *args, **kwargs)
        return _AiHistogram(histogram, name) if name in _MEASURED_BY_CALL else histogram


class _AiHistogram:
    """A histogram of the GenAI conventions."""

    def __init__(self, inner: Histogram, name: str) -> None:
        self._inner = inner
        self._counts_cost = name == _TOKENS

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def record(self, amount: float, attributes: Mapping[str, Any] | None = None, context: Any = None) -> None:
        """See `Histogram`."""
        with guard("measuring an AI call"):
            if otel_context.get_value(ai.IN_CALL, context):
                return
        complete = attributes or {}
        with guard("reading the attributes of an AI call"):
            complete = _completed(complete)
        self._inner.record(amount, complete, context)
        if self._counts_cost:
            with guard("counting the cost of an AI call"):
                cost = _add_cost(int(amount), complete)
                if cost is not None:
                    _add_to_span(cost, trace.get_current_span(context))


def _completed(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the conventions' names of providers and errors, and with the attributes that an instrumentation leaves out.

    util-genai 1.1 gives the class of an error, google-genai 1.1 calls its provider `gemini`, and anthropic 0.62 names
    neither operation nor requested model.
    """
    found = dict(attributes)
    provider = str(found.get("gen_ai.provider.name") or found.pop("gen_ai.system", None) or "unknown")
    found["gen_ai.provider.name"] = ai.PROVIDERS.get(provider, provider)
    found.setdefault("gen_ai.operation.name", "chat")
    found.setdefault("gen_ai.request.model", found.get("gen_ai.response.model") or "unknown")
    error = found.get("error.type")
    if isinstance(error, type):
        found["error.type"] = type_name(error)
    return found


def _add_cost(tokens: int, attributes: Mapping[str, Any]) -> float | None:
    """Of input or output tokens alone: an instrumentation records one after the other."""
    kind = attributes.get("gen_ai.token.type")
    return ai.add_cost(
        attributes["gen_ai.provider.name"],
        str(attributes["gen_ai.request.model"]),
        str(attributes["gen_ai.operation.name"]),
        response_model=attributes.get("gen_ai.response.model"),
        input_tokens=tokens if kind == "input" else 0,
        output_tokens=tokens if kind in ("output", "completion") else 0,
        is_call=kind == "input",
    )


def _add_to_span(cost: float, span: Span) -> None:
    """Add a part of the cost to the span of the call, where the instrumentation measures before that ends."""
    known = getattr(span, "attributes", None) or {}
    if "gen_ai.request.model" in known:
        span.set_attribute(ai.COST, known.get(ai.COST, 0.0) + cost)
