"""The body of a log record that is a map or a list is exported as one; the console line prints it as text."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry import _logs
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from blogauto_otel import redaction
from blogauto_otel.api.formatting import TextFormatter
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import TextLimits
from blogauto_otel.testing import capture_telemetry


@pytest.mark.parametrize("door", ["standard library", "OpenTelemetry"])
def test_a_map_leaves_as_a_map_without_its_secrets(door: str) -> None:
    body: dict[str, Any] = {"order": 7, "password": "hunter2", "items": ["a", {"b": True}]}
    with capture_telemetry() as telemetry:
        if door == "OpenTelemetry":
            _logs.get_logger("shop").emit(body=body)
        else:
            logging.getLogger("shop").warning(body)
    encoder = Encoder(redaction.build_redactor(telemetry.handle.settings), TextLimits())
    [record] = telemetry.logs
    [sent] = ScopeLogs.FromString(encoder.log_record(record.log_record)).log_records
    values = {pair.key: pair.value for pair in sent.body.kvlist_value.values}
    assert values["order"].int_value == 7
    assert values["password"].string_value.startswith("[redacted")
    assert values["items"].array_value.values[1].kvlist_value.values[0].key == "b"


def test_the_line_on_the_console_is_text_without_secrets() -> None:
    record = logging.makeLogRecord({"name": "shop", "msg": {"order": 7, "password": "hunter2"}})
    line = TextFormatter(redact=redaction.Redactor()).format(record)
    assert "'order': 7" in line
    assert "hunter2" not in line
