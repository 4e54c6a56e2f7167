"""Names that an application makes up, of any length: bounded in spans, records, console lines and Sentry's events."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import ReadableLogRecord

from blogauto_otel.testing import capture_telemetry
from tests.sentry.conftest import Link

LONG = 20_000
MOST = 256


def made_up() -> Exception:
    kind: Any = type("E" * LONG, (Exception,), {"__module__": "m" * LONG})
    return kind("it failed")  # type: ignore[no-any-return]


def _attributes(record: ReadableLogRecord) -> Mapping[str, Any]:
    return record.log_record.attributes or {}


def test_the_class_of_an_exception(link: Link, log: logging.Logger) -> None:
    with link() as linked:
        tracer = trace.get_tracer("shop")
        with pytest.raises(Exception, match="it failed"), tracer.start_as_current_span("ended by it"):
            raise made_up()
        with tracer.start_as_current_span("recorded") as span:
            span.record_exception(made_up())
        try:
            raise made_up()
        except Exception:
            log.exception("reported")
        spans = linked.telemetry.spans
        types = [event.attributes["exception.type"] for span in spans for event in span.events]
        types += [_attributes(record)["exception.type"] for record in linked.telemetry.logs]
        assert [len(str(name)) for name in types] == [MOST] * 3
        assert all(len(span.status.description or "") < 2_000 for span in spans)
        (value,) = linked.event.exceptions
        assert len(value["type"]) == len(value["module"]) == MOST


def test_the_name_of_a_logger(link: Link) -> None:
    with link() as linked:
        logging.getLogger("l" * LONG).error("reported")
        (record,) = linked.telemetry.logs
        assert len(record.instrumentation_scope.name) == MOST
        assert len(linked.event.data["logger"]) == MOST


@pytest.mark.parametrize("console", ["json", "text"])
def test_a_line_of_the_console(console: Literal["json", "text"], capfd: pytest.CaptureFixture[str]) -> None:
    """In JSON the class has an entry of its own; in both, the traceback with it ends at the limit of tracebacks."""
    with capture_telemetry(console=console):
        try:
            raise made_up()
        except Exception:
            logging.getLogger("l" * LONG).exception("reported")
    printed = capfd.readouterr().err
    assert "reported" in printed
    assert len(printed) < 20_000
    if console == "json":
        line = json.loads(printed.splitlines()[-1])
        assert len(line["logger"]) == MOST
