"""The table of faults: one row, one test; its numbers are names, and have gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.faults import network
from tests.faults.lab import Lab


@dataclass(frozen=True)
class Row:
    """A fault, and what is promised under it beyond the rule that counts for all."""

    number: int
    play: Callable[..., None]
    fault: str
    promise: str
    at_length: Mapping[str, Any] = field(default_factory=dict)  # arguments of the form that takes minutes

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.number:02d}-{self.play.__name__.replace('_', '-')}"


NETWORK = (
    Row(
        1,
        network.refused_for_ever,
        "Collector refuses connections, at start and for ever",
        "the application starts; its data waits on disk, and arrives with the next start",
    ),
    Row(2, network.silent, "accepts connections and stays silent", "the same"),
    Row(
        3,
        network.down_then_up,
        "away for 60 s while the application runs",
        "nothing lost, order kept",
        at_length={"seconds": 60.0},
    ),
    Row(4, network.flapping, "70 % of requests answered 503", "all there within 10 s of the load"),
    Row(5, network.refused_for_good, "400, 401, 404, 413", "no retry; counted by code; one line a minute"),
    Row(6, network.asked_to_wait, "429 and 503 with Retry-After: 30", "honoured, by later batches too; meanwhile kept"),
    Row(
        7,
        network.retry_after_of_all_kinds,
        "Retry-After 0, negative, 1e9, in the past, no number",
        "kept between 0.5 s and 60 s",
    ),
    Row(9, network.partial_success, "partial success", "what was rejected is counted; its message told once"),
    Row(10, network.larger_than_the_limit, "6 MB at once, where 4 MiB are taken", "split by bytes, all delivered"),
    Row(11, network.huge_answers, "answers of 300 MB, gzip bombs", "read to 64 KiB and no further"),
    Row(
        13,
        network.broken_connections,
        "reset in the middle of a request; kept connections closed",
        "sent again over a fresh one; nothing twice that was acknowledged",
    ),
    Row(
        14,
        network.names_that_do_not_resolve,
        "the Collector's name does not resolve, or takes for ever to",
        "the start is not delayed",
    ),
    Row(
        15,
        network.tls_of_all_kinds,
        "a certificate of strangers, expired, missing, no certificate; plain text where TLS should be",
        "nothing is sent; told why; data waits on disk",
    ),
    Row(
        17,
        network.lost_acknowledgements,
        "taken, but the acknowledgement is lost",
        "at least once: sent again, and counted as a retry",
    ),
)

SECTIONS: Mapping[str, tuple[Row, ...]] = MappingProxyType({"Collector and network": NETWORK})
ROWS = tuple(sorted((row for rows in SECTIONS.values() for row in rows), key=lambda row: row.number))
