"""Node packages, installed once into the user's cache and never into this repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

MANIFESTS: Final = Path(__file__).parent

# Install scripts do not run: a package gets no chance to execute code before it is used.
INSTALL: Final = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


class NodeError(RuntimeError):
    """Node or npm is missing, or npm could not install; the message says which and what to do."""


def packages(name: str | Path) -> Path:
    """The folder with `node_modules` for a manifest (`logql`, `render`) or its folder, installed when it is not there yet.

    Raises:
        NodeError: node or npm is missing, or npm failed.
    """
    manifest = MANIFESTS / name
    files = sorted(manifest.glob("package*.json"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    target = _cache() / f"{manifest.name}-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "node_modules").is_dir():
            _install(files, target)
    return target


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "blogauto_otel-node"


def _install(files: list[Path], target: Path) -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NodeError(
                f"{program} is not installed: checks of LogQL, pictures of boards and the inspector's page need node 20 or newer."
            )
    work = target.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for path in files:
        shutil.copy(path, work)
    command = INSTALL if (work / "package-lock.json").exists() else ("npm", "install", *INSTALL[2:])
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodeError(f"npm could not install {target.name}: {(done.stdout + done.stderr).strip()}")
    work.rename(target)
