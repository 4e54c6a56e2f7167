"""Nodes of a declarative configuration file: the variable that each stands for, and how its value becomes text."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Final

from blogauto_otel.config import parsers
from blogauto_otel.config.settings import PREFIX

MAX_MILLISECONDS: Final = 600_000  # stands for 0, which means no limit in a file


# --- values ----------------------------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """A scalar, or a list of scalars, as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(text_of, value))
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError("expected a value, not a mapping")


def _milliseconds(value: Any) -> str:
    return str(MAX_MILLISECONDS) if _is_zero(value) else text_of(value)


def _otlp_timeout(value: Any) -> str:
    """Milliseconds, as `OTEL_EXPORTER_OTLP_TIMEOUT` is read: below 100 it holds seconds."""
    if isinstance(value, (int, float)) and 0 < value < 100:
        return f"{value / 1000:g}"
    return _milliseconds(value)


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _severity(value: Any) -> str:
    return re.sub(r"\d$", "", text_of(value))


def _without_underscores(value: Any) -> str:
    return text_of(value).replace("_", "")


def _pairs(value: Any) -> str:
    """A list of `name` and `value`, as a variable holds it."""
    return ",".join(
        f"{item['name']}={urllib.parse.quote(text_of(item['value']), safe='')}"
        for item in value
        if item["value"] is not None
    )


def _keys(value: Any) -> str:
    """A list of mappings with one key each."""
    return ",".join(key for item in value for key in item)


def _detectors(value: Any) -> str:
    return ",".join(key for item in value for key in item if key != "service")  # its attributes are always set


def _id_generator(value: Any) -> str:
    [name] = value
    return str(name)


# --- what each node stands for ---------------------------------------------------------------------------------------

Convert = Callable[[Any], str]

PROVIDERS: Final = {"traces": "tracer_provider", "metrics": "meter_provider", "logs": "logger_provider"}


def _exporter_nodes() -> dict[str, tuple[str, str]]:
    """The signal and the kind of each exporter node."""
    nodes = {
        f"{PROVIDERS[signal]}.processors.{processor}.exporter.{kind}": (signal, kind)
        for signal in ("traces", "logs")
        for processor in ("batch", "simple")
        for kind in ("otlp_http", "otlp_grpc", "console")
    }
    for kind in ("otlp_http", "otlp_grpc", "console"):
        nodes[f"meter_provider.readers.periodic.exporter.{kind}"] = ("metrics", kind)
    nodes["meter_provider.readers.pull.exporter.prometheus/development"] = ("metrics", "prometheus")
    return nodes


EXPORTERS: Final = _exporter_nodes()
_OF_OTLP: Final[Mapping[str, tuple[str, Convert]]] = {
    "endpoint": ("ENDPOINT", text_of),
    "headers_list": ("HEADERS", text_of),
    "headers": ("HEADERS", _pairs),
    "compression": ("COMPRESSION", text_of),
    "timeout": ("TIMEOUT", _otlp_timeout),
    "tls.ca_file": ("CERTIFICATE", text_of),
    "tls.cert_file": ("CLIENT_CERTIFICATE", text_of),
    "tls.key_file": ("CLIENT_KEY", text_of),
}
_OF_OTLP_METRICS: Final[Mapping[str, tuple[str, Convert]]] = {
    "temporality_preference": ("TEMPORALITY_PREFERENCE", _without_underscores),
    "default_histogram_aggregation": ("DEFAULT_HISTOGRAM_AGGREGATION", text_of),
}
_OF_BATCHES: Final[Mapping[str, tuple[str, Convert]]] = {
    "schedule_delay": ("SCHEDULE_DELAY", text_of),
    "export_timeout": ("EXPORT_TIMEOUT", _milliseconds),
    "max_queue_size": ("MAX_QUEUE_SIZE", text_of),
    "max_export_batch_size": ("MAX_EXPORT_BATCH_SIZE", text_of),
}
_HTTP_SERVER: Final = "instrumentation/development.general.http.server"
_CAPTURE: Final = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER"


