"""Virtual environments with other versions, created once and cached in the checkout."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "environments"


def environment(name: str, *requirements: str) -> Path:
    """The Python of an environment with exactly these requirements, created at the first call.

    Args:
        name: Of the folder; a digest of the requirements and of this Python's version is appended.
        requirements: As for `pip install`.
    """
    wanted = "\n".join([sys.version, *requirements])
    folder = CACHE / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    with _alone(folder.with_suffix(".lock")):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            if requirements:
                install(python, *requirements)
            complete.write_text(wanted)
    return python


def with_ai_packages() -> Path:
    """The Python of an environment with `openai`, `google-genai` and `anthropic` and our extras for them."""
    extras = f"blogauto_otel[openai,google-genai,anthropic] @ file://{ROOT}"
    return environment("ai", extras, "openai>=3,<4", "google-genai>=2,<3", "anthropic>=2,<3")


def install(python: Path, *requirements: str) -> None:
    """Install into an environment; a failure carries pip's output."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One test process of the checkout at a time."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
