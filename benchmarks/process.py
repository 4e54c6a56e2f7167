"""One-time cost of a process: CPU to import and configure, memory, threads, exit time.

python -m benchmarks.process
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks import results
from benchmarks.table import print_table

BEFORE = "import fastapi, sqlalchemy, logging, json, resource, sys, threading, time"
IDLE_SECONDS = 6.0  # from the set-up until the threads are counted: its own log lines have been sent by then

OURS = """
import blogauto_otel
blogauto_otel.configure(console="off", endpoint={endpoint!r})
"""

STOCK = """
import os
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = {endpoint!r}
os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
for signal in ("TRACES", "METRICS", "LOGS"):
    os.environ[f"OTEL_{{signal}}_EXPORTER"] = "otlp"
_OTelSDKConfigurator().configure(auto_instrumentation_version="0")
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
FastAPIInstrumentor().instrument(exclude_spans=["send", "receive"])
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
SQLAlchemyInstrumentor().instrument(skip_dep_check=True)
"""

COST = """
{before}
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return (usage.ru_utime + usage.ru_stime) * 1000, pages * 4096 / 2**20, len(sys.modules)
first = used()
{setup}
print(json.dumps([b - a for a, b in zip(first, used())]))
import os; os._exit(0)
"""

IDLE = """
{before}
{setup}
time.sleep({seconds})
print(json.dumps(threading.active_count() - 1))
import os; os._exit(0)
"""

EXIT = """
{before}
{setup}
from opentelemetry import trace
tracer = trace.get_tracer("bench")
for _ in range({spans}):
    with tracer.start_as_current_span("span"):
        pass
logging.getLogger("bench").error("one record")
print(json.dumps(time.time()))
"""


def cost(setup: str) -> list[float]:
    """CPU milliseconds, MiB and modules added by the set-up."""
    script = COST.format(before=BEFORE, setup=setup.format(endpoint="http://127.0.0.1:9"))
    return list(map(float, _last_line(script)))


def idle_threads(setup: str, endpoint: str) -> int:
    """Threads of a process that has nothing to send."""
    script = IDLE.format(before=BEFORE, setup=setup.format(endpoint=endpoint), seconds=IDLE_SECONDS)
    return int(_last_line(script))


def exit_seconds(setup: str, endpoint: str, spans: int = 100) -> float:
    """Seconds from the end of the main program to the end of the process."""
    script = EXIT.format(before=BEFORE, setup=setup.format(endpoint=endpoint), spans=spans)
    ended = float(_last_line(script))
    return time.time() - ended


def _last_line(script: str) -> Any:
    """Run a script with cached bytecode, as for an installed package; the JSON of its last line."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return json.loads(done.stdout.splitlines()[-1])


def silent() -> str:
    """An endpoint that accepts connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    kept: list[socket.socket] = []

    def accept() -> None:
        while True:
            kept.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def refused() -> str:
    """An endpoint that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def median(measure: Callable[[], list[float]], runs: int) -> list[float]:
    """Column medians over several runs."""
    return [statistics.median(column) for column in zip(*(measure() for _ in range(runs)), strict=True)]


def main(runs: int = 5) -> None:
    """Print both tables."""
    from testkit.receiver import Receiver

    for setup in (OURS, STOCK):
        cost(setup)  # the first run compiles
    ours, stock = median(lambda: cost(OURS), runs), median(lambda: cost(STOCK), runs)
    rows, ratios = [], {"cpu": ours[0] / stock[0], "memory": ours[1] / stock[1]}
    with Receiver() as receiver:
        threads = [idle_threads(setup, receiver.url) for setup in (STOCK, OURS)]
        print_table(
            f"import + configure, after `import fastapi, sqlalchemy`; medians of {runs}",
            ("", "CPU ms", "MiB", "modules", "idle threads"),
            [
                ("stock, three signals, OTLP/HTTP", *(f"{value:.1f}" for value in stock), str(threads[0])),
                ("blogauto_otel", *(f"{value:.1f}" for value in ours), str(threads[1])),
                ("ratio", *(f"{a / b:.2f}" for a, b in zip(ours, stock, strict=True)), ""),
            ],
        )
        for name, endpoint in (("healthy", receiver.url), ("refused", refused()), ("silent", silent())):
            ours_s = statistics.median(exit_seconds(OURS, endpoint) for _ in range(3))
            stock_s = exit_seconds(STOCK, endpoint)
            rows.append((name, f"{stock_s:.2f}", f"{ours_s:.2f}", f"{ours_s / stock_s:.2f}"))
            if name == "refused":
                ratios.update({"exit seconds": ours_s, "exit seconds of stock": stock_s})
    print_table("exit with 100 spans and a log record waiting, seconds", ("Collector", "stock", "ours", "ratio"), rows)
    results.keep("process", ratios)


if __name__ == "__main__":
    main()