def _variables() -> dict[str, tuple[str, Convert]]:
    """The variable of each node that holds a value."""
    found: dict[str, tuple[str, Convert]] = {
        "disabled": ("OTEL_SDK_DISABLED", text_of),
        "log_level": ("OTEL_LOG_LEVEL", _severity),
        "resource.attributes_list": ("OTEL_RESOURCE_ATTRIBUTES", text_of),
        "resource.detection/development.detectors": ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", _detectors),
        "propagator.composite": ("OTEL_PROPAGATORS", _keys),
        "propagator.composite_list": ("OTEL_PROPAGATORS", text_of),
        "attribute_limits.attribute_value_length_limit": ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", text_of),
        "attribute_limits.attribute_count_limit": ("OTEL_ATTRIBUTE_COUNT_LIMIT", text_of),
        "tracer_provider.limits.attribute_value_length_limit": ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", text_of),
        "tracer_provider.limits.attribute_count_limit": ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", text_of),
        "tracer_provider.limits.event_count_limit": ("OTEL_SPAN_EVENT_COUNT_LIMIT", text_of),
        "tracer_provider.limits.link_count_limit": ("OTEL_SPAN_LINK_COUNT_LIMIT", text_of),
        "tracer_provider.limits.event_attribute_count_limit": ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", text_of),
        "tracer_provider.limits.link_attribute_count_limit": ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", text_of),
        "tracer_provider.id_generator": ("OTEL_PYTHON_ID_GENERATOR", _id_generator),
        "logger_provider.limits.attribute_value_length_limit": ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", text_of),
        "logger_provider.limits.attribute_count_limit": ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", text_of),
        "meter_provider.exemplar_filter": ("OTEL_METRICS_EXEMPLAR_FILTER", text_of),
        "meter_provider.readers.periodic.interval": ("OTEL_METRIC_EXPORT_INTERVAL", text_of),
        "meter_provider.readers.periodic.timeout": ("OTEL_METRIC_EXPORT_TIMEOUT", _milliseconds),
        "meter_provider.readers.periodic.cardinality_limits.default": (PREFIX + "SERIES_LIMIT", text_of),
        f"{_HTTP_SERVER}.request_captured_headers": (f"{_CAPTURE}_REQUEST", text_of),
        f"{_HTTP_SERVER}.response_captured_headers": (f"{_CAPTURE}_RESPONSE", text_of),
        f"{_HTTP_SERVER}.known_methods": ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", text_of),
    }
    for provider, prefix in (("tracer_provider", "OTEL_BSP"), ("logger_provider", "OTEL_BLRP")):
        for name, (suffix, convert) in _OF_BATCHES.items():
            found[f"{provider}.processors.batch.{name}"] = (f"{prefix}_{suffix}", convert)
    for node, (signal, kind) in EXPORTERS.items():
        prefix = f"OTEL_EXPORTER_OTLP_{signal.upper()}"
        if kind.startswith("otlp"):
            of_signal = {**_OF_OTLP, **_OF_OTLP_METRICS} if signal == "metrics" else _OF_OTLP
            found.update({f"{node}.{name}": (f"{prefix}_{end}", convert) for name, (end, convert) in of_signal.items()})
        if kind == "otlp_grpc":
            found[f"{node}.tls.insecure"] = (f"{prefix}_INSECURE", text_of)
        if kind == "prometheus":
            found[f"{node}.host"] = ("OTEL_EXPORTER_PROMETHEUS_HOST", text_of)
            found[f"{node}.port"] = ("OTEL_EXPORTER_PROMETHEUS_PORT", text_of)
    return found


VARIABLES: Final = _variables()
LOW_PRIORITY: Final = ("headers_list", "attributes_list", "composite_list")  # a list of the same kind wins over these

# Samplers whose decision does not depend on the parent, and the name of each with a parent.
SAMPLERS: Final[Mapping[str, str]] = {
    "always_on": "always_on",
    "always_off": "always_off",
    "trace_id_ratio_based": "traceidratio",
    "probability": "traceidratio",  # of a composite sampler; it compares the same bits of the trace id
    "probability/development": "traceidratio",
}
COMPOSITE: Final = "composite/development"
FOLLOW_PARENT: Final = ("parent_based", "parent_threshold")  # with a sampler for roots
DEFAULT_DELEGATES: Final[Mapping[str, str]] = {
    "remote_parent_sampled": "always_on",
    "remote_parent_not_sampled": "always_off",
    "local_parent_sampled": "always_on",
    "local_parent_not_sampled": "always_off",
}


# --- typed values -----------------------------------------------------------------------------------------------------

_CASTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": text_of,
    "bool": lambda value: parsers.flag(text_of(value)),
    "int": int,
    "double": float,
}


def typed(value: Any, kind: str | None) -> Any:
    """The value of an attribute, of the type that the file names."""
    if kind is None or value is None:
        return value if isinstance(value, (str, int, float, list)) or value is None else str(value)
    cast = _CASTS[kind.removesuffix("_array")]
    return [cast(item) for item in value] if kind.endswith("_array") else cast(value)
