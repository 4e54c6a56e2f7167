"""`blogauto-otel spool`: show the telemetry on disk that could not be sent."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from blogauto_otel.cli.common import Commands, add_service, duration, line, many, message, read_settings, size
from blogauto_otel.config import Settings


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "spool",
        help=message(
            "show the telemetry on disk that could not be sent, by service; claims, changes and sends nothing"
        ),
    )
    parser.add_argument("--json", action="store_true", help=message("print JSON"))
    add_service(parser)
    parser.set_defaults(run=show_spool)


def show_spool(chosen: argparse.Namespace) -> int:
    """Print amount, age and claims of the segments on disk, and nothing of their content."""
    settings = read_settings(chosen, under_test="export").settings  # under a test runner too
    reason = _why_off(settings)
    if reason:
        print(json.dumps({"off": reason, "services": []}) if chosen.json else message("off: {reason}", reason=reason))
        return 0
    found, failed = [], False
    for directory in _directories(settings, chosen.service):
        try:
            found.append(_look(directory, settings))
        except OSError as error:
            failed = True
            problem = message("{directory} cannot be read: {reason}", directory=directory, reason=error.strerror)
            print(problem, file=sys.stderr)
    if chosen.json:
        print(json.dumps({"services": found}, indent=2))
    elif found:
        print("\n".join(line for facts in found for line in _lines(facts)))
    return int(failed)


def _why_off(settings: Settings) -> str | None:
    from blogauto_otel.spool import location

    missing = location.missing_on_this_system()
    if missing is not None:
        return message("this system has no {missing}; what cannot be sent waits in memory only", missing=missing)
    if not location.is_wanted(settings):
        return message("what cannot be sent waits in memory only")
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
    text = message(
        "{size}, {files}, {age} ({age_of_metrics} for metrics)",
        size=size(limits["bytes"]), files=many(limits["files"], "file"),
        age=duration(limits["age"]), age_of_metrics=duration(limits["age_of_metrics"]),
    )  # fmt: skip
    yield line(message("limits"), text)
    for signal, stored in facts["signals"].items():
        yield line(signal, _stored(stored) if stored["files"] else message("nothing"))
    for state, files in facts["states"].items():
        if files or state == "waiting":
            yield line(message(state), many(files, "file"))
    for owner in facts["holders"]:
        claimed = "process {pid} has claimed {files}"
        ended = "process {pid} has ended; the next process takes back its {files}"
        yield message(claimed if owner["alive"] else ended, pid=owner["pid"], files=many(owner["files"], "file"))


def _stored(stored: Mapping[str, Any]) -> str:
    return message(
        "{files}, {size}, {items}, the oldest for {age}",
        files=many(stored["files"], "file"), size=size(stored["bytes"]), items=many(stored["items"], "item"),
        age=duration(stored["oldest_age"]),
    )  # fmt: skip
