"""Instrumentation scopes as bytes: encoded once each, for a scope stands beside every item."""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from blogauto_otel.delivery.otlp import encode_scope

_REMEMBERED: Final = 1024


class Scopes:
    """Remembers by identity: a scope is hashed in Python, and a tracer or logger keeps one object for life."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[int, tuple[InstrumentationScope, bytes]] = {}

    def encoded(self, scope: InstrumentationScope | None) -> bytes:
        """The scope as `otlp.encode_scope` has it."""
        known = self._seen.get(id(scope))
        if known is not None and known[0] is scope:
            return known[1]
        return self._encode(scope)

    def _encode(self, scope: InstrumentationScope | None) -> bytes:
        encoded = encode_scope(scope)
        if scope is not None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[id(scope)] = (scope, encoded)
        return encoded
