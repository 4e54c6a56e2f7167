"""Encodes metrics and their data points."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._guard import swallow
from blogauto_otel.otlp.plain_values import TextLimits, ValueRedactor
from blogauto_otel.otlp.protobuf import DOUBLE, FIXED64, LENGTH, U64, VARINT, message, tag, varint, zigzag
from blogauto_otel.otlp.values import ITEM, AttributeEncoder, NameEncoder, append_count, nanoseconds

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric

_MAX_METRIC: Final = 500_000  # bytes; a metric with more data points is split into several messages
_METRIC_NAME: Final = tag(1, LENGTH)
_METRIC_DESCRIPTION: Final = tag(2, LENGTH)
_METRIC_UNIT: Final = tag(3, LENGTH)
_POINT: Final = tag(1, LENGTH)
_TEMPORALITY: Final = tag(2, VARINT)
_MONOTONIC: Final = b"\x18\x01"
_START: Final = tag(2, FIXED64)
_TIME: Final = tag(3, FIXED64)
_AS_DOUBLE: Final = {"number": tag(4, FIXED64), "exemplar": tag(3, FIXED64)}
_AS_INT: Final = tag(6, FIXED64)
_S64: Final = struct.Struct("<q").pack


class PointEncoder:
    """Encodes metrics; the field number of attributes differs between kinds of points."""

    def __init__(self, redactor: ValueRedactor, limits: TextLimits) -> None:
        self._name = NameEncoder(_METRIC_NAME, redactor)
        self._description = NameEncoder(_METRIC_DESCRIPTION, redactor)
        self._unit = NameEncoder(_METRIC_UNIT, redactor)
        self._number_attributes = AttributeEncoder(7, redactor, limits)
        self._histogram_attributes = AttributeEncoder(9, redactor, limits)
        self._exponential_attributes = AttributeEncoder(1, redactor, limits)
        self._exemplar_attributes = AttributeEncoder(7, redactor, limits)
        # By class name: importing the SDK's point types would make this module slow to import.
        self._kinds: Mapping[str, tuple[bytes, Callable[[Any], bytes]]] = {
            "Gauge": (tag(5, LENGTH), self._number),
            "Sum": (tag(7, LENGTH), self._number),
            "Histogram": (tag(9, LENGTH), self._histogram),
            "ExponentialHistogram": (tag(10, LENGTH), self._exponential),
        }

    def metric(self, metric: Metric) -> Iterator[bytes]:
        """The metric as fields of ScopeMetrics: one, or several when it has very many data points."""
        head = self._name(metric.name)
        if metric.description:
            head += self._description(metric.description)
        if metric.unit:
            head += self._unit(metric.unit)
        data_tag, encode = self._kinds[type(metric.data).__name__]
        tail = _data_tail(metric.data)
        for points in _chunks(self._each(encode, metric.data.data_points)):
            yield message(ITEM, head + message(data_tag, b"".join(points) + tail))

    def _each(self, encode: Callable[[Any], bytes], points: Sequence[Any]) -> Iterator[bytes]:
        for point in points:
            try:
                yield message(_POINT, encode(point))
            except BaseException as error:
                if not swallow("encoding a data point", error):
                    raise

    def _number(self, point: Any) -> bytes:
        parts = [_times(point), _value(point.value, "number")]
        self._number_attributes.append(parts, point.attributes)
        self._exemplars(parts, tag(5, LENGTH), point)
        return b"".join(parts)

    def _histogram(self, point: Any) -> bytes:
        counts, bounds = point.bucket_counts, point.explicit_bounds
        parts = [
            _times(point),
            b"\x21" + U64(point.count) + b"\x29" + DOUBLE(point.sum),
            message(b"\x32", struct.pack(f"<{len(counts)}Q", *counts)),
            message(b"\x3a", struct.pack(f"<{len(bounds)}d", *bounds)),
        ]
        self._histogram_attributes.append(parts, point.attributes)
        self._exemplars(parts, tag(8, LENGTH), point)
        if point.min <= point.max:  # else nothing was recorded, or min and max are off
            parts.append(b"\x59" + DOUBLE(point.min) + b"\x61" + DOUBLE(point.max))
        return b"".join(parts)

    def _exponential(self, point: Any) -> bytes:
        parts = [
            _times(point),
            b"\x21" + U64(point.count) + b"\x29" + DOUBLE(point.sum),
            b"\x30" + zigzag(point.scale) + b"\x39" + U64(point.zero_count),
            *(
                message(tag_, _buckets(b))
                for tag_, b in ((b"\x42", point.positive), (b"\x4a", point.negative))
                if b.bucket_counts
            ),
        ]
        self._exponential_attributes.append(parts, point.attributes)
        self._exemplars(parts, tag(11, LENGTH), point)
        append_count(parts, b"\x50", point.flags)
        if point.min <= point.max:
            parts.append(b"\x61" + DOUBLE(point.min) + b"\x69" + DOUBLE(point.max))
        return b"".join(parts)

    def _exemplars(self, parts: list[bytes], tag_: bytes, point: Any) -> None:
        for exemplar in point.exemplars or ():
            inner = [b"\x11" + U64(nanoseconds(exemplar.time_unix_nano)), _value(exemplar.value, "exemplar")]
            if exemplar.trace_id is not None and exemplar.span_id is not None:
                inner.append(b"\x22\x08" + exemplar.span_id.to_bytes(8, "big"))
                inner.append(b"\x2a\x10" + exemplar.trace_id.to_bytes(16, "big"))
            self._exemplar_attributes.append(inner, exemplar.filtered_attributes)
            parts.append(message(tag_, b"".join(inner)))


def _data_tail(data: Any) -> bytes:
    temporality = getattr(data, "aggregation_temporality", None)
    tail = b"" if temporality is None else _TEMPORALITY + varint(int(temporality))
    return tail + _MONOTONIC if getattr(data, "is_monotonic", False) else tail


def _chunks(points: Iterator[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for point in points:
        if chunk and size + len(point) > _MAX_METRIC:
            yield chunk
            chunk, size = [], 0
        chunk.append(point)
        size += len(point)
    if chunk:
        yield chunk


def _times(point: Any) -> bytes:
    times = _TIME + U64(nanoseconds(point.time_unix_nano))
    return _START + U64(nanoseconds(point.start_time_unix_nano)) + times if point.start_time_unix_nano else times


def _value(value: Any, where: str) -> bytes:
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return _AS_INT + _S64(value)
    return _AS_DOUBLE[where] + DOUBLE(value)


def _buckets(buckets: Any) -> bytes:
    counts = b"".join(map(varint, buckets.bucket_counts))
    return b"\x08" + zigzag(buckets.offset) + message(b"\x12", counts)
