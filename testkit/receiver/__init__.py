"""An OTLP/HTTP receiver: it shows what arrived, and answers with any fault on request.

with Receiver() as receiver:
    ...  # point OTEL_EXPORTER_OTLP_ENDPOINT at receiver.url
    receiver.wait_for(lambda r: len(r.spans) == 3)
    assert receiver.total("blogauto.api.requests", {"method": "GET"}) == 3

    receiver.answer(status(503, retry_after=1), times=2)   # the next two requests; then 200 again
    receiver.answer(silence())                             # every later request
    receiver.stop(); receiver.start()                      # a restart on the same port
"""

from testkit.receiver.answers import (
    Answer,
    closing,
    delay,
    drip,
    gzip_bomb,
    huge_body,
    lost_acknowledgement,
    ok,
    partial_success,
    raw,
    redirect,
    reset,
    silence,
    slow_reader,
    status,
)
from testkit.receiver.decoding import decode_logs, decode_points, decode_spans
from testkit.receiver.server import Receiver
from testkit.receiver.telemetry import Attributes, Event, Exemplar, Link, LogRecord, Point, Request, Span

__all__ = [
    "Answer",
    "Attributes",
    "Event",
    "Exemplar",
    "Link",
    "LogRecord",
    "Point",
    "Receiver",
    "Request",
    "Span",
    "closing",
    "decode_logs",
    "decode_points",
    "decode_spans",
    "delay",
    "drip",
    "gzip_bomb",
    "huge_body",
    "lost_acknowledgement",
    "ok",
    "partial_success",
    "raw",
    "redirect",
    "reset",
    "silence",
    "slow_reader",
    "status",
]
