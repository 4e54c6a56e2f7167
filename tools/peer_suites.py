"""Run other projects' test suites with telemetry active, and what fails there without it.

    python -m tools.peer_suites              # every suite of peer_suites.json
    python -m tools.peer_suites structlog    # some

Each suite comes from the project's source distribution on PyPI and runs in a virtual environment of its own, both in
the user's cache. The tests that fail are run again alone, with telemetry and then without. One that fails only with it
must be listed under `expected` in peer_suites.json, with the reason. Exit status 1 for a failure that is not listed, or
a listed one that no longer happens.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import venv
from collections.abc import Collection, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SUITES = Path(__file__).with_suffix(".json")
TIMEOUT = 7200.0  # seconds for one run of a suite, on a loaded machine
ENDED = (0, 1)  # exit statuses of pytest after the last test: all passed, some failed
NOT_ENDED = {2: "interrupted", 3: "internal error", 4: "usage error", 5: "no tests"}  # its other ones


@dataclasses.dataclass(frozen=True)
class Suite:
    """A project, what its tests need, and the tests that are expected to fail."""

    name: str
    version: str
    requirements: Sequence[str]
    arguments: Sequence[str]  # of pytest
    expected: Mapping[str, str]  # pattern of test ids, and the reason
    extras: Sequence[str] = ()
    left_out: str = ""  # the parts of the suite that are not run, and why
    reruns_files: bool = False  # its ids cannot be given to pytest, so whole files are run again

    def selection(self, tests: Collection[str]) -> list[str]:
        """What pytest is given to run these tests again."""
        return sorted({test.partition("::")[0] for test in tests} if self.reruns_files else tests)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The failures that telemetry causes."""

    tests: int
    passed_alone: Sequence[str]  # failed in the run of the whole suite only
    failed_without: int
    expected: Sequence[str]
    unexpected: Sequence[str]
    unused: Sequence[str]  # expected patterns that match no failure

    @property
    def passed(self) -> bool:
        """Whether the differences are those that are listed."""
        return not self.unexpected and not self.unused


def load_suites() -> dict[str, Suite]:
    """The suites of peer_suites.json, by name."""
    return {name: Suite(name=name, **fields) for name, fields in json.loads(SUITES.read_text()).items()}


def compare(
    suite: Suite, tests: int, *, failed_with: set[str], failed_without: set[str], passed_alone: Collection[str] = ()
) -> Comparison:
    """Split the failures with telemetry: those that happen without it as well, the listed, and the others."""
    new = sorted(failed_with - failed_without)
    expected = [test for test in new if any(fnmatch.fnmatchcase(test, pattern) for pattern in suite.expected)]
    unused = [pattern for pattern in suite.expected if not fnmatch.filter(new, pattern)]
    known = len(failed_with & failed_without)
    unexpected = [test for test in new if test not in expected]
    return Comparison(tests, sorted(passed_alone), known, expected, unexpected, unused)


# --- sources and environments -----------------------------------------------------------------------------------------


