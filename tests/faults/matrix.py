"""The fault matrix: one row, one test. Numbers are names, and have gaps."""

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
    """A fault, and what is promised under it in addition to the invariants."""

    number: int
    run: Callable[..., None]
    fault: str
    promise: str
    long_form: Mapping[str, Any] = field(default_factory=dict)  # arguments of the form that takes minutes

    @property
    def id(self) -> str:
        """The id of its test."""
        return f"{self.number:02d}-{self.run.__name__.replace('_', '-')}"


NETWORK = (
    Row(
        1,
        network.connection_refused,
        "the Collector refuses connections, at start and for ever",
        "the application starts; its data is stored on disk, and delivered by the next process",
    ),
    Row(2, network.no_answer, "the Collector accepts connections and never answers", "as in row 1"),
    Row(
        3,
        network.outage,
        "the Collector is down for 60 s while the application runs",
        "nothing lost, order preserved",
        long_form={"seconds": 60.0},
    ),
    Row(
        4,
        network.flapping,
        "70 % of requests are answered with 503",
        "everything delivered within 10 s of the end of the load",
    ),
    Row(5, network.permanent_errors, "400, 401, 404, 413", "no retry; losses counted by status; one log line a minute"),
    Row(
        6,
        network.retry_after_honoured,
        "429 and 503 with `Retry-After: 30`",
        "observed, by later batches too; data is stored meanwhile",
    ),
    Row(
        7,
        network.unusual_retry_after,
        "`Retry-After` 0, negative, 1e9, in the past, not a number",
        "a delay between 0.5 s and 60 s",
    ),
    Row(9, network.partial_success, "partial success", "rejected items are counted; the message is logged once"),
    Row(
        10,
        network.request_size_limit,
        "6 MB at once; the Collector accepts 4 MiB",
        "split by bytes, all delivered, over HTTP and gRPC",
    ),
    Row(11, network.huge_responses, "responses of 300 MB, gzip bombs", "at most 64 KiB are read"),
    Row(
        13,
        network.broken_connections,
        "connections reset in the middle of a request; keep-alive connections closed",
        "retried over a new connection; nothing acknowledged is sent twice",
    ),
    Row(
        14,
        network.dns_failure,
        "the Collector's name does not resolve, or the resolver hangs",
        "the start is not delayed",
    ),
    Row(
        15,
        network.tls_errors,
        "a certificate of an unknown authority, expired, missing or invalid; plain text instead of TLS",
        "nothing is sent; the reason is logged; data is stored on disk",
    ),
    Row(
        17,
        network.lost_acknowledgements,
        "the Collector accepts a request, but its acknowledgement is lost",
        "at least once: sent again, counted as a retry",
    ),
)

