"""Instrumentation scopes: without secrets, and as bytes, encoded once each because they stand beside every item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from blogauto_otel.otlp.encoder import encode_scope
from blogauto_otel.otlp.values import ValueRedactor

_REMEMBERED: Final = 1024


def cleaned(
    redactor: ValueRedactor, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that describe a scope or an instrument, without secrets: texts and attributes.

    They are cleaned as they come in, because everybody has them from there: OTLP, `/metrics` and whoever else reads.
    """
    return [_clean(redactor, given) for given in args], {key: _clean(redactor, given) for key, given in kwargs.items()}


def _clean(redactor: ValueRedactor, given: object) -> object:
    if isinstance(given, Mapping):
        attributes = redactor.value("", given)
        return attributes if isinstance(attributes, Mapping) else {}
    return redactor.value("", given) if isinstance(given, str) else given


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
