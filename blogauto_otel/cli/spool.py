"""`blogauto-otel spool`: show what waits on disk because it could not be sent."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from blogauto_otel.cli.common import Commands, add_service, duration, line, many, read_settings, size
from blogauto_otel.config import Settings


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "spool",
        help="show what waits on disk because it could not be sent, by service; claims, changes and sends nothing",
    )
    parser.add_argument("--json", action="store_true", help="as plain data")
    add_service(parser)
    parser.set_defaults(run=show_spool)


def show_spool(chosen: argparse.Namespace) -> int:
    """Print what waits on disk, for how long, and who works on it; never what is in it."""
    settings = read_settings(chosen, under_test="export").settings  # a test runner changes no disk
    reason = _why_off(settings)
    if reason:
        print(json.dumps({"off": reason, "services": []}) if chosen.json else f"off: {reason}")
        return 0
    found, failed = [], False
    for directory in _directories(settings, chosen.service):
        try:
            found.append(_look(directory, settings))
        except OSError as error:
            failed = True
            print(f"{directory} cannot be read: {error.strerror}", file=sys.stderr)
    if chosen.json:
        print(json.dumps({"services": found}, indent=2))
    elif found:
        print("\n".join(line for facts in found for line in _in_words(facts)))
    return int(failed)


def _why_off(settings: Settings) -> str | None:
    from blogauto_otel.spool import location

    missing = location.missing_on_this_system()
    if missing is not None:
        return f"this system has no {missing}; what cannot be sent waits in memory alone"
    if not location.is_wanted(settings):
        return "what cannot be sent waits in memory alone"
    return None


def _directories(settings: Settings, service: str | None) -> Sequence[Path]:
    """Those of the service; without a name, of every service; at least the one that these settings would use."""
    from blogauto_otel.spool import location

    own = location.choose(location.candidates(settings, os.environ))
    found = [
        directory
        for directory in location.of_all_services(settings, os.environ)
        if service is None or location.belongs_to(directory, service)
    ]
    if os.path.lexists(own) or not found:
        found.append(own)
    return sorted(set(found))


def _look(directory: Path, settings: Settings) -> dict[str, Any]:
    from blogauto_otel.spool import inspection

    try:
        seen = inspection.look(directory)
    except FileNotFoundError:
        seen = ()  # it is made when something has to wait
    return {"directory": str(directory), "limits": inspection.limits(settings), **inspection.as_dict(seen)}


def _in_words(facts: Mapping[str, Any]) -> Iterator[str]:
    limits = facts["limits"]
    yield facts["directory"]
    yield line(
        "limits",
        f"{size(limits['bytes'])}, {many(limits['files'], 'file')}, {duration(limits['age'])}"
        f" ({duration(limits['age_of_metrics'])} for metrics)",
    )
    for signal, kept in facts["signals"].items():
        amount = f"{many(kept['files'], 'file')}, {size(kept['bytes'])}, {many(kept['items'], 'item')}"
        yield line(signal, f"{amount}, the oldest for {duration(kept['oldest_age'])}" if kept["files"] else "nothing")
    for state, files in facts["states"].items():
        if files or state == "waiting":
            yield line(state, many(files, "file"))
    for holder in facts["holders"]:
        works = "is working on" if holder["alive"] else "has ended, and the next to look takes back"
        yield f"process {holder['pid']} {works} {many(holder['files'], 'file')}"
