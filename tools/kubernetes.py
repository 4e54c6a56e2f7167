"""Copy the Collector's files into the chart, and render the chart as plain files, with Helm itself.

    python -m tools.kubernetes            write deploy/kubernetes/chart/files and deploy/kubernetes/rendered
    python -m tools.kubernetes --check    exit status 1 when either is out of date

Helm 4 is built from its Go module into the cache of stack/build.py.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stack import build

FOLDER: Final = build.ROOT / "deploy" / "kubernetes"
CHART: Final = FOLDER / "chart"
FILES: Final = CHART / "files"
RENDERED: Final = FOLDER / "rendered"
RELEASE: Final = "otel"
NAMESPACE: Final = "observability"
_BUILD_TIME: Final = "builder.yaml"  # of collector/: for the program's build, not for its start


def main(arguments: Sequence[str]) -> int:
    """Write what is out of date, or name it."""
    stale = [FILES] if _texts(FILES) != collector_files() else []
    if stale and "--check" not in arguments:
        _write(FILES, collector_files())
    rendered = render()
    if _texts(RENDERED) != rendered:
        stale.append(RENDERED)
    if "--check" not in arguments:
        _write(RENDERED, rendered)
        return 0
    for folder in stale:
        print(f"{folder.relative_to(build.ROOT)} is out of date: python -m tools.kubernetes")
    return 1 if stale else 0


def collector_files() -> dict[str, str]:
    """The Collector's base and overlays, by file name."""
    found = {path.name: path.read_text() for path in sorted((build.ROOT / "collector").glob("*.yaml"))}
    return {name: text for name, text in found.items() if name != _BUILD_TIME}


def render() -> dict[str, str]:
    """The chart's objects with the values of rendered.values.yaml, by file name."""
    with tempfile.TemporaryDirectory() as folder:
        values = ["--values", str(FOLDER / "rendered.values.yaml")]
        helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *values, "--output-dir", folder)
        return _texts(Path(folder) / "blogauto-otel" / "templates")


def helm(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Helm, built on the first call, without a cluster and without the user's Helm configuration.

    Raises:
        RuntimeError: Helm fails and `check` is set; with its message.
    """
    program = build.ensure([build.HELM], lambda _: None)["helm"]
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "PATH": "/usr/bin:/bin", "KUBECONFIG": "/dev/null"}
        done = subprocess.run(
            [program, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    if check and done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    return done


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}


def _write(folder: Path, texts: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