LIFE_CYCLE = (
    Row(18, life_cycle.sigterm, "SIGTERM to uvicorn", "all finished items delivered, including the last metrics"),
    Row(
        19,
        life_cycle.sigterm_with_workers,
        "SIGTERM to uvicorn and gunicorn with workers, with and without `--preload`",
        "as in row 18, for each worker",
    ),
    Row(
        20,
        life_cycle.sigterm_without_collector,
        "SIGTERM while the Collector does not respond",
        "everything stored on disk; delivered by the next process",
    ),
    Row(
        21,
        life_cycle.second_signal,
        "a second SIGTERM or SIGINT during the flush",
        "the exit is not delayed; no incomplete file on disk",
    ),
    Row(
        22,
        life_cycle.sigkill,
        "SIGKILL at a random moment",
        "items older than the window are delivered or on disk, undamaged",
        long_form={"times": 50},
    ),
    Row(23, life_cycle.worker_timeout, "gunicorn aborts a worker that hangs", "as in row 22"),
    Row(24, life_cycle.request_in_flight, "SIGTERM while a request is in flight", "its span is delivered too"),
    Row(
        25,
        life_cycle.multiprocessing_children,
        "children of `multiprocessing` end; `os._exit`",
        "the first flush; of the others, items older than the window are delivered",
    ),
    Row(
        122,
        life_cycle.celery_children,
        "Celery ends its children after each task (`--max-tasks-per-child 1`), also while the Collector is unavailable",
        "spans, log records and counts of every task are delivered",
    ),
    Row(
        26,
        life_cycle.fork_identity,
        "fork before and after `configure`, fork of a fork",
        "each process exports under its own id; a configured id gets a suffix in children",
    ),
    Row(
        29,
        life_cycle.forks_during_export,
        "forks while other threads record and export",
        "no child hangs, no connection is shared, nothing lost",
        long_form={"forks": 300},
    ),
    Row(30, life_cycle.recycled_workers, "gunicorn recycles workers (`--max-requests`)", "nothing lost"),
    Row(
        31,
        life_cycle.configured_twice,
        "`configure` twice, uvicorn `--reload`, spawned workers",
        "one pipeline; no duplicates",
    ),
    Row(
        32,
        life_cycle.api_without_configure,
        "the API before `configure` and after `shutdown`",
        "no effect, no exception",
    ),
    Row(33, life_cycle.no_threads, "no thread can be started", "delivered by the flush at exit; logged once"),
    Row(
        34, life_cycle.exhausted_resources, "no file descriptors, no memory", "delivered when they are available again"
    ),
    Row(35, life_cycle.broken_output, "stdout and stderr broken, closed, full", "no exception, no flood of messages"),
    Row(
        36,
        life_cycle.invalid_settings,
        "every variable with invalid values",
        "the application starts; one log line each",
    ),
    Row(
        37,
        life_cycle.unsupported_version,
        "an instrumentation does not support the version of the library",
        "the status says so; ours supports SQLAlchemy 2.1",
    ),
)

DATA = (
    Row(
        39,
        data.invalid_names_and_times,
        "names that are numbers or None, impossible times",
        "repaired, or that span is lost and counted; other spans are not affected",
    ),
    Row(
        40,
        data.huge_values,
        "10 MB in an attribute, a message, a stack trace",
        "truncated to 4 KiB (stack trace 16 KiB) and marked",
    ),
    Row(
        41,
        data.hostile_objects,
        "reference cycles, 100,000 levels, a `__str__` that raises, recurses or logs",
        "`<unserialisable>`, within 1 ms",
    ),
    Row(
        43,
        data.invalid_log_calls,
        "log calls with wrong arguments, extras and objects",
        "no exception; same behaviour as the standard library",
    ),
    Row(
        44,
        data.idle_at_debug,
        "every logger at DEBUG while the application is idle",
        "telemetry does not record its own export",
        long_form={"seconds": 60.0},
    ),
    Row(
        45,
        data.noisy_exporter,
        "an exporter that logs 600 lines at each failure",
        "at most 10 lines a minute, of the exporter and of the package",
    ),
    Row(
        47, data.many_attribute_sets, "100,000 attribute sets", "2,000 and one overflow; totals exact; less than 24 MiB"
    ),
    Row(48, data.many_clients, "60 hosts, methods, missing pages, user agents", "no more series than routes"),
    Row(49, data.burst, "20,000 spans at once", "nothing lost"),
    Row(
        50,
        data.memory_and_disk_full,
        "more items of 100 KB than memory and disk can hold",
        "bounded in bytes; the oldest are dropped and counted; begin and end of the loss logged once",
    ),
    Row(
        52,
        data.base_exceptions,
        "SystemExit and KeyboardInterrupt raised by callbacks and transports",
        "the worker threads continue",
    ),
    Row(
        91,
        data.objects_that_raise_base_exceptions,
        "SystemExit, KeyboardInterrupt, CancelledError raised by `__str__`, `__iter__`, `__bool__`, `__hash__`",
        "the call returns, and the rest of the item is delivered",
    ),
    Row(
        95,
        data.abandoned_generators,
        "asynchronous generators that are abandoned within an operation",
        "each ends its operation as cancelled; nothing is printed",
    ),
    Row(
        54,
        data.streamed_response_after_sized,
        "a streamed response after one with a known size",
        "sizes are not mixed up",
    ),
)

