"""`python -m tests.scale [--brokers N]`: the tiers on this machine, killed one after the other; sent = received."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.scale.proof import run
from tests.scale.topology import Topology


def main() -> int:
    """Print what was sent and received; 1 when they differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--brokers", type=int, default=1, help="of the Kafka cluster; each is killed once (default 1)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load before each kill (default 5)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Topology(Path(folder), brokers=chosen.brokers) as topology:
        print(f"agent, {chosen.brokers} broker(s), two gateways, two samplers run", flush=True)
        result = run(topology, seconds=chosen.seconds, report=lambda line: print(line, flush=True))
    same = result.received.contains(result.sent)
    names = ("spans", "points", "log records")
    for name, sent, received in zip(names, result.sent.counts(), result.received.counts(), strict=True):
        print(f"{name}: acknowledged {sent}, received {received}")
    print(
        f"divided traces: {len(result.divided_traces)}; series with two writers: {len(result.series_with_two_writers)}"
    )
    print(f"{'sent = received' if same else 'ITEMS ARE MISSING'}, {result.seconds:.1f} s after the last was sent")
    return 0 if same and not result.divided_traces and not result.series_with_two_writers else 1


if __name__ == "__main__":
    sys.exit(main())
