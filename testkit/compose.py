"""The compose files as Compose loads them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from stack import build

BASE = ("docker-compose.yml",)
WITH_APPS = ("docker-compose.yml", "docker-compose.apps.yml")


def example_environment() -> dict[str, str]:
    """The variables of .env.example."""
    lines = (build.ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def load(files: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Compose's own loader: interpolation, merge, schema."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    command = loader(files)
    return subprocess.run(command, cwd=build.ROOT, env=env, capture_output=True, text=True, check=False)


def loader(files: Sequence[str]) -> list[str]:
    """The command that prints them as JSON: Compose's library built with Go, else Compose itself."""
    if build.go_problem() is None or not build.missing([build.COMPOSE_CONFIG]):
        return [str(build.ensure([build.COMPOSE_CONFIG], lambda _: None)["compose-config"]), *files]
    chosen = [part for name in files for part in ("--file", name)]
    return ["docker", "compose", "--env-file", os.devnull, "--profile", "*", *chosen, "config", "--format", "json"]


def model(files: Sequence[str], **changes: str) -> dict[str, Any]:
    """The merged document, with the variables of .env.example and these changes."""
    done = load(files, {**example_environment(), **changes})
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
