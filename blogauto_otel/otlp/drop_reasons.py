"""Reasons why items are dropped; refusals by the receiver add `http_<status>` and `grpc_<code>`."""

from __future__ import annotations

from typing import Final

QUEUE_FULL: Final = "queue_full"  # accepted, then dropped for newer items
SHUTDOWN: Final = "shutdown"  # accepted, but not delivered before the shutdown timeout
REJECTED: Final = "rejected"  # delivered, but rejected by the receiver (OTLP partial success)
SUPERSEDED: Final = "superseded"  # metrics: replaced by a newer collection
TOO_LARGE: Final = "too_large"  # not accepted: larger than a request may be
AFTER_SHUTDOWN: Final = "after_shutdown"  # not accepted: recorded after shutdown
WITHHELD: Final = "withheld"  # not created: rate limited (Sentry events)
UNSERIALISABLE: Final = "unserialisable"  # not accepted: could not be encoded
SPOOL_FULL: Final = "spool_full"  # on disk, then dropped for newer files
SPOOL_EXPIRED: Final = "spool_expired"  # on disk for longer than the maximum age
SPOOL_DAMAGED: Final = "spool_damaged"  # on disk, in a file that cannot be read
NESTED: Final = "nested"  # not created: a log record that was emitted while another one was being exported
