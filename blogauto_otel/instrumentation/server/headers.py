"""Headers: the request id, trace context and baggage of a request, and headers recorded as span attributes."""

from __future__ import annotations

import os
import re
import struct
import urllib.parse
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_HEADER_TEMPLATE,
    HTTP_RESPONSE_HEADER_TEMPLATE,
)
from opentelemetry.trace import Link, SpanContext, get_current_span

from blogauto_otel import _process
from blogauto_otel._guard import swallow
from blogauto_otel.config import Settings
from blogauto_otel.instrumentation.server.peers import Peers
from blogauto_otel.redaction import Redactor

REQUEST_ID: Final = b"x-request-id"
SANITIZED: Final = "[redacted]"
WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")

# Incoming baggage goes into every outgoing call, where a long header is refused (431).
MAX_BAGGAGE_BYTES: Final = 1024


HeaderList: TypeAlias = Iterable[tuple[bytes, bytes]]
# The incoming trace context, None when there is none, and links to the trace of an untrusted sender.
Incoming: TypeAlias = tuple[Context | None, tuple[Link, ...]]
NO_CONTEXT: Final[Incoming] = (None, ())


class _Ids:
    """Random request ids, fetched by the kilobyte, because each call to the operating system takes a microsecond."""

    def __init__(self) -> None:
        self.ready: deque[bytes] = deque()

    def after_fork_in_child(self) -> None:
        """The parent uses those that were fetched before."""
        self.ready.clear()


_ids: Final = _process.register(_Ids())
_FETCHED: Final = 64  # ids at a time
_split: Final = struct.Struct("32s" * _FETCHED).unpack


def new_request_id() -> bytes:
    """32 hexadecimal digits."""
    while True:
        try:
            return _ids.ready.popleft()
        except IndexError:
            _ids.ready.extend(_split(os.urandom(16 * _FETCHED).hex().encode("ascii")))


class Headers:
    """Reads request ids and trace context; the caller has scanned the headers."""

    def __init__(self, settings: Settings) -> None:
        self._peers = Peers(settings.trust_incoming)
        self.context_names = frozenset(name.lower().encode() for name in propagate.get_global_textmap().fields)
        self.accepts_ids = settings.incoming_request_id
        self._baggage_keys = frozenset(settings.baggage_keys)

    def request_id(self, headers: HeaderList) -> bytes:
        """The first well-formed request id among the headers; a new one when there is none."""
        if self.accepts_ids:
            for name, value in headers:
                if name == REQUEST_ID and WELL_FORMED.fullmatch(value):
                    return bytes(value)
        return new_request_id()

    def incoming(self, client: Any, headers: list[tuple[bytes, bytes]]) -> Incoming:
        """The trace context of the sender."""
        try:
            return self._extract(client, headers)
        except BaseException as error:
            if not swallow("reading the trace context of a request", error):
                raise
            return NO_CONTEXT

    def _extract(self, client: Any, headers: list[tuple[bytes, bytes]]) -> Incoming:
        carrier = _carrier(headers)
        if self._peers.trust(client, headers):
            return self._bound_baggage(propagate.extract(carrier, otel_context.get_current())), ()
        sender = get_current_span(propagate.extract(carrier, Context())).get_span_context()
        # Without their trace state, which may be long; our ids, our sampling, none of their baggage.
        link = SpanContext(sender.trace_id, sender.span_id, is_remote=True, trace_flags=sender.trace_flags)
        return None, (Link(link),) if sender.is_valid else ()

    def _bound_baggage(self, context: Context) -> Context:
        """The context with the allowed entries of its baggage, up to `MAX_BAGGAGE_BYTES`."""
        incoming = baggage.get_all(context)
        if not incoming:
            return context
        allowed, free = {}, MAX_BAGGAGE_BYTES
        for key, value in incoming.items():
            size = len(key) + len(urllib.parse.quote_plus(str(value))) + 2  # with `=` and `,`
            if size <= free and (key in self._baggage_keys or "*" in self._baggage_keys):
                allowed[key] = value
                free -= size
        if len(allowed) == len(incoming):
            return context
        context = baggage.clear(context)
        for key, value in allowed.items():
            context = baggage.set_baggage(key, value, context)
        return context


class CapturedHeaders:
    """Headers recorded as span attributes, chosen by name or regular expression; secrets in them are redacted."""

    def __init__(self, settings: Settings, redactor: Redactor) -> None:
        self._redactor = redactor
        self._request = _pattern(getattr(settings, "capture_request_headers", ()))
        self._response = _pattern(getattr(settings, "capture_response_headers", ()))
        self._sanitized = _pattern(getattr(settings, "sanitize_headers", ()))
        self.is_on = self._request is not None or self._response is not None
        self.has_response = self._response is not None

    def attributes(self, request: HeaderList, response: HeaderList) -> dict[str, tuple[str, ...]]:
        """The attributes for the headers of a request and of its response."""
        found: dict[str, tuple[str, ...]] = {}
        for prefix, pattern, headers in (
            (HTTP_REQUEST_HEADER_TEMPLATE, self._request, request),
            (HTTP_RESPONSE_HEADER_TEMPLATE, self._response, response),
        ):
            if pattern is None:
                continue
            for raw_name, raw_value in headers:
                name = bytes(raw_name).decode("latin-1").lower()
                if pattern.fullmatch(name):
                    key = f"{prefix}.{name}"
                    found[key] = (*found.get(key, ()), self._value(name, bytes(raw_value).decode("latin-1")))
        return found

    def _value(self, name: str, value: str) -> str:
        if self._sanitized is not None and self._sanitized.fullmatch(name):
            return SANITIZED
        return str(self._redactor.value(name, value))


def _pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Names or regular expressions that match a whole name in any case."""
    joined = "|".join(f"(?:{name})" for name in names)
    return re.compile(joined, re.IGNORECASE) if joined else None


def _carrier(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The headers for the propagators; repeated ones are joined (RFC 9110, section 5.3)."""
    carrier: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
    return carrier
