"""The `OTEL_*` variables of the specification and of OpenTelemetry Python: obeyed, or named at start as not supported.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from types import MappingProxyType
from typing import Final

from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.config.settings import FIELDS, OTHER_VARIABLES, PREFIX, option_of

# Variables of the settings table, each with the field that reads it.
OF_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        variable: name
        for name in FIELDS
        for variable in (option_of(name).variable, option_of(name).fallback)
        if variable is not None
    }
)

_CLIENTS: Final = "Read by the client instrumentations that are installed."
_AI: Final = f"Read by the instrumentations of AI packages; prompts and answers leave with `{PREFIX}AI_CONTENT` only."
_PROVIDER: Final = "Read by the OpenTelemetry API; the provider that it names is used in place of ours."

AI_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

# Variables that take effect without a setting of ours.
READ_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OTEL_PYTHON_TRACER_PROVIDER": _PROVIDER,
        "OTEL_PYTHON_METER_PROVIDER": _PROVIDER,
        "OTEL_PYTHON_LOGGER_PROVIDER": _PROVIDER,
        "OTEL_PYTHON_CONTEXT": "Read by the OpenTelemetry API.",
        "OTEL_PYTHON_DISTRO": "Read by `opentelemetry-instrument`.",
        "OTEL_PYTHON_CONFIGURATOR": "Read by `opentelemetry-instrument`.",
        "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "Read by `opentelemetry-instrument`.",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": _CLIENTS,
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": _CLIENTS,
        "OTEL_PYTHON_HTTPX_EXCLUDED_URLS": _CLIENTS,
        "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": _CLIENTS,
        "OTEL_PYTHON_AIOHTTP_CLIENT_EXCLUDED_URLS": _CLIENTS,
        "OTEL_PYTHON_URLLIB3_EXCLUDED_URLS": _CLIENTS,
        AI_CONTENT: _AI,
        "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT": _AI,
        "OTEL_SEMCONV_STABILITY_OPT_IN": _CLIENTS + " Spans and metrics of ours follow the stable conventions.",
    }
)

_CONFIGURATOR: Final = "Disable a scope with `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`."
_CREDENTIALS: Final = "Use `OTEL_EXPORTER_OTLP_HEADERS` or client certificates."
_ZIPKIN: Final = "Send OTLP to a Collector with a Zipkin exporter."
_JAEGER: Final = "Send OTLP: Jaeger receives it."

# Variables without effect here, and what to do instead.
NOT_SUPPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OTEL_ENTITIES": "Use `OTEL_RESOURCE_ATTRIBUTES`.",
        "OTEL_EXPERIMENTAL_CONFIG_FILE": "Use `OTEL_CONFIG_FILE`.",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT": _ZIPKIN,
        "OTEL_EXPORTER_ZIPKIN_TIMEOUT": _ZIPKIN,
        "OTEL_EXPORTER_ZIPKIN_PROTOCOL": _ZIPKIN,
        "OTEL_EXPORTER_JAEGER_ENDPOINT": _JAEGER,
        "OTEL_EXPORTER_JAEGER_AGENT_HOST": _JAEGER,
        "OTEL_EXPORTER_JAEGER_AGENT_PORT": _JAEGER,
        "OTEL_EXPORTER_JAEGER_TIMEOUT": _JAEGER,
        "OTEL_EXPORTER_JAEGER_USER": _JAEGER,
        "OTEL_EXPORTER_JAEGER_PASSWORD": _JAEGER,
        # Of OpenTelemetry 1.39:
        "OTEL_EXPORTER_JAEGER_AGENT_SPLIT_OVERSIZED_BATCHES": _JAEGER,
        "OTEL_EXPORTER_JAEGER_CERTIFICATE": _JAEGER,
        "OTEL_EXPORTER_JAEGER_GRPC_INSECURE": _JAEGER,
        "OTEL_PYTHON_EVENT_LOGGER_PROVIDER": "Use `OTEL_PYTHON_LOGGER_PROVIDER`: events are log records.",
        "OTEL_EXPORTER_OTLP_SPAN_INSECURE": "Use `OTEL_EXPORTER_OTLP_TRACES_INSECURE`.",
        "OTEL_EXPORTER_OTLP_METRIC_INSECURE": "Use `OTEL_EXPORTER_OTLP_METRICS_INSECURE`.",
        "OTEL_PYTHON_TRACER_CONFIGURATOR": _CONFIGURATOR,
        "OTEL_PYTHON_METER_CONFIGURATOR": _CONFIGURATOR,
        "OTEL_PYTHON_LOGGER_CONFIGURATOR": _CONFIGURATOR,
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "Metrics of this SDK about itself are always recorded.",
        "OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES": "Status codes are retried as the specification says.",
        **{
            f"OTEL_PYTHON_EXPORTER_OTLP_{transport}_{signal}CREDENTIAL_PROVIDER": _CREDENTIALS
            for transport, signal in product(("HTTP", "GRPC"), ("", "TRACES_", "METRICS_", "LOGS_"))
        },
        "OTEL_PYTHON_LOG_FORMAT": f"Use `{PREFIX}CONSOLE`.",
        "OTEL_PYTHON_LOG_HANDLER_LEVEL": f"Use `{PREFIX}LOG_LEVEL`.",
        "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": f"Use `{PREFIX}LOGGING`.",
        "OTEL_PYTHON_LOG_CODE_ATTRIBUTES": "Log records have no `code.*` attributes.",
        "OTEL_PYTHON_STARLETTE_EXCLUDED_URLS": "Use `OTEL_PYTHON_EXCLUDED_URLS`.",
        "OTEL_PYTHON_ASGI_EXCLUDED_URLS": "Use `OTEL_PYTHON_EXCLUDED_URLS`.",
        "OTEL_PYTHON_FASTAPI_EXCLUDE_SPANS": "No spans are recorded for single ASGI messages.",
        "OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS": "Use `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.",
        "OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS": f"Use `{PREFIX}SYSTEM_METRICS`.",
    }
)

# How alike a name must be to count as misspelt: other packages have `OTEL_*` variables that nobody can list.
_ALIKE: Final = 0.9


def unsupported(environ: Mapping[str, str]) -> list[str]:
    """One message for all variables that are set and have no effect."""
    names = [name for name in NOT_SUPPORTED if environ.get(name, "").strip()]
    if not names:
        return []
    return [f"not supported and without effect: {', '.join(names)}; docs/settings.md lists what to use instead"]


def held_back(environ: Mapping[str, str], *, ai_content: bool) -> tuple[str, ...]:
    """A note where prompts and answers are recorded for nothing."""
    wanted = environ.get(AI_CONTENT, "").strip().lower() not in ("", "false", "no_content")
    return (f"{AI_CONTENT} has no effect without {PREFIX}AI_CONTENT=true",) if wanted and not ai_content else ()


def misspelt(environ: Iterable[str]) -> list[str]:
    """One message for each variable whose name is nearly one that has a meaning."""
    ours = {name.removeprefix(PREFIX) for name in OF_SETTINGS if name.startswith(PREFIX)}
    theirs = [name for name in (*OF_SETTINGS, *READ_ELSEWHERE, *NOT_SUPPORTED) if name.startswith("OTEL_")]
    problems = []
    for variable in sorted(environ):
        if variable in OF_SETTINGS or variable in READ_ELSEWHERE or variable in NOT_SUPPORTED:
            continue
        if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES:
            nearest = did_you_mean(variable.removeprefix(PREFIX), ours, prefix=PREFIX)
            problems.append(f"{variable} is not a setting{nearest}")
        elif variable.startswith("OTEL_") and not _MANY.fullmatch(variable):
            nearest = did_you_mean(variable, theirs, cutoff=_ALIKE)
            problems += [f"{variable} is not a variable of OpenTelemetry{nearest}"] if nearest else []
    return problems


# Each instrumentation of contrib has its own.
_MANY: Final = lazy_pattern(r"OTEL_PYTHON_[A-Z0-9_]+_EXCLUDED_URLS")


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "", cutoff: float = 0.6) -> str:
    """`; did you mean X?`, or nothing."""
    import difflib  # for a misspelt name only

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
