"""What the commands share: the service option, the settings and their problems, and how figures are written."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

from blogauto_otel import config, redaction

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = object


def add_service(parser: argparse.ArgumentParser) -> None:
    """`--service`: an application that names itself in `configure()` has no variable to be known by."""
    parser.add_argument("--service", metavar="NAME", help="the service's name, as `configure(service_name=...)` has it")


def read_settings(chosen: argparse.Namespace, **arguments: object) -> config.Loaded:
    """The settings of this environment for the chosen service; their problems are printed."""
    loaded = config.read(None, service_name=getattr(chosen, "service", None), **arguments)
    redact = redaction.build_redactor(loaded.settings).text
    for problem in loaded.problems:
        print(f"! {redact(problem)}", file=sys.stderr)
    return loaded


def line(name: str, text: str) -> str:
    """A figure under its name."""
    return f"  {name:<12} {text}"


def many(count: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Bytes, for a reader."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.1f} KiB"


def duration(seconds: float) -> str:
    """A time, for a reader."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
