"""Shared by the commands: the service option, the settings with their problems, and the format of figures."""

from __future__ import annotations

import argparse
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, TypeAlias

from blogauto_otel import _messages, config, redaction

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = object


def message(english: str, **values: object) -> str:
    """A text in the language of the user, with its values; English where the output cannot show Korean."""
    text = _messages.command_text(english, os.environ)
    return (text if _can_be_shown(text) else english).format(**values)


def _can_be_shown(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def add_service(parser: argparse.ArgumentParser) -> None:
    """Add `--service`, for applications that set their name in `configure()` and not in a variable."""
    parser.add_argument(
        "--service", metavar="NAME", help=message("name of the service, as in `configure(service_name=...)`")
    )


def read_settings(chosen: argparse.Namespace, **arguments: object) -> config.Loaded:
    """Read the settings of this environment for the chosen service, and print their problems."""
    loaded = config.read(None, service_name=getattr(chosen, "service", None), **arguments)
    redact = redaction.build_redactor(loaded.settings).text
    for problem in loaded.problems:
        print(f"! {redact(problem)}", file=sys.stderr)
    return loaded


def line(name: str, text: str) -> str:
    """A name and its figure, indented."""
    return f"  {padded(name, 12)} {text}"


def padded(text: str, columns: int) -> str:
    """The text with spaces up to so many columns of a terminal, where Korean characters take two."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return f"{text:<{columns - wide}}"


def many(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return message(f"{{count}} {noun}{'' if count == 1 else 's'}", count=count)


def size(count: float) -> str:
    """A size in KiB or MiB."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.1f} KiB"


def duration(seconds: float) -> str:
    """A duration in hours, minutes or seconds."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return message(f"{{count}} {unit}", count=f"{seconds / length:.0f}")
    return message("{count} s", count=f"{seconds:.0f}")
