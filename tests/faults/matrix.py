"""The table of faults: one row, one test; its numbers are names, and have gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.faults import (
    data,
    disk,
    environment,
    life_cycle,
    network,
    output,
    runtime,
    security,
    sentry,
    signals,
    untrusted_clients,
)


@dataclass(frozen=True)
class Row:
    """A fault, and what is promised under it beyond the rule that counts for all."""

    number: int
    run: Callable[..., None]
    fault: str
    promise: str
    long_form: Mapping[str, Any] = field(default_factory=dict)  # arguments of the form that takes minutes

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.number:02d}-{self.run.__name__.replace('_', '-')}"


NETWORK = (
    Row(
        1,
        network.connection_refused,
        "Collector refuses connections, at start and for ever",
        "the application starts; its data waits on disk, and arrives with the next start",
    ),
    Row(2, network.no_answer, "accepts connections and stays silent", "the same"),
    Row(
        3,
        network.outage,
        "away for 60 s while the application runs",
        "nothing lost, order kept",
        long_form={"seconds": 60.0},
    ),
    Row(4, network.flapping, "70 % of requests answered 503", "all there within 10 s of the load"),
    Row(5, network.permanent_errors, "400, 401, 404, 413", "no retry; counted by code; one line a minute"),
    Row(
        6,
        network.retry_after_honoured,
        "429 and 503 with Retry-After: 30",
        "honoured, by later batches too; meanwhile kept",
    ),
    Row(
        7,
        network.unusual_retry_after,
        "Retry-After 0, negative, 1e9, in the past, no number",
        "kept between 0.5 s and 60 s",
    ),
    Row(9, network.partial_success, "partial success", "what was rejected is counted; its message told once"),
    Row(
        10,
        network.request_size_limit,
        "6 MB at once, where 4 MiB are taken",
        "split by bytes, all delivered, over HTTP and gRPC",
    ),
    Row(11, network.huge_responses, "answers of 300 MB, gzip bombs", "read to 64 KiB and no further"),
    Row(
        13,
        network.broken_connections,
        "reset in the middle of a request; kept connections closed",
        "sent again over a fresh one; nothing twice that was acknowledged",
    ),
    Row(
        14,
        network.dns_failure,
        "the Collector's name does not resolve, or takes for ever to",
        "the start is not delayed",
    ),
    Row(
        15,
        network.tls_errors,
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
    Row(18, life_cycle.sigterm, "SIGTERM to uvicorn", "all finished items delivered, the last counts too"),
    Row(
        19,
        life_cycle.sigterm_with_workers,
        "SIGTERM to uvicorn and gunicorn with workers, preloaded or not",
        "the same of each worker",
    ),
    Row(
        20,
        life_cycle.sigterm_without_collector,
        "SIGTERM while the Collector is dead",
        "everything on disk; delivered by the next start",
    ),
    Row(
        21,
        life_cycle.second_signal,
        "a second SIGTERM or SIGINT during the flush",
        "the end is no later; what is on disk is whole",
    ),
    Row(
        22,
        life_cycle.sigkill,
        "SIGKILL at a random moment",
        "what is older than the window is delivered or on disk, whole",
        long_form={"times": 50},
    ),
    Row(23, life_cycle.worker_timeout, "gunicorn aborts a worker that hangs", "as with SIGKILL"),
    Row(24, life_cycle.request_in_flight, "SIGTERM while a request is in flight", "its span is delivered too"),
    Row(
        25,
        life_cycle.multiprocessing_children,
        "children of multiprocessing that end, `os._exit`",
        "the former flush; of the latter what is older than the window",
    ),
    Row(
        26,
        life_cycle.fork_identity,
        "fork before and after `configure`, fork of a fork",
        "each exports under an id of its own; a given id is kept, with a suffix",
    ),
    Row(
        29,
        life_cycle.forks_during_export,
        "forks while others record and export",
        "no child hangs, no connection is shared, nothing lost",
        long_form={"forks": 300},
    ),
    Row(30, life_cycle.recycled_workers, "gunicorn recycles workers (max-requests)", "nothing lost"),
    Row(31, life_cycle.configured_twice, "`configure` twice, uvicorn --reload, spawn", "one pipeline; nothing twice"),
    Row(
        32,
        life_cycle.api_without_configure,
        "the API before `configure` and after `shutdown`",
        "nothing happens, nothing is raised",
    ),
    Row(33, life_cycle.no_threads, "no thread can be started", "delivered by the flush at the end; told once"),
    Row(34, life_cycle.exhausted_resources, "no file descriptors, no memory", "delivered when there are again"),
    Row(35, life_cycle.broken_output, "stdout and stderr broken, closed, full", "nothing is raised, nothing floods"),
    Row(
        36,
        life_cycle.invalid_settings,
        "every variable with values that cannot be used",
        "the application starts; one line each",
    ),
    Row(
        37,
        life_cycle.unsupported_version,
        "an instrumentation refuses the library's version",
        "the self-check says so; ours takes SQLAlchemy 2.1",
    ),
)

DATA = (
    Row(
        39,
        data.invalid_names_and_times,
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
        data.invalid_log_calls,
        "log calls with wrong arguments, extras and objects",
        "never raised; as the standard library",
    ),
    Row(
        44,
        data.idle_at_debug,
        "everything at DEBUG while the application is idle",
        "telemetry records nothing of its own sending",
        long_form={"seconds": 60.0},
    ),
    Row(
        45,
        data.noisy_exporter,
        "an exporter that logs 600 lines at each failure",
        "at most 10 lines a minute, of it and of us",
    ),
    Row(47, data.many_attribute_sets, "100,000 label sets", "2,000 and one for the rest; totals exact; below 24 MiB"),
    Row(48, data.many_clients, "60 hosts, methods, missing pages, user agents", "no more series than routes"),
    Row(49, data.burst, "20,000 spans in one go", "nothing lost"),
    Row(
        50,
        data.memory_and_disk_full,
        "more items of 100 KB than memory and disk may hold",
        "bytes bounded; the oldest go, counted; begin and end told once",
    ),
    Row(
        52, data.base_exceptions, "SystemExit and KeyboardInterrupt out of callbacks and senders", "our threads live on"
    ),
    Row(
        91,
        data.objects_that_raise_base_exceptions,
        "SystemExit, KeyboardInterrupt, CancelledError out of `__str__`, `__iter__`, `__bool__`, `__hash__`",
        "the application's call returns, and the rest of the item arrives",
    ),
    Row(54, data.streamed_response_after_sized, "a streamed answer after a sized one", "sizes are not mixed up"),
)

DISK = (
    Row(
        55,
        disk.unusable_disk,
        "full, read-only, limited; the directory unwritable, somebody else's, a file, a link",
        "another place, or memory; told once, counted; what memory cannot keep is counted too",
    ),
    Row(
        56,
        disk.damaged_files,
        "torn, altered, empty, foreign, too large (1 GiB), links, pipes, sockets",
        "put aside or thrown away, counted; all others delivered, once",
    ),
    Row(
        57,
        disk.killed_while_draining,
        "four workers at one directory, killed in the middle of a claim",
        "claims taken over, all delivered; twice only what was under way",
        long_form={"kills": 40},
    ),
    Row(
        58,
        disk.over_budget_and_age,
        "more than may be kept, older than may be kept",
        "the oldest go, counted and told once; never more than the budget and a file",
    ),
)

SECURITY = (
    Row(
        61,
        security.log_injection,
        "line ends, escapes of terminals, marks of direction in all that is logged and sent",
        "one line a record as JSON; in text further lines are indented; a request id that is none is replaced",
    ),
    Row(
        62,
        security.secret_canaries,
        "secrets in more than a hundred places of requests, SQL, logs, exceptions, telemetry and settings",
        "none in any export request, file on disk, line, page or status; what stands beside each is there",
    ),
    Row(
        63,
        security.redactor_complexity,
        "texts of 1 MB made to keep the redactor busy",
        "5 ms each, and in proportion to their length",
    ),
    Row(
        64,
        security.public_pages,
        "strangers who ask for pages, without end",
        "`/metrics` alone, which a token or a setting closes; 100 ms for 2,000 series; others do not notice",
    ),
    Row(
        110,
        untrusted_clients.trace_context_through_proxy,
        "strangers behind a proxy on a private address: a sampled trace, 7 KB of baggage, 50 times",
        "not sampled at their wish, no span or record in their trace",
    ),
    Row(
        111,
        untrusted_clients.own_metrics_route,
        "a `/metrics` of the application's own, working and broken",
        "the working one is left alone; the broken one is answered for; each said once",
    ),
)

FURTHER = (
    Row(
        65,
        environment.proxy_variables,
        "HTTP_PROXY, ALL_PROXY and the like, a .netrc",
        "no proxy hears of it, over HTTP and gRPC; no password is taken from there",
    ),
    Row(66, environment.system_ca_file, "SSL_CERT_FILE", "its authorities are trusted"),
    Row(
        67,
        environment.redirects,
        "redirects to another host, cookies",
        "not followed, counted by code; no other host sees the token, no cookie comes back",
    ),
    Row(
        68,
        environment.endless_responses,
        "heads and bodies a byte at a time, without end, at full speed; a peer that reads as slowly",
        "the time for a request holds; the status counts, and nothing is sent twice for want of the rest",
    ),
    Row(
        69,
        environment.other_protocols,
        "another protocol on the port, a status that is none, a page where one signs in",
        "nothing lost, nothing twice",
    ),
    Row(
        70,
        environment.unsolicited_responses,
        "answers that nobody asked for",
        "not taken for those of the next request",
    ),
    Row(
        71,
        environment.clock_changes,
        "the clock an hour back, two days ahead, in 1970",
        "timers go on, nothing expires, no request lasts less than nothing",
    ),
    Row(
        72,
        environment.several_addresses,
        "a name with a dead address; another's server on the port for a while",
        "the next address is taken at once; nothing lost, nothing twice",
    ),
    Row(
        73,
        environment.grpc_errors,
        "gRPC: 70 % UNAVAILABLE, RESOURCE_EXHAUSTED with a delay, GOAWAY and away",
        "waits as asked; what waited on disk comes back; nothing lost, nothing twice",
    ),
    Row(
        74,
        environment.sigstop,
        "SIGSTOP for seconds, with a request under way",
        "no retry, no burst, nothing lost or twice",
    ),
    Row(
        75,
        environment.forks_in_threads,
        "forks by several threads and a signal handler while the Collector is away",
        "no child hangs; all of it on disk, once",
    ),
    Row(
        76,
        environment.subprocesses,
        "programs started by all means, by several threads, during export",
        "they inherit nothing of ours, over HTTP and gRPC",
    ),
    Row(
        77,
        environment.closed_descriptors,
        "all descriptors closed, as a daemon does, and their numbers given to others",
        "delivered over new ones; nothing of the application's is written to or closed",
    ),
    Row(
        78,
        environment.no_environment,
        "no working directory, no environment, no place to keep anything; umask 0",
        "delivered; else kept for the owner alone, or counted as lost and told",
    ),
    Row(
        79,
        environment.asynchronous_exceptions,
        "exceptions out of signal handlers, the end of the stack, cancelled tasks",
        "what came to its end is delivered or counted, and all that comes afterwards",
    ),
    Row(
        80,
        environment.mutating_values,
        "maps that others change meanwhile; values that lie about what they are",
        "nothing raised, nothing lost",
    ),
)

OUTPUT = (
    Row(
        100,
        output.piped_stdout,
        "a program whose stdout is read by another, in production and not",
        "only its own bytes are there",
    ),
    Row(
        101,
        output.levels_and_handlers,
        "handlers and levels of the application's own, console on and off",
        "they print what they print without us; the rest is exported",
    ),
    Row(
        102,
        output.logging_signal_handlers,
        "signal handlers that log while a record is processed",
        "each record is exported, or counted as dropped",
    ),
)

INTERPRETER = (
    Row(
        81,
        runtime.recording_in_interrupts,
        "signal handlers and finalizers that record, in the middle of recording",
        "nothing stands still, nothing is lost",
    ),
    Row(82, runtime.many_threads, "200 threads record at once", "exactly all of it arrives"),
    Row(83, runtime.interpreter_flags, "-OO, -X dev, warnings as errors, -b", "as without them"),
    Row(
        84,
        runtime.umask_0777,
        "a umask that takes all rights away",
        "kept on disk and delivered all the same",
    ),
    Row(
        85,
        runtime.disconnecting_clients,
        "200 clients that do not wait for the answer",
        "each request is seen to its end",
    ),
    Row(
        86,
        signals.reentrant_locks,
        "the garbage collector closes an abandoned request in each locked region",
        "nothing hangs; each request is counted and traced",
    ),
    Row(
        87,
        signals.abandoned_requests,
        "800 tasks with requests that nobody refers to, a collection at each allocation",
        "the same",
    ),
    Row(
        88,
        signals.sigpipe,
        "SIGPIPE with its default action, a receiver that hangs up; also where no thread can be started",
        "the process goes on; all is counted",
    ),
    Row(
        89,
        signals.sigxfsz,
        "`ulimit -f` and SIGXFSZ with its default action; also where no thread can be started",
        "the same; no incomplete file is left",
    ),
    Row(
        90,
        signals.blocked_sigterm,
        "a SIGTERM that the main thread blocks, over HTTP and gRPC",
        "no thread of ours receives it: it waits until the main thread takes it",
    ),
)

SENTRY = (
    Row(
        120,
        sentry.sentry_no_answer,
        "Sentry accepts connections and stays silent, while errors are logged",
        "nothing waits for it; spans and log records arrive",
    ),
    Row(
        121,
        sentry.errors_in_unsampled_requests,
        "errors are handled and logged in requests that are not sampled",
        "the requests' spans arrive, and log records and Sentry events name them",
    ),
)

SECTIONS: Mapping[str, tuple[Row, ...]] = MappingProxyType(
    {
        "Collector and network": NETWORK,
        "Process life cycle": LIFE_CYCLE,
        "Data": DATA,
        "Disk spool": DISK,
        "Security": SECURITY,
        "Further": FURTHER,
        "Output": OUTPUT,
        "The interpreter and its surroundings": INTERPRETER,
        "Sentry": SENTRY,
    }
)
ROWS = tuple(sorted((row for rows in SECTIONS.values() for row in rows), key=lambda row: row.number))
