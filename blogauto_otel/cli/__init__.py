"""`blogauto-otel`: the command line. One module a command; each adds its parser and runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from blogauto_otel.cli import check, dev, doctor, monitoring, redact, sentry, settings, spool
from blogauto_otel.cli.common import message

COMMANDS: Final = (dev, settings, check, doctor, spool, redact, sentry, monitoring)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        if chosen.run is None:
            parser.print_help()
            return 0
        status: int = chosen.run(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blogauto-otel",
        description=message("Show settings, test delivery, inspect what waits on disk, and run a local page."),
    )
    parser.add_argument("--version", action="version", version=f"blogauto-otel {_version()}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def _version() -> str:
    try:
        return version("blogauto_otel")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return message("of an uninstalled checkout")
