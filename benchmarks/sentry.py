"""What Sentry costs: a successful and a failing request, and their latency when Sentry is slow or unreachable.

    python -m benchmarks.sentry

Each configuration is a process of its own, because Sentry's integrations cannot be removed; ours can, so a
successful request is measured with and without them in one process. The processes run in random order, and only
figures of the same round are compared. CPU time covers all threads, including the senders.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.table import print_table
from testkit.processes import JsonWorker, python

ROUNDS = 15
BATCHES = {"/ok": 1000, "/logs": 600, "/crash": 40}  # requests a round; the last fits into Sentry's queue of 100
OURS, THEIRS, BARE = "blogauto_otel + Sentry", "Sentry's own default", "bare"
GOAL = 3.0  # microseconds added to a successful request


# --- workload ---------------------------------------------------------------------------------------------------------


def application() -> Any:
    from fastapi import FastAPI

    app, log = FastAPI(), logging.getLogger("shop")

    @app.get("/ok")
    async def ok() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/logs")
    async def logs() -> dict[str, str]:
        for number in range(3):
            log.info("line %d of three", number)
        return {"status": "ok"}

    @app.get("/crash")
    async def crash() -> None:
        raise ValueError("no such thing")

    return app


async def request(app: Any, path: str) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None: ...

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "server": ("10.0.0.5", 8000),
        "client": ("203.0.113.7", 51234), "scheme": "http", "method": "GET", "root_path": "", "path": path,
        "raw_path": path.encode(), "query_string": b"", "state": {},
        "headers": [(b"host", b"api.example.com"), (b"user-agent", b"Mozilla/5.0"), (b"accept", b"application/json")],
    }  # fmt: skip
    with contextlib.suppress(ValueError):
        await app(scope, receive, send)


# --- a process of its own ---------------------------------------------------------------------------------------------


def configured() -> Callable[[], object]:
    import blogauto_otel

    telemetry = blogauto_otel.configure(console="off", sentry_profiles_rate=0.0, sentry_events_per_minute=60_000.0)
    return lambda: telemetry.force_flush(30.0)


def sentrys_own() -> Callable[[], object]:
    import sentry_sdk

    sentry_sdk.init(os.environ["SENTRY_DSN"])
    return lambda: sentry_sdk.flush(30.0)


CONFIGURATIONS: dict[str, Callable[[], Callable[[], object]]] = {
    BARE: lambda: lambda: None,
    THEIRS: sentrys_own,
    OURS: configured,
}


class Switch:
    """Our link to Sentry, which can be removed and restored."""

    def __init__(self) -> None:
        from blogauto_otel.integrations import sentry

        self._sentry = sentry
        self._context = sentry._state.link._context if sentry._state.link is not None else None

    def set(self, linked: bool) -> None:
        if self._context is not None and linked is not (self._sentry._state.link is not None):
            if linked:
                self._sentry.link(self._context, None)
            else:
                self._sentry.unlink()


def worker(configuration: str) -> None:
    """Read paths from stdin; answer each with CPU microseconds per request, and the seconds of each request.

    A path that ends in `!` is measured without a flush.
    """
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    flush, app, loop, switch = CONFIGURATIONS[configuration](), application(), asyncio.new_event_loop(), Switch()
    for line in sys.stdin:
        path, number, linked = json.loads(line)
        switch.set(linked)
        seconds: list[float] = []
        flushed = not path.endswith("!")
        if flushed:
            flush()
        before = time.process_time()
        for _ in range(number):
            began = time.perf_counter()
            loop.run_until_complete(request(app, path.rstrip("!")))
            seconds.append(time.perf_counter() - began)
        if flushed:
            flush()
        print(json.dumps([(time.process_time() - before) / number * 1e6, seconds]), flush=True)


class Application(JsonWorker):
    """A worker with one of the configurations."""

    def __init__(self, configuration: str, collector: str, sentry: str) -> None:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
            "OTEL_METRIC_EXPORT_INTERVAL": "2000",
            "BLOGAUTO_OTEL_SPOOL_DIR": "off",
        }
        if "Sentry" in configuration:
            variables["SENTRY_DSN"] = sentry
        super().__init__(python("-m", "benchmarks.sentry", configuration), **variables)

    def send(self, path: str, number: int, *, linked: bool = True) -> tuple[float, list[float]]:
        """CPU microseconds per request, and the seconds of each."""
        microseconds, seconds = self.call(path, number, linked)
        return microseconds, seconds


@contextlib.contextmanager
def applications(names: Any, collector: str, sentry: str) -> Iterator[dict[str, Application]]:
    started = {name: Application(name, collector, sentry) for name in names}
    try:
        yield started
    finally:
        for application in started.values():
            application.kill()


# --- cost -------------------------------------------------------------------------------------------------------------


def costs(collector: str, sentry: str, rounds: int) -> dict[str, tuple[float, float]]:
    """CPU microseconds that Sentry adds to a request, by path: by its own default, and by ours; medians of rounds."""
    added: dict[str, tuple[list[float], list[float]]] = {path: ([], []) for path in BATCHES}
    with applications(CONFIGURATIONS, collector, sentry) as started:
        for path in BATCHES:
            for application in started.values():
                application.send(path, 20)  # warm up
        for _ in range(rounds):
            for path, number in BATCHES.items():
                variants = [(BARE, True), (THEIRS, True), (OURS, True), (OURS, False)]
                cost = {
                    (name, linked): started[name].send(path, number, linked=linked)[0]
                    for name, linked in random.sample(variants, len(variants))
                }
                added[path][0].append(cost[THEIRS, True] - cost[BARE, True])
                added[path][1].append(cost[OURS, True] - cost[OURS, False])
    return {path: (statistics.median(theirs), statistics.median(ours)) for path, (theirs, ours) in added.items()}


# --- when Sentry has a fault ------------------------------------------------------------------------------------------


def with_faulty_sentry(collector: Any) -> list[tuple[str, ...]]:
    """Latency of successful and failing requests, and losses, by how Sentry behaves."""
    from testkit.envelope_receiver import EnvelopeReceiver
    from testkit.receiver import delay, silence, status

    behaviours: dict[str, Callable[[EnvelopeReceiver], object]] = {
        "healthy": EnvelopeReceiver.clear,
        "slow (1 s)": lambda sink: sink.answer(delay(1.0)),
        "silent": lambda sink: sink.answer(silence()),
        "refused": lambda sink: sink.stop(),
        "429": lambda sink: sink.answer(status(429, retry_after=60)),
    }
    rows = []
    for behaviour, misbehave in behaviours.items():
        with EnvelopeReceiver() as sink, applications([OURS], collector.url, sink.dsn) as started:
            (application,) = started.values()
            application.send("/crash", 3)
            misbehave(sink)
            rows.append((behaviour, *latencies(application), losses(application, collector)))
        collector.clear()
    return rows


def latencies(application: Application) -> tuple[str, ...]:
    """Of failing requests with successful ones between them."""
    healthy, failing = [], []
    for _ in range(150):
        failing += application.send("/crash!", 1)[1]
        healthy += application.send("/ok!", 1)[1]
    return tuple(f"{value * 1000:.1f}" for value in (*spread(healthy), *spread(failing)))


def spread(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)]


def losses(application: Application, collector: Any) -> str:
    """What the self-metrics count as lost, by reason, after everything else was sent."""
    application.send("/ok", 1)
    points = collector.points("blogauto_otel.items.dropped", {"signal": "sentry"})
    lost = {point.attributes["reason"]: int(point.value or 0) for point in points if point.value}
    return ", ".join(f"{count} {reason}" for reason, count in lost.items()) or "none"


def main(rounds: int = ROUNDS) -> None:
    """Print the tables."""
    from testkit.envelope_receiver import EnvelopeReceiver
    from testkit.receiver import Receiver

    with Receiver() as collector, EnvelopeReceiver() as sink:
        found = costs(collector.url, sink.dsn, rounds)
    rows = [(path, f"{theirs:.1f}", f"{ours:.1f}", f"{ours / theirs:.2f}") for path, (theirs, ours) in found.items()]
    header = ("request", "Sentry's own default over nothing", "ours over blogauto_otel without Sentry", "ratio")
    print_table(f"CPU microseconds that Sentry adds to a request; goal for /ok: {GOAL:g}", header, rows)
    with Receiver() as collector:
        table = with_faulty_sentry(collector)
    columns = ("Sentry", "ok p50", "ok p99", "crash p50", "crash p99", "lost of 153 events")
    print_table("Milliseconds of requests when Sentry has a fault", columns, table)


if __name__ == "__main__":
    worker(sys.argv[1]) if len(sys.argv) > 1 else main()
