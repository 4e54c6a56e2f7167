"""The command line of the benchmark, and its table."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.load.client import INSTALL_WRK, ROUTES, client_name
from benchmarks.load.measure import Case, Samples, added_cpu, compared, measure, median, servers
from benchmarks.load.setups import OTHERS, SETUPS
from benchmarks.sink import sink
from benchmarks.table import print_table

CONNECTIONS = (1, 8, 16, 64)
LOOPS = ("asyncio", "uvloop")
QUICK = {"loops": ["asyncio"], "connections": [16], "rounds": 5, "seconds": 1}

HEADER = (
    "loop", "route", "connections", "variant", "requests/s", "/ bare", "p50 ms", "/ bare", "p99 ms", "/ bare",
    "CPU added, µs", "/ contrib", "full collections", "total ms", "longest ms",
)  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """Measure and print the table; the exit status."""
    options = _options(arguments)
    if client_name() != "wrk":
        print(INSTALL_WRK, file=sys.stderr)
    loops = _available(options.loops, options.python)
    cases = [Case(*case) for case in _cases(loops, options.connections)]
    setups = {**SETUPS, **(OTHERS if options.others else {})}
    with tempfile.TemporaryDirectory() as name, sink() as url:
        folder = Path(name)
        with servers(setups, loops, options.python, url, folder, dict(options.variables)) as started:
            found = measure(started, cases, rounds=options.rounds, seconds=options.seconds, folder=folder)
    title = (
        f"live servers, load by {client_name()}, {_version(options.python)}: "
        f"medians of {options.rounds} interleaved rounds of {options.seconds} s"
    )
    print_table(title, HEADER, [row for case in cases for row in _rows(case, found[case])])
    if not options.variables:
        results.keep("load", _for_the_readme(found))
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="asyncio's loop, 16 connections: under 90 seconds")
    parser.add_argument("--others", action="store_true", help=f"also {', '.join(OTHERS)}; some in new environments")
    parser.add_argument(
        "--python", default=sys.executable, help="of the servers, with the package's development dependencies"
    )
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS))
    parser.add_argument("--connections", nargs="+", type=int, default=list(CONNECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    parser.add_argument(
        "--variable", dest="variables", action="append", default=[], metavar="NAME=VALUE", type=_pair,
        help="for every server, such as BLOGAUTO_OTEL_GC_FREEZE=false; the results are not kept for the README",
    )  # fmt: skip
    if "--quick" in arguments:
        parser.set_defaults(**QUICK)
    return parser.parse_args(arguments)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _available(loops: Sequence[str], python: str) -> list[str]:
    """The loops that this Python has; a missing uvloop is reported."""
    has_uvloop = subprocess.run([python, "-c", "import uvloop"], capture_output=True, check=False).returncode == 0
    if "uvloop" in loops and not has_uvloop:
        print(f"{python} has no uvloop: only asyncio's loop is measured", file=sys.stderr)
    return [loop for loop in loops if loop == "asyncio" or has_uvloop]


def _version(python: str) -> str:
    script = "import platform as p; print(p.python_implementation(), p.python_version())"
    return subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def _cases(loops: Sequence[str], connections: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    for loop in loops:
        for route in ROUTES:
            for number in connections:
                yield loop, route, number


def _rows(case: Case, samples: Samples) -> Iterator[Sequence[str]]:
    contrib = added_cpu(samples, "contrib")
    for name in sorted(samples, key=[*SETUPS, *OTHERS].index):
        added = added_cpu(samples, name)
        yield (
            case.loop,
            case.route,
            str(case.connections),
            name,
            f"{median(samples, name, 'rate'):,.0f}",
            f"{compared(samples, name, 'bare', 'rate'):.2f}",
            f"{median(samples, name, 'p50'):.2f}",
            f"{compared(samples, name, 'bare', 'p50'):.2f}",
            f"{median(samples, name, 'p99'):.2f}",
            f"{compared(samples, name, 'bare', 'p99'):.2f}",
            "-" if name == "bare" else f"{added:+.0f}",
            "-" if name == "bare" else f"{added / contrib:.2f}",
            *_collections(samples, name),
        )


def _collections(samples: Samples, name: str) -> tuple[str, str, str]:
    """Median number and total of a run, and the longest of all runs."""
    runs = [sample.collections for sample in samples[name]]
    longest = max((one for run in runs for one in run), default=0.0)
    total = statistics.median(sum(run) for run in runs)
    return f"{statistics.median(map(len, runs)):.0f}", f"{total * 1e3:.0f}", f"{longest * 1e3:.0f}"


def _for_the_readme(found: Mapping[Case, Samples]) -> dict[str, float]:
    """Ratios to the bare application, medians over all loops and connections."""
    ratios: dict[str, list[float]] = {}
    for case, samples in found.items():
        for name in ("ours", "contrib"):
            for field in ("rate", "p99"):
                ratio = compared(samples, name, "bare", field)
                ratios.setdefault(f"{name}, {field}, {case.route}", []).append(ratio)
    return {name: statistics.median(values) for name, values in ratios.items()}