DISK = (
    Row(
        55,
        disk.unusable_disk,
        "disk full, read-only, limited; directory not writable, owned by another user, a file, a link",
        "another directory, or memory; logged once; losses beyond memory are counted",
    ),
    Row(
        56,
        disk.damaged_files,
        "files truncated, altered, empty, foreign, too large (1 GiB); links, pipes, sockets",
        "quarantined or deleted, counted; all other files delivered once",
    ),
    Row(
        92,
        disk.no_file_locks,
        "a file system without locks (`flock` fails with ENOLCK), two workers",
        "stored and delivered; logged once a process",
    ),
    Row(
        57,
        disk.killed_while_draining,
        "four workers share a directory and are killed while they hold a claim",
        "claims are taken over, everything delivered; only requests in flight arrive twice",
        long_form={"kills": 40},
    ),
    Row(
        58,
        disk.over_budget_and_age,
        "more than the size limit, older than the age limit",
        "the oldest are dropped, counted and logged once; never more than the limit and one file",
    ),
)

SECURITY = (
    Row(
        61,
        security.log_injection,
        "line ends, terminal escapes and direction marks in everything logged and sent",
        "one line per record in JSON, indented lines in text; invalid request ids are replaced",
    ),
    Row(
        62,
        security.secret_canaries,
        "secrets in more than a hundred places of requests, SQL, logs, exceptions, telemetry and settings",
        "none in any export request, file, log line, page or status; the text beside each is preserved",
    ),
    Row(
        63,
        security.redactor_complexity,
        "texts of 1 MB built to make redaction slow",
        "5 ms each (on a slower machine as much longer as a reference job), in proportion to their length",
    ),
    Row(
        64,
        security.public_pages,
        "unauthenticated clients request pages without end",
        "only `/metrics` answers, and a token or a setting closes it; 100 ms for 2,000 series; other requests are not affected",
    ),
    Row(
        110,
        untrusted_clients.trace_context_through_proxy,
        "an untrusted client behind a proxy on a private address: a sampled trace, 7 KB of baggage, 50 times",
        "its sampling flag is ignored, and no span or record joins its trace",
    ),
    Row(
        111,
        untrusted_clients.own_metrics_route,
        "the application's own `/metrics`, working and failing",
        "a working one is not replaced; a failing one is; each logged once",
    ),
)

ENVIRONMENT = (
    Row(
        65,
        environment.proxy_variables,
        "HTTP_PROXY, ALL_PROXY and similar variables, a `.netrc`",
        "no proxy is used, over HTTP and gRPC; no password is read",
    ),
    Row(66, environment.system_ca_file, "SSL_CERT_FILE", "its authorities are trusted"),
    Row(
        67,
        environment.redirects,
        "redirects to another host, cookies",
        "not followed, counted by status; no other host gets the token, no cookie is returned",
    ),
    Row(
        68,
        environment.endless_responses,
        "response heads and bodies sent byte by byte, without end, at full speed; a peer that reads slowly",
        "the request timeout holds; the status counts, and an incomplete body causes no retry",
    ),
    Row(
        69,
        environment.other_protocols,
        "another protocol on the port, an invalid status, a login page",
        "nothing lost, no duplicates",
    ),
    Row(
        70,
        environment.unsolicited_responses,
        "responses without a request",
        "not used as the response to the next request",
    ),
    Row(
        71,
        environment.clock_changes,
        "the clock set one hour back, two days ahead, to 1970",
        "timers continue, nothing expires, no request has a negative duration",
    ),
    Row(
        93,
        environment.frozen_clocks,
        "freezegun stops the application's clocks; the Collector is away for a while",
        "delivered, also from disk",
    ),
    Row(
        94,
        environment.no_poll,
        "`select.poll` is missing, as after eventlet's monkey patching",
        "delivered over connections that are reused",
    ),
    Row(
        72,
        environment.several_addresses,
        "a name with an unreachable address; another server on the port for a while",
        "the next address is used at once; nothing lost, no duplicates",
    ),
    Row(
        73,
        environment.grpc_errors,
        "gRPC: 70 % UNAVAILABLE, RESOURCE_EXHAUSTED with a delay, GOAWAY and no server",
        "the delay is observed; stored data is delivered; nothing lost, no duplicates",
    ),
    Row(
        74,
        environment.sigstop,
        "SIGSTOP for seconds, with a request in flight",
        "no retry, no burst, nothing lost, no duplicates",
    ),
    Row(
        75,
        environment.forks_in_threads,
        "forks in several threads and a signal handler while the Collector is unreachable",
        "no child hangs; everything on disk, once",
    ),
    Row(
        76,
        environment.subprocesses,
        "subprocesses started by all APIs, in several threads, during export",
        "they inherit no descriptor of the package, over HTTP and gRPC",
    ),
    Row(
        77,
        environment.closed_descriptors,
        "all descriptors closed, as a daemon does, and their numbers reused",
        "delivered over new ones; descriptors of the application are not used or closed",
    ),
    Row(
        78,
        environment.no_environment,
        "no working directory, no environment, no writable directory; umask 0",
        "delivered; else stored readable by the owner only, or counted and logged as lost",
    ),
    Row(
        79,
        environment.asynchronous_exceptions,
        "exceptions raised by signal handlers, stack overflow, cancelled tasks",
        "finished items are delivered or counted, and so is everything after",
    ),
    Row(
        80,
        environment.mutating_values,
        "maps that another thread changes; values of misleading types",
        "no exception, nothing lost",
    ),
)

