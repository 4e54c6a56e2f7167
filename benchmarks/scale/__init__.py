"""Tiers of Collectors: what an item costs in each.

python -m benchmarks scale              measure and print; three to six minutes
python -m benchmarks scale --quick      one process of each tier, and few items; a minute
python -m benchmarks scale --write      the same, and write the costs that docs/sizing.md is computed from
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict


def main(arguments: list[str]) -> int:
    """Measure and print; the exit status."""
    from benchmarks.scale import measure
    from tools.scale import pages, sizing

    parser = argparse.ArgumentParser(prog="python -m benchmarks scale")
    parser.add_argument("--write", action="store_true", help="replace tools/scale/measured.json, and the pages' tables")
    parser.add_argument("--quick", action="store_true", help="one process of each tier, and few items")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    items, counts = (4_000, (1,)) if chosen.quick else (measure.ITEMS, measure.COUNTS)
    found = measure.run(lambda line: print(f"{line} ...", file=sys.stderr, flush=True), items=items, counts=counts)
    result = json.loads(json.dumps(asdict(found)))
    print(f"\nItems for each second of CPU (items a second and core)\n\n{pages.throughput(result)}")
    if not chosen.quick:
        print(f"\nCPU of an item with four processes / with one\n\n{pages.growth(result)}")
    print(f"\n{pages.bytes_per_item(result)}\n\n{time.monotonic() - began:.0f} s")
    if chosen.write:
        sizing.MEASURED.write_text(json.dumps(result, indent=1) + "\n")
        for path, text in pages.contents().items():
            path.write_text(text)
    return 0
