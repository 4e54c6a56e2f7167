"""`blogauto-otel spool`: show the telemetry on disk that could not be sent."""

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
        help="show the telemetry on disk that could not be sent, by service; claims, changes and sends nothing",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_service(parser)
    parser.set_defaults(run=show_spool)


def show_spool(chosen: argparse.Namespace) -> int:
    """Print amount, age and claims of the segments on disk, and nothing of their content."""
    settings = read_settings(chosen, under_test="export").settings  # under a test runner too
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
        print("\n".join(line for facts in found for line in _lines(facts)))
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
    """The directories of the service, or of every service; at least the one that these settings would use."""
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
        seen = inspection.list_files(directory)
    except FileNotFoundError:
        seen = ()  # the directory is created with the first segment
    return {"directory": str(directory), "limits": inspection.limits(settings), **inspection.as_dict(seen)}


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    limits = facts["limits"]
    yield facts["directory"]
    yield line(
        "limits",
        f"{size(limits['bytes'])}, {many(limits['files'], 'file')}, {duration(limits['age'])}"
        f" ({duration(limits['age_of_metrics'])} for metrics)",
    )
    for signal, stored in facts["signals"].items():
        amount = f"{many(stored['files'], 'file')}, {size(stored['bytes'])}, {many(stored['items'], 'item')}"
        yield line(
            signal, f"{amount}, the oldest for {duration(stored['oldest_age'])}" if stored["files"] else "nothing"
        )
    for state, files in facts["states"].items():
        if files or state == "waiting":
            yield line(state, many(files, "file"))
    for owner in facts["holders"]:
        state = "has claimed" if owner["alive"] else "has ended; the next process takes back its"
        yield f"process {owner['pid']} {state} {many(owner['files'], 'file')}"
