"""`blogauto-otel redact`: show what redaction does to a text."""

from __future__ import annotations

import argparse
import sys

from blogauto_otel import redaction
from blogauto_otel.cli.common import Commands, message, read_settings


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "redact", help=message("show what would be redacted in a text (arguments, or standard input)")
    )
    parser.add_argument("text", nargs="*")
    parser.set_defaults(run=show_redaction)


def show_redaction(chosen: argparse.Namespace) -> int:
    """Print the redacted text, and what was replaced and why."""
    loaded = read_settings(chosen)
    text = " ".join(chosen.text) if chosen.text else sys.stdin.read()
    print(redaction.build_redactor(loaded.settings).text(text))
    for found in redaction.explain(text, loaded.settings):
        print(f"  {found}", file=sys.stderr)
    return 0
