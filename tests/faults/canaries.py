"""Canaries: secrets in common formats, each with a harmless marker beside it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

SEED: Final = "CANARIES"  # the variable that passes the seed to the application

_TRACES, _LOGS, _METRICS, _CONSOLE, _PAGE, _STATUS = "traces", "logs", "metrics", "console", "page", "status"
_RECORD: Final = (_LOGS, _CONSOLE)
_NOT_EXPORTED: Final = ()

# The outputs in which the marker of each place must appear, so that a leaked secret would too.
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    # requests
    "header authorization": _NOT_EXPORTED,
    "header proxy-authorization": _NOT_EXPORTED,
    "header cookie": _NOT_EXPORTED,
    "header x-api-key": _NOT_EXPORTED,
    "header of an odd name": _NOT_EXPORTED,
    "header user-agent": (_TRACES,),
    "header referer": _NOT_EXPORTED,
    "header host": (_TRACES,),
    "header x-forwarded-for": (_TRACES,),
    "header x-request-id": (_TRACES, *_RECORD),
    "header baggage": _NOT_EXPORTED,
    "header tracestate": (_TRACES,),
    "query by key": (_TRACES, *_RECORD),
    "query by shape": (_TRACES, *_RECORD),
    "query encoded twice": (_TRACES, *_RECORD),
    "path": (_TRACES, *_RECORD),
    "path that nobody answers": (_TRACES,),
    "path parameter": (_TRACES, *_RECORD),
    "method": (_TRACES, *_RECORD),
    "websocket path": (_TRACES, *_RECORD),
    "websocket query": (_TRACES, *_RECORD),
    "websocket protocol": _NOT_EXPORTED,
    "form": (_TRACES, *_RECORD),
    "json": (_TRACES, *_RECORD),
    "multipart": (_TRACES, *_RECORD),
    # responses
    "header set-cookie": _NOT_EXPORTED,
    "header location": _NOT_EXPORTED,
    # SQL
    "sql parameter": (_TRACES, *_RECORD),
    "sql literal": (_TRACES,),
    "sql echo": _RECORD,
    "sql literal in an error": (_TRACES, *_RECORD),
    "sql literal without a name": (_TRACES, *_RECORD),
    "sql dsn": (_TRACES, *_RECORD),
    # outgoing requests
    "client url": (_TRACES, *_RECORD),
    "client userinfo": (_TRACES, *_RECORD),
    # logs
    "log message": _RECORD,
    "log argument": _RECORD,
    "log arguments by name": _RECORD,
    "log extra": _RECORD,
    "log extra by key": _NOT_EXPORTED,
    "log extra name": _RECORD,
    "log extra nested": _RECORD,
    "log extra nested name": _RECORD,
    "log extra name beside": _RECORD,
    "log extra row": _RECORD,
    "log extra list": _RECORD,
    "log extra bytes": _RECORD,
    "log extra object": _RECORD,
    "log extra headers": _RECORD,
    "log headers": _RECORD,
    "log command line": _RECORD,
    "log element": _RECORD,
    "log event name": _RECORD,
    "log card": _RECORD,
    "log logger": _RECORD,
    "log stack": (_CONSOLE,),
    "log environment": _RECORD,
    "log settings": _NOT_EXPORTED,
    "log exception as the message": _RECORD,
    "log map as the message": _RECORD,
    "log traceback as the message": _RECORD,
    "log misfit": _RECORD,
    "log misfit extra": _RECORD,
    "log of a client": _RECORD,
    "log when stdout is full": _RECORD,
    "log of a handler": _RECORD,
    "exception": (_TRACES, *_RECORD),
    "exception note": (_TRACES, *_RECORD),
    "exception cause": (_TRACES, *_RECORD),
    "exception context": (_TRACES, *_RECORD),
    "exception in a group": (_TRACES, *_RECORD),
    "exception source line": (_TRACES, *_RECORD),
    "exception local": _NOT_EXPORTED,
    "warning": _RECORD,
    "task never awaited": _RECORD,
    "callback": _RECORD,
    # the telemetry API
    "span name": (_TRACES,),
    "span attribute": (_TRACES,),
    "span attribute by key": _NOT_EXPORTED,
    "span attribute list": (_TRACES,),
    "span attribute name": (_TRACES,),
    "span event": (_TRACES,),
    "span event attribute": (_TRACES,),
    "span link attribute": (_TRACES,),
    "span status": (_TRACES,),
    "span scope name": (_TRACES,),
    "span scope version": (_TRACES,),
    "span scope attribute": (_TRACES,),
    "span scope attribute by key": _NOT_EXPORTED,
    "span scope schema": (_TRACES,),
    "log record scope attribute": (_LOGS,),
    "baggage": _NOT_EXPORTED,
    "bound": (_TRACES, *_RECORD),
    "bound by key": _NOT_EXPORTED,
    "operation": (_TRACES,),
    "operation attribute": (_TRACES,),
    "metric attribute": (_METRICS, _PAGE),
    "metric attribute by key": _NOT_EXPORTED,
    "metric attribute name": (_METRICS, _PAGE),
    "metric description": (_METRICS, _PAGE),
    "metric scope attribute": (_METRICS,),
    # configuration
    "start": _NOT_EXPORTED,
    "resource attribute": (_TRACES, _LOGS, _METRICS, _PAGE),
    "resource attribute by key": _NOT_EXPORTED,
    "misfit": (_TRACES, *_RECORD),
    "otlp header": _NOT_EXPORTED,
    "otlp endpoint": _NOT_EXPORTED,
    "otlp query": _NOT_EXPORTED,
    "metrics token": _NOT_EXPORTED,
    "setting that is none": (_CONSOLE, _STATUS),
    "answer of the collector": (_CONSOLE, _STATUS),
}

FORMATS: Final[tuple[Callable[[str], str], ...]] = (
    lambda secret: f"Bearer {secret}",
    lambda secret: f"sk_live_{secret}",
    lambda secret: f"eyJhbGciOiJIUzI1NiJ9.eyJ{secret}.{secret}",
    lambda secret: f"ghp_{secret}",
    lambda secret: f"postgresql://blog:{secret}@db:5432/blog",
    lambda secret: f"https://api.test/v1?page=2&api_key={secret}",
    lambda secret: f"client_secret='{secret}'",
    lambda secret: f'{{"user": "bob", "password": "{secret}"}}',
)


class Canaries:
    """The canaries of all places.

    Args:
        seed: Random text from which every canary is derived.
    """

    def __init__(self, seed: str) -> None:
        self.seed = seed

    def secret(self, place: str) -> str:
        """The random part of a secret: what the search looks for."""
        return self._random("secret", place)[:26]

    def marker(self, place: str) -> str:
        """The harmless marker."""
        return f"mark{self._random('marker', place)[:16]}"

    def _random(self, what: str, place: str) -> str:
        assert place in PLACES, place
        return hashlib.sha256(f"{self.seed} {what} {place}".encode()).hexdigest()

    def card(self, place: str) -> str:
        """A card number with a valid check digit."""
        digits = "4" + str(int(self.secret(place), 16))[:14]
        doubled = (sum(divmod(2 * int(d), 10)) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(digits)))
        return f"{digits}{-sum(doubled) % 10}"

    def in_text(self, place: str) -> str:
        """The secret in a common format, and the marker."""
        format_secret = FORMATS[zlib.crc32(place.encode()) % len(FORMATS)]
        return f"{format_secret(self.secret(place))} {self.marker(place)}"

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Each place with its secrets."""
        for place in PLACES:
            yield place, self.secret(place)
            yield place, self.card(place)
