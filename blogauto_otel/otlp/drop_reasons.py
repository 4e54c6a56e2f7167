"""Why items are lost, as `dropped` tells them apart; refusals by the receiver add `http_<status>` and `grpc_<code>`."""

from __future__ import annotations

from typing import Final

QUEUE_FULL: Final = "queue_full"  # accepted, and pushed out by newer items
SHUTDOWN: Final = "shutdown"  # accepted, and not delivered within the time that the end of the process may take
REJECTED: Final = "rejected"  # delivered, and not taken (OTLP's partial success)
SUPERSEDED: Final = "superseded"  # metrics: a newer collection holds the same and more
TOO_LARGE: Final = "too_large"  # never accepted: larger than a request may be
AFTER_SHUTDOWN: Final = "after_shutdown"  # never accepted: it came when all was over
WITHHELD: Final = "withheld"  # never made: there were enough like it (Sentry's events)
UNSERIALISABLE: Final = "unserialisable"  # never accepted: it could not be encoded
SPOOL_FULL: Final = "spool_full"  # on disk, and pushed out by newer files
SPOOL_EXPIRED: Final = "spool_expired"  # on disk for longer than it may be
SPOOL_DAMAGED: Final = "spool_damaged"  # on disk, in a file that cannot be read
NESTED: Final = "nested"  # never made: a log record of a line whose record is being exported
