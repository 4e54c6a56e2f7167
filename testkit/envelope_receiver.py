"""A receiver of Sentry envelopes: records their items, and answers with errors on demand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testkit.receiver import Receiver

KEY = "c0ffee"


@dataclass(frozen=True)
class Item:
    """One item of an envelope (https://develop.sentry.dev/sdk/data-model/envelopes/)."""

    kind: str
    payload: Any


@dataclass(frozen=True)
class Event:
    """An event, with the fields that tests read."""

    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.data["event_id"])

    @property
    def trace_id(self) -> str:
        return str(self.data["contexts"]["trace"]["trace_id"])

    @property
    def span_id(self) -> str:
        return str(self.data["contexts"]["trace"]["span_id"])

    @property
    def exceptions(self) -> list[Mapping[str, Any]]:
        """The chain of exceptions, the outermost last."""
        return list(self.data.get("exception", {}).get("values", ()))

    @property
    def text(self) -> str:
        """Exceptions and message."""
        texts = [f"{one['type']}: {one['value']}" for one in self.exceptions]
        return " | ".join([*texts, self.data.get("logentry", {}).get("formatted", ""), self.data.get("message", "")])

    @property
    def handled(self) -> bool:
        return bool(self.exceptions[-1]["mechanism"]["handled"])


class EnvelopeReceiver(Receiver):
    """A receiver whose requests are read as envelopes."""

    def __enter__(self) -> EnvelopeReceiver:  # noqa: PYI034 - Self is not in typing before Python 3.11
        self.start()
        return self

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@127.0.0.1:{self.port}/42"

    @property
    def items(self) -> list[Item]:
        """The items of envelopes that were answered with 200, in order."""
        return [item for request in self.envelopes for item in _items(request.payload) if request.answered == 200]

    @property
    def events(self) -> list[Event]:
        return [Event(item.payload) for item in self.items if item.kind == "event"]

    @property
    def envelopes(self) -> list[Any]:
        """The requests, whatever the answer."""
        return [request for request in tuple(self.requests) if request.path.endswith("/envelope/")]

    @property
    def bytes(self) -> bytes:
        """Everything received, decompressed, with headers: to search for secrets."""
        return b"\n".join(
            json.dumps([request.path, dict(request.headers)]).encode() + request.payload for request in self.requests
        )


def _items(payload: bytes) -> Iterator[Item]:
    """Lines of JSON: the envelope's headers, then headers and payload of each item; a payload may hold newlines."""
    rest = payload.split(b"\n", 1)[1] if b"\n" in payload else b""
    while rest.strip():
        head, _, rest = rest.partition(b"\n")
        headers = json.loads(head)
        length = headers.get("length", len(rest.split(b"\n", 1)[0]))
        body, rest = rest[:length], rest[length + 1 :]
        unpacked = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        yield Item(headers["type"], unpacked if headers["type"] == "attachment" else json.loads(unpacked))