def cache_root() -> Path:
    """Where sources and environments stay."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "blogauto_otel-peer-suites"


def source(suite: Suite) -> Path:
    """The unpacked source distribution."""
    folder = cache_root() / f"{suite.name}-{suite.version}"
    if not folder.is_dir():
        downloads = cache_root() / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        wanted = f"{suite.name}=={suite.version}"
        _run(
            [
                *_pip(sys.executable),
                "download",
                "--no-deps",
                "--no-binary",
                suite.name,
                "--dest",
                str(downloads),
                wanted,
            ]
        )
        prefix = suite.name.replace("-", "_").lower()
        [archive] = [
            path for path in downloads.glob("*.tar.gz") if path.name.lower() == f"{prefix}-{suite.version}.tar.gz"
        ]
        unpacked = cache_root() / f"{folder.name}.unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        [top] = unpacked.iterdir()
        top.rename(folder)
        unpacked.rmdir()
    return folder


def environment(suite: Suite, folder: Path) -> Path:
    """The Python of an environment with the project, its test requirements and this checkout."""
    project = f"{folder}[{','.join(suite.extras)}]" if suite.extras else str(folder)
    wanted = [project, *suite.requirements, "--editable", str(ROOT)]
    digest = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    root = cache_root() / f"{suite.name}-{suite.version}-venv-{digest}"
    python, complete = root / "bin" / "python", root / "complete"
    if not complete.exists():
        shutil.rmtree(root, ignore_errors=True)
        venv.create(root, with_pip=True)
        _run([*_pip(str(python)), "install", *wanted])
        complete.touch()
    return python


def _pip(python: str) -> list[str]:
    return [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, timeout=TIMEOUT)


# --- runs -------------------------------------------------------------------------------------------------------------


class _Accept(BaseHTTPRequestHandler):
    """Accepts every export request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """The endpoint of a receiver: without one, the line that says so would be logged in some test, by chance."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Accept) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def run_tests(python: Path, folder: Path, arguments: Sequence[str], *, configure: bool) -> dict[str, list[str]]:
    """Run a suite; the ids of its tests by result. Raises RuntimeError if pytest did not get to the last test."""
    results = folder.with_name(f"{folder.name}.results.json")
    results.unlink(missing_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "BLOGAUTO_OTEL_"))}
    # A folder of its own: in that of this file Python 3.10 takes tools/site for the standard library's.
    plugins = Path(__file__).with_name("pytest_plugins")
    environ |= {"PYTHONPATH": str(plugins), "PEER_SUITES_RESULTS": str(results)}
    environ["PATH"] = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])  # its programs
    options = ["-q", "-p", "peer_suites_plugin", "-p", "no:cacheprovider"]
    options += ["--continue-on-collection-errors", "--maxfail=0"]
    command = [str(python), "-m", "pytest", *options, *arguments]
    with receiver() as endpoint:
        if configure:
            environ |= {"PEER_SUITES_ENDPOINT": endpoint, "BLOGAUTO_OTEL_UNDER_TEST": "export"}
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    if done.returncode not in ENDED or not results.exists():
        status = f"exit status {done.returncode}, {NOT_ENDED.get(done.returncode, 'without results')}"
        output = f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
        raise RuntimeError(f"pytest did not run to its end ({status}): {' '.join(command)}\n{output}")
    found: dict[str, Any] = json.loads(results.read_text())
    return found


def expand(folder: Path, arguments: Sequence[str]) -> list[str]:
    """Replace patterns of paths (`tests/test_*.py`) by the paths, as a shell does."""
    found = ([str(path.relative_to(folder)) for path in folder.glob(argument)] for argument in arguments)
    return [one for argument, paths in zip(arguments, found, strict=True) for one in sorted(paths) or [argument]]


def run_suite(suite: Suite) -> Comparison:
    """Run a suite with telemetry, and the tests that fail with and without it."""
    folder = source(suite)
    python = environment(suite, folder)
    arguments = expand(folder, suite.arguments)
    options = [argument for argument in arguments if not (folder / argument).exists()]

    def failures(tests: Collection[str], *, configure: bool) -> set[str]:
        """Those of these tests, run without the others, that fail."""
        if not tests:
            return set()
        again = run_tests(python, folder, [*options, *suite.selection(tests)], configure=configure)
        return {*again["failed"]} & {*tests}

    found = run_tests(python, folder, arguments, configure=True)
    failed = failures(found["failed"], configure=True)  # real time, real ports: what fails by chance passes alone
    return compare(
        suite,
        len({*found["passed"], *found["failed"]}),
        failed_with=failed,
        failed_without=failures(failed, configure=False),
        passed_alone={*found["failed"]} - failed,
    )


def main(names: Sequence[str]) -> int:
    """Run the named suites, or all; the exit status."""
    suites = load_suites()
    parser = argparse.ArgumentParser(prog="python -m tools.peer_suites", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("suites", nargs="*", choices=[*suites, []], help="default: all")
    chosen = parser.parse_args(names).suites or list(suites)
    passed = True
    print(f"{'suite':28} {'tests':>6} {'pass alone':>11} {'fail anyway':>12} {'expected':>9} {'unexpected':>11}")
    for name in chosen:
        suite = suites[name]
        found = run_suite(suite)
        label = f"{name} {suite.version}"
        figures = f"{len(found.passed_alone):11} {found.failed_without:12}"
        figures += f" {len(found.expected):9} {len(found.unexpected):11}"
        print(f"{label:28} {found.tests:6} {figures}", flush=True)
        for test in found.passed_alone:
            print(f"  fails in the whole suite, passes alone: {test}")
        for test in found.unexpected:
            print(f"  fails only with telemetry: {test}")
        for pattern in found.unused:
            print(f"  expected to fail, but passes: {pattern}")
        passed = passed and found.passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
