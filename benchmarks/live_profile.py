"""CPU of a live server by Python function, with `perf` and Python 3.12 or newer.

    python -m benchmarks live_profile --python .venv-3.12/bin/python
    python -m benchmarks live_profile --python .venv-3.12/bin/python --route "body + SQL + log"

Python's trampolines give `perf` the names of functions (https://docs.python.org/3/howto/perf_profiling.html). A sample
counts for the innermost function of its stack, with everything in C that it calls. They make the server slower.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.load.client import ROUTES
from benchmarks.load.measure import Case, run_load, servers
from benchmarks.load.setups import SETUPS
from benchmarks.sink import sink
from benchmarks.table import print_table

LOOP, CONNECTIONS = "asyncio", 8
NO_PERF = "perf is not installed (Debian: apt-get install linux-perf)"
_FUNCTION = re.compile(r" py::(?P<name>[^:]+):(?P<path>.*?)\+0x")
_ROOT = re.compile(r".*/(?=blogauto_otel/)|.*/site-packages/|.*/lib/python3[.0-9]*/")


def main(arguments: Sequence[str] = ()) -> int:
    """Measure and print the table; the exit status."""
    options = _options(arguments)
    if options.script is not None:
        samples = Counter(innermost_functions(options.script.read_text().splitlines()))
        _print("samples", samples, 1.0)
        return 0
    if not shutil.which("perf"):
        print(NO_PERF, file=sys.stderr)
        return 2
    micros, samples = _measure(options)
    if not any(samples):
        print("perf found no Python functions: is it Python 3.12 or newer?", file=sys.stderr)
        return 2
    _print(f"{options.route}: microseconds of CPU a request", samples, micros / samples.total())
    return 0


def _measure(options: argparse.Namespace) -> tuple[float, Counter[str]]:
    """Microseconds of CPU a request, and the samples of each function."""
    with tempfile.TemporaryDirectory() as name, sink() as url:
        folder, variables = Path(name), {"PYTHONPERFSUPPORT": "1"}
        with servers({"ours": SETUPS["ours"]}, [LOOP], options.python, url, folder, variables) as started:
            server = started[LOOP, "ours"]
            record = _record(server.pid, folder / "perf.data", options.seconds)
            with subprocess.Popen(record, stderr=subprocess.DEVNULL):
                micros = run_load(server, Case(LOOP, options.route, CONNECTIONS), options.seconds, folder).cpu_us
        command = ["perf", "script", "--input", str(folder / "perf.data")]
        script = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return micros, Counter(innermost_functions(script.splitlines()))


def _print(unit: str, samples: Counter[str], factor: float) -> None:
    own = sum(count for function, count in samples.items() if "blogauto_otel/" in function)
    title = f"{unit}: {samples.total() * factor:.0f}, in blogauto_otel {own * factor:.1f}"
    rows = [(f"{count * factor:.2f}", function or "outside of Python") for function, count in samples.most_common(60)]
    print_table(title, ("", "function"), rows)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks live_profile", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="3.12 or newer, with the development dependencies")
    parser.add_argument("--route", choices=list(ROUTES), default="plain")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--script", type=Path, help="a file with what `perf script` printed, instead of measuring")
    return parser.parse_args(arguments)


def _record(pid: int, data: Path, seconds: int) -> Sequence[str]:
    """Stacks are found by their unwind information, because Python is built without frame pointers."""
    how = ("--freq", "997", "--call-graph", "dwarf,8192", "--output", str(data), "--pid", str(pid))
    return ("perf", "record", "--quiet", *how, "--", "sleep", str(seconds))


def innermost_functions(lines: Iterable[str]) -> Iterable[str]:
    """The innermost Python function of each sample that `perf script` prints; empty for a sample without one."""
    function, is_sample = "", False
    for line in (*lines, ""):
        if not line.strip():
            if is_sample:
                yield function
            function, is_sample = "", False
            continue
        is_sample = True
        found = None if function else _FUNCTION.search(line)
        if found is not None:
            function = f"{_ROOT.sub('', found['path'])}: {found['name']}"