OUTPUT = (
    Row(
        100,
        output.piped_stdout,
        "a program whose stdout is a pipe, in production and in development",
        "stdout has only the bytes of the application",
    ),
    Row(
        101,
        output.levels_and_handlers,
        "the application's own handlers and levels, console on and off",
        "handlers print what they print without the package; the rest is exported",
    ),
    Row(
        102,
        output.logging_signal_handlers,
        "signal handlers that log while a record is processed",
        "each record is exported, or counted as dropped",
    ),
)

RUNTIME = (
    Row(
        81,
        runtime.recording_in_interrupts,
        "signal handlers and finalizers that record while recording",
        "no deadlock, nothing lost",
    ),
    Row(82, runtime.many_threads, "200 threads record at once", "exactly all items arrive"),
    Row(83, runtime.interpreter_flags, "`-OO`, `-X dev`, warnings as errors, `-b`", "no difference"),
    Row(
        84,
        runtime.umask_0777,
        "umask 0777",
        "stored on disk and delivered",
    ),
    Row(
        85,
        runtime.disconnecting_clients,
        "200 clients that disconnect before the response",
        "each request is recorded to its end",
    ),
    Row(
        86,
        signals.reentrant_locks,
        "the garbage collector closes an abandoned request inside each locked region",
        "no deadlock; each request is counted and traced",
    ),
    Row(
        87,
        signals.abandoned_requests,
        "800 request tasks without a reference, a collection at each allocation",
        "as in row 86",
    ),
    Row(
        88,
        signals.sigpipe,
        "SIGPIPE with its default action, a receiver that closes connections; also without threads",
        "the process continues; everything is counted",
    ),
    Row(
        89,
        signals.sigxfsz,
        "`ulimit -f` and SIGXFSZ with its default action; also without threads",
        "as in row 88; no incomplete file on disk",
    ),
    Row(
        90,
        signals.blocked_sigterm,
        "a SIGTERM that the main thread blocks, over HTTP and gRPC",
        "no thread of the package receives it; it stays pending until the main thread unblocks it",
    ),
)

SENTRY = (
    Row(
        120,
        sentry.sentry_no_answer,
        "Sentry accepts connections and never answers, while errors are logged",
        "nothing waits for it; spans and log records are delivered",
    ),
    Row(
        121,
        sentry.errors_in_unsampled_requests,
        "errors handled and logged in requests that are not sampled",
        "the spans of these requests are exported; log records and Sentry events refer to them",
    ),
)

SECTIONS: Mapping[str, tuple[Row, ...]] = MappingProxyType(
    {
        "Collector and network": NETWORK,
        "Process lifecycle": LIFE_CYCLE,
        "Data": DATA,
        "Disk spool": DISK,
        "Security": SECURITY,
        "Environment": ENVIRONMENT,
        "Console output": OUTPUT,
        "Python runtime and signals": RUNTIME,
        "Sentry": SENTRY,
    }
)
ROWS = tuple(sorted((row for rows in SECTIONS.values() for row in rows), key=lambda row: row.number))
