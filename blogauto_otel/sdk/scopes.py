"""Instrumentation scopes: redacted and bounded as they come in, and encoded once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from blogauto_otel._guard import log_once
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.otlp.encoder import encode_scope
from blogauto_otel.otlp.plain_values import ValueRedactor

MAX_SCOPES: Final = 1_000  # names of tracers, of loggers and of meters, each
MAX_NAME: Final = 256  # characters; instrument names end at 255
OTHER_SCOPE: Final = "_OTHER"


def redact_arguments(
    redactor: ValueRedactor, args: Sequence[Any], kwargs: Mapping[str, Any], *, longest: int | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that describe a scope or an instrument: texts and attributes without secrets, texts cut to length.

    They are redacted as they come in, because every reader has them from there: OTLP, `/metrics` and others.
    """
    return (
        [_redact(redactor, given, longest) for given in args],
        {key: _redact(redactor, given, longest) for key, given in kwargs.items()},
    )


def _redact(redactor: ValueRedactor, given: object, longest: int | None) -> object:
    if isinstance(given, Mapping):
        attributes = redactor.value("", given)
        return attributes if isinstance(attributes, Mapping) else {}
    if not isinstance(given, str):
        return given
    redacted = redactor.value("", given)
    return redacted[:longest] if isinstance(redacted, str) else redacted


class NameLimit:
    """The first `limit` names of a kind: an application that generates names must not fill its memory."""

    __slots__ = ("_kind", "_known", "_limit")

    def __init__(self, kind: str, limit: int = MAX_SCOPES) -> None:
        self._kind = kind
        self._limit = limit
        self._known: set[int] = set()

    def admits(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether what these arguments describe is among them."""
        key = hash((*map(str, args), *(f"{name}={given}" for name, given in sorted(kwargs.items()))))
        if key in self._known:
            return True
        if len(self._known) < self._limit:
            self._known.add(key)
            return True
        log_once(
            f"names of {self._kind}",
            "more than %d names of %s were used, such as %.80r; use a fixed set of names",
            self._limit, self._kind, args[0] if args else kwargs,
        )  # fmt: skip
        return False


class Scopes:
    """Encoded scopes, by identity: a scope is hashed in Python, and a tracer or logger keeps one object for life."""

    __slots__ = ("_encoded",)

    def __init__(self) -> None:
        self._encoded: BoundedMemo[int, tuple[InstrumentationScope, bytes]] = BoundedMemo(MAX_SCOPES)

    def encoded(self, scope: InstrumentationScope | None) -> bytes:
        """The scope as `otlp.encode_scope` has it."""
        known = self._encoded.get(id(scope))
        if known is not None and known[0] is scope:
            return known[1]
        encoded = encode_scope(scope)
        if scope is not None:
            self._encoded.remember(id(scope), (scope, encoded))
        return encoded
