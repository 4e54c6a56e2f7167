"""What Sentry costs: a healthy request, one that fails, and what becomes of both when Sentry is slow or away.

    python -m benchmarks.sentry

Each configuration is a process of its own, because Sentry's integrations cannot be taken out again; ours can, and so a
healthy request is measured with and without them in one process. The processes take turns in random order, and what is
compared stands in the same round. CPU is of all threads, sending included.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.table import print_table

ROUNDS = 15
BATCHES = {"/ok": 1000, "/logs": 600, "/crash": 40}  # requests in one turn; the last within Sentry's queue of 100
OURS, THEIRS, BARE = "blogauto_otel + Sentry", "Sentry's own default", "bare"
GOAL = 3.0  # microseconds that are added to a healthy request


# --- what is measured -------------------------------------------------------------------------------------------------


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
    """Our link, which can be taken out and put back."""

    def __init__(self) -> None:
        from blogauto_otel.integrations import sentry

        self._sentry = sentry
        self._context = sentry._state.link._context if sentry._state.link is not None else None

    def turn(self, on: bool) -> None:
        if self._context is not None and on is not (self._sentry._state.link is not None):
            if on:
                self._sentry.link(self._context, None)
            else:
                self._sentry.unlink()


def worker(configuration: str) -> None:
    """Read paths from stdin; answer each with CPU microseconds per request, and the seconds of every request.

    After a path that ends in `!` nothing is waited for.
    """
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    flush, app, loop, switch = CONFIGURATIONS[configuration](), application(), asyncio.new_event_loop(), Switch()
    for line in sys.stdin:
        path, number, on = json.loads(line)
        switch.turn(on)
        seconds: list[float] = []
        is_waited_for = not path.endswith("!")
        if is_waited_for:
            flush()
        before = time.process_time()
        for _ in range(number):
            began = time.perf_counter()
            loop.run_until_complete(request(app, path.rstrip("!")))
            seconds.append(time.perf_counter() - began)
        if is_waited_for:
            flush()
        print(json.dumps([(time.process_time() - before) / number * 1e6, seconds]), flush=True)


class Process:
    """A worker, asked from here."""

    def __init__(self, configuration: str, collector: str, sentry: str) -> None:
        self.name = configuration
        variables = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
            "OTEL_METRIC_EXPORT_INTERVAL": "2000",
            "BLOGAUTO_OTEL_SPOOL_DIR": "off",
        }
        if "Sentry" in configuration:
            variables["SENTRY_DSN"] = sentry
        command = [sys.executable, "-m", "benchmarks.sentry", configuration]
        self._process = subprocess.Popen(
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, path: str, number: int, *, on: bool = True) -> tuple[float, list[float]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([path, number, on]) + "\n")
        self._process.stdin.flush()
        microseconds, seconds = json.loads(self._process.stdout.readline())
        return microseconds, seconds

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def processes(names: Any, collector: str, sentry: str) -> Iterator[dict[str, Process]]:
    started = {name: Process(name, collector, sentry) for name in names}
    try:
        yield started
    finally:
        for process in started.values():
            process.end()


# --- cost -------------------------------------------------------------------------------------------------------------


def costs(collector: str, sentry: str, rounds: int) -> dict[str, tuple[float, float]]:
    """CPU microseconds that Sentry adds to a request, by path: by its own default, and by ours; medians of rounds."""
    added: dict[str, tuple[list[float], list[float]]] = {path: ([], []) for path in BATCHES}
    with processes(CONFIGURATIONS, collector, sentry) as started:
        for path in BATCHES:
            for process in started.values():
                process.ask(path, 20)  # warm up
        for _ in range(rounds):
            for path, number in BATCHES.items():
                turns = [(BARE, True), (THEIRS, True), (OURS, True), (OURS, False)]
                took = {
                    (name, on): started[name].ask(path, number, on=on)[0]
                    for name, on in random.sample(turns, len(turns))
                }
                added[path][0].append(took[THEIRS, True] - took[BARE, True])
                added[path][1].append(took[OURS, True] - took[OURS, False])
    return {path: (statistics.median(theirs), statistics.median(ours)) for path, (theirs, ours) in added.items()}


# --- when Sentry is not well ------------------------------------------------------------------------------------------


def sick(collector: Any) -> list[tuple[str, ...]]:
    """Latency of healthy and failing requests, and losses, by how Sentry behaves."""
    from testkit.receiver import delay, silence, status
    from tests.sentry.envelope_receiver import EnvelopeReceiver

    behaviours: dict[str, Callable[[EnvelopeReceiver], object]] = {
        "healthy": EnvelopeReceiver.clear,
        "slow (1 s)": lambda sink: sink.answer(delay(1.0)),
        "silent": lambda sink: sink.answer(silence()),
        "refused": lambda sink: sink.stop(),
        "429": lambda sink: sink.answer(status(429, retry_after=60)),
    }
    rows = []
    for behaviour, misbehave in behaviours.items():
        with EnvelopeReceiver() as sink, processes([OURS], collector.url, sink.dsn) as started:
            (process,) = started.values()
            process.ask("/crash", 3)
            misbehave(sink)
            rows.append((behaviour, *latencies(process), losses(process, collector)))
        collector.clear()
    return rows


def latencies(process: Process) -> tuple[str, ...]:
    """Failing requests with healthy ones between them."""
    healthy, failing = [], []
    for _ in range(150):
        failing += process.ask("/crash!", 1)[1]
        healthy += process.ask("/ok!", 1)[1]
    return tuple(f"{value * 1000:.1f}" for value in (*spread(healthy), *spread(failing)))


def spread(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)]


def losses(process: Process, collector: Any) -> str:
    """What the self-metrics say was lost, by reason, when what can be sent has been."""
    process.ask("/ok", 1)
    points = collector.points("blogauto_otel.items.dropped", {"signal": "sentry"})
    lost = {point.attributes["reason"]: int(point.value or 0) for point in points if point.value}
    return ", ".join(f"{count} {reason}" for reason, count in lost.items()) or "none"


def main(rounds: int = ROUNDS) -> None:
    """Print the tables."""
    from testkit.receiver import Receiver
    from tests.sentry.envelope_receiver import EnvelopeReceiver

    with Receiver() as collector, EnvelopeReceiver() as sink:
        found = costs(collector.url, sink.dsn, rounds)
    rows = [(path, f"{theirs:.1f}", f"{ours:.1f}", f"{ours / theirs:.2f}") for path, (theirs, ours) in found.items()]
    header = ("request", "Sentry's own default over nothing", "ours over blogauto_otel without Sentry", "ratio")
    print_table(f"CPU microseconds that Sentry adds to a request; goal for /ok: {GOAL:g}", header, rows)
    with Receiver() as collector:
        table = sick(collector)
    columns = ("Sentry", "ok p50", "ok p99", "crash p50", "crash p99", "lost of 153 events")
    print_table("Milliseconds of requests when Sentry is not well", columns, table)


if __name__ == "__main__":
    worker(sys.argv[1]) if len(sys.argv) > 1 else main()
