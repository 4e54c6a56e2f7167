"""`python -m tests.scale [--long]`: the tiers on this machine, killed one after the other; sent = received."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.scale.kills import LONG, SHORT, Result, run
from tests.scale.topology import Topology


def main() -> int:
    """Print what was sent and received; 1 when they differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--brokers", type=int, default=3, help="of the Kafka cluster (default 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load before each kill (default 5)")
    parser.add_argument("--long", action="store_true", help="kill every process, a broker twice; Jaeger stops a minute")
    parser.add_argument("--no-trace-keys", action="store_true", help="KAFKA_TRACE_KEYS=false")
    chosen = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Topology(Path(folder), brokers=chosen.brokers, trace_keys=not chosen.no_trace_keys) as topology,
    ):
        print(
            f"{time.monotonic() - began:.0f} s: two agents, {chosen.brokers} broker(s), two gateways, two samplers, "
            "Jaeger, Prometheus and a store of log records run",
            flush=True,
        )
        result = run(
            topology,
            LONG if chosen.long else SHORT,
            seconds=chosen.seconds,
            outage=60.0 if chosen.long else 5.0,
            report=lambda line: print(line, flush=True),
        )
    return show(result)


def show(result: Result) -> int:
    """Print it; the exit status."""
    same = result.received.contains(result.sent)
    names = ("spans", "points", "log records")
    arrived = (
        len(result.sent.spans & result.received.spans),
        len(result.sent.points & result.received.points),
        len(result.sent.records & result.received.records),
    )
    for name, sent, received in zip(names, result.sent.counts(), arrived, strict=True):
        print(f"{name}: acknowledged {sent}, received {received}")
    print(
        f"divided traces: {len(result.divided_traces)}; "
        f"series with two writers: {len(result.series_with_two_writers)}; "
        f"memory of a Collector grew by at most {result.growth} MiB"
    )
    print(f"{'sent = received' if same else 'ITEMS ARE MISSING'}, {result.seconds:.1f} s after the last was sent")
    return 0 if same and not result.divided_traces and not result.series_with_two_writers else 1


if __name__ == "__main__":
    sys.exit(main())
