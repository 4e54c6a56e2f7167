"""What is taken from the headers of a request: its id, and the trace context and baggage that it brings."""

from __future__ import annotations

import re
import urllib.parse
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, get_current_span

from blogauto_otel._guard import guard
from blogauto_otel.config import Settings
from blogauto_otel.instrumentation.server.peers import Peers
from blogauto_otel.instrumentation.server.types import Scope

REQUEST_ID: Final = b"x-request-id"
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")

# Incoming baggage goes into every outgoing call, where a long header is refused (431).
MAX_BAGGAGE_BYTES: Final = 1024


# The context of a request, None when it brings none, and links to the trace of a sender that is not trusted.
Brought: TypeAlias = tuple[Context | None, tuple[Link, ...]]
NOTHING: Final[Brought] = (None, ())


class Headers:
    """Reads request ids and trace context with one look at the headers."""

    def __init__(self, settings: Settings) -> None:
        self._peers = Peers(settings.trust_incoming)
        self._context_names = frozenset(name.lower().encode() for name in propagate.get_global_textmap().fields)
        self._takes_ids = settings.incoming_request_id
        self._baggage_keys = frozenset(settings.baggage_keys)

    def read(self, scope: Scope) -> tuple[bytes, Brought]:
        """The request's id, taken over when well-formed and made up otherwise, and what it brings of a trace."""
        request_id = None
        brings_context = False
        names = self._context_names
        headers = scope["headers"]
        if type(headers) is not list:  # any iterable will do, also one that can be read only once
            headers = scope["headers"] = list(headers)
        for name, value in headers:
            if name in names:
                brings_context = True
            elif name == REQUEST_ID and request_id is None and self._takes_ids and _WELL_FORMED.fullmatch(value):
                request_id = value
        brought = NOTHING
        if brings_context:
            with guard("reading the trace context of a request"):
                brought = self._extract(scope.get("client"), headers)
        return request_id or uuid.uuid4().hex.encode("ascii"), brought

    def _extract(self, client: Any, headers: list[tuple[bytes, bytes]]) -> Brought:
        carrier = _carrier(headers)
        if self._peers.trust(client, headers):
            return self._bound_baggage(propagate.extract(carrier, otel_context.get_current())), ()
        theirs = get_current_span(propagate.extract(carrier, Context())).get_span_context()
        # Without their trace state, which may be long; our ids, our sampling, none of their baggage.
        link = SpanContext(theirs.trace_id, theirs.span_id, is_remote=True, trace_flags=theirs.trace_flags)
        return None, (Link(link),) if theirs.is_valid else ()

    def _bound_baggage(self, context: Context) -> Context:
        """The context with the allowed entries of its baggage, as many of them as fit."""
        brought = baggage.get_all(context)
        if not brought:
            return context
        kept, left = {}, MAX_BAGGAGE_BYTES
        for key, value in brought.items():
            size = len(key) + len(urllib.parse.quote_plus(str(value))) + 2  # with `=` and `,`
            if size <= left and (key in self._baggage_keys or "*" in self._baggage_keys):
                kept[key] = value
                left -= size
        if len(kept) == len(brought):
            return context
        context = baggage.clear(context)
        for key, value in kept.items():
            context = baggage.set_baggage(key, value, context)
        return context


def _carrier(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The headers as the propagators want them; one that comes several times is one list (RFC 9110, section 5.3)."""
    carrier: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
    return carrier


def header(scope: Scope, wanted: bytes) -> str | None:
    """The first value of one header."""
    headers: Iterable[tuple[Any, Any]] = scope["headers"]
    for name, value in headers:
        if name == wanted:
            text: str = value.decode("latin-1")
            return text
    return None
