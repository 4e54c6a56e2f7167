"""The protobuf wire format, compared with the official library, and with invalid bytes."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue, UInt64Value
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from blogauto_otel.errors import MalformedError
from blogauto_otel.export.transport import clamped, partial_success
from blogauto_otel.otlp import protobuf
from testkit.receiver import partial_success as rejecting

VARINT_1, LENGTH_1, VARINT_6 = (
    protobuf.tag(1, protobuf.VARINT),
    protobuf.tag(1, protobuf.LENGTH),
    protobuf.tag(6, protobuf.VARINT),
)


@given(st.integers(0, 2**64 - 1))
def test_whole_numbers(value: int) -> None:
    assert UInt64Value.FromString(VARINT_1 + protobuf.varint(value)).value == value
    assert list(protobuf.fields(VARINT_1 + protobuf.varint(value))) == [(1, value)]


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers(value: int) -> None:
    assert Int64Value.FromString(VARINT_1 + protobuf.varint(value)).value == value
    [(_, read)] = protobuf.fields(VARINT_1 + protobuf.varint(value))
    assert isinstance(read, int)
    assert protobuf.signed(read) == value


@given(st.integers(-(2**31), 2**31 - 1))
def test_zigzag_numbers(value: int) -> None:
    assert ExponentialHistogramDataPoint.FromString(VARINT_6 + protobuf.zigzag(value)).scale == value


@given(st.text(st.characters(codec="utf-8")))
def test_text(value: str) -> None:
    assert StringValue.FromString(protobuf.message(LENGTH_1, value.encode())).value == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        list(protobuf.fields(data))
    rejected, reason = partial_success(data)
    assert rejected >= 0
    assert isinstance(reason, str)


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\x08", b"\x08" + b"\xff" * 11, b"\x0b", b"\x0d\x01\x02"])
def test_truncated_or_unknown_fields_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        list(protobuf.fields(data))


def test_a_partial_success_is_read() -> None:
    body = rejecting(7, "too old").body
    assert isinstance(body, bytes)
    assert partial_success(body) == (7, "too old")
    assert partial_success(b"") == (0, "")
    assert partial_success(b'{"partialSuccess":{}}') == (0, "")


@pytest.mark.parametrize(
    ("asked", "waited"), [(0, 0.5), (-5, 0.5), (3, 3), (1e9, 60), (float("inf"), 60), (float("nan"), 0.5)]
)
def test_a_retry_delay_is_clamped(asked: float, waited: float) -> None:
    assert clamped(asked) == waited
