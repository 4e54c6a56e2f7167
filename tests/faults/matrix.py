"""The table of faults: one row, one test; its numbers are names, and have gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.faults import data, life_cycle, network


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
    Row(4, network.flapping, "70 % of requests answered 503", "all there within 30 s of the load"),
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

LIFE_CYCLE = (
    Row(18, life_cycle.terminated, "SIGTERM to uvicorn", "all finished items delivered, the last counts too"),
    Row(
        19,
        life_cycle.terminated_with_workers,
        "SIGTERM to uvicorn and gunicorn with workers, preloaded or not",
        "the same of each worker",
    ),
    Row(
        20,
        life_cycle.terminated_while_the_collector_is_dead,
        "SIGTERM while the Collector is dead",
        "everything on disk; delivered by the next start",
    ),
    Row(
        21,
        life_cycle.signalled_twice,
        "a second SIGTERM or SIGINT during the flush",
        "the end is no later; what is on disk is whole",
    ),
    Row(
        22,
        life_cycle.killed,
        "SIGKILL at a random moment",
        "what is older than the window is delivered or on disk, whole",
        at_length={"times": 50},
    ),
    Row(23, life_cycle.worker_timed_out, "gunicorn aborts a worker that hangs", "as with SIGKILL"),
    Row(24, life_cycle.request_in_flight, "SIGTERM while a request is in flight", "its span is delivered too"),
    Row(
        25,
        life_cycle.children_that_end,
        "children of multiprocessing that end, `os._exit`",
        "the former flush; of the latter what is older than the window",
    ),
    Row(
        26,
        life_cycle.forked,
        "fork before and after `configure`, fork of a fork",
        "each exports under an id of its own; a given id is kept, with a suffix",
    ),
    Row(
        29,
        life_cycle.forked_during_export,
        "forks while others record and export",
        "no child hangs, no connection is shared, nothing lost",
        at_length={"forks": 300},
    ),
    Row(30, life_cycle.workers_recycled, "gunicorn recycles workers (max-requests)", "nothing lost"),
    Row(31, life_cycle.configured_twice, "`configure` twice, uvicorn --reload, spawn", "one pipeline; nothing twice"),
    Row(
        32,
        life_cycle.too_early_and_too_late,
        "the API before `configure` and after `shutdown`",
        "nothing happens, nothing is raised",
    ),
    Row(33, life_cycle.no_threads, "no thread can be started", "delivered by the flush at the end; told once"),
    Row(
        34, life_cycle.no_descriptors_and_no_memory, "no file descriptors, no memory", "delivered when there are again"
    ),
    Row(35, life_cycle.output_gone, "stdout and stderr broken, closed, full", "nothing is raised, nothing floods"),
    Row(
        36,
        life_cycle.settings_that_cannot_be_used,
        "every variable with values that cannot be used",
        "the application starts; one line each",
    ),
    Row(
        37,
        life_cycle.instrumentation_refuses,
        "an instrumentation refuses the library's version",
        "the self-check says so; ours takes SQLAlchemy 2.1",
    ),
)

DATA = (
    Row(
        39,
        data.odd_names_and_times,
        "names of numbers and nothing, impossible times",
        "repaired, or that span is lost and counted; never its neighbours",
    ),
    Row(
        40,
        data.huge_values,
        "10 MB in an attribute, a message, a stack trace",
        "cut to 4 KiB (stack 16 KiB), and flagged",
    ),
    Row(
        41,
        data.hostile_objects,
        "cycles, 100,000 levels, a `__str__` that raises, recurses or logs",
        "`<unserialisable>`, within 1 ms",
    ),
    Row(
        43,
        data.bad_log_calls,
        "log calls with wrong arguments, extras and objects",
        "never raised; as the standard library",
    ),
    Row(
        44,
        data.idle_at_debug,
        "everything at DEBUG while the application is idle",
        "telemetry records nothing of its own sending",
        at_length={"seconds": 60.0},
    ),
    Row(
        45,
        data.chatty_exporter,
        "an exporter that logs 600 lines at each failure",
        "at most 10 lines a minute, of it and of us",
    ),
    Row(47, data.very_many_label_sets, "100,000 label sets", "2,000 and one for the rest; totals exact; below 24 MiB"),
    Row(48, data.very_many_visitors, "60 hosts, methods, missing pages, user agents", "no more series than routes"),
    Row(49, data.burst, "20,000 spans in one go", "nothing lost"),
    Row(
        50,
        data.full_of_large_items,
        "more items of 100 KB than memory and disk may hold",
        "bytes bounded; the oldest go, counted; begin and end told once",
    ),
    Row(
        52, data.base_exceptions, "SystemExit and KeyboardInterrupt out of callbacks and senders", "our threads live on"
    ),
    Row(54, data.streamed_after_sized, "a streamed answer after a sized one", "sizes are not mixed up"),
)

SECTIONS: Mapping[str, tuple[Row, ...]] = MappingProxyType(
    {"Collector and network": NETWORK, "Process life cycle": LIFE_CYCLE, "Data": DATA}
)
ROWS = tuple(sorted((row for rows in SECTIONS.values() for row in rows), key=lambda row: row.number))
