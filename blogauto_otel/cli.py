"""`blogauto-otel`: ask the package about itself, without an application."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from blogauto_otel import config, redaction

OFF: Final = "off"  # in place of a directory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="blogauto-otel", description="Ask the telemetry of this environment about itself."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    settings = commands.add_parser("settings", help="print the settings as this environment makes them, secrets masked")
    settings.set_defaults(run=print_settings)
    check = commands.add_parser(
        "check", help="send a span, metrics and a log record, and say whether they were accepted"
    )
    check.add_argument("--json", action="store_true", help="all that is known, as plain data")
    check.set_defaults(run=check_delivery)
    spool = commands.add_parser(
        "spool", help="show what waits on disk because it could not be sent; claims, changes and sends nothing"
    )
    spool.add_argument("--json", action="store_true", help="as plain data")
    spool.set_defaults(run=show_spool)
    redact = commands.add_parser("redact", help="show what would be redacted in a text (arguments, or standard input)")
    redact.add_argument("text", nargs="*")
    redact.set_defaults(run=show_redaction)
    sentry = commands.add_parser(
        "sentry", help="print what collector/export-sentry.yaml needs, taken from SENTRY_DSN; lines for .env"
    )
    sentry.set_defaults(run=print_sentry_variables)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def print_settings(_: argparse.Namespace) -> int:
    """Print every setting with its value, and what is wrong with the environment."""
    loaded = config.read()
    redact = redaction.build_redactor(loaded.settings).text
    for name, value in loaded.settings.printable().items():
        mark = " " if value == config.default_of(name) else "*"
        print(f"{mark} {config.option_of(name).variable} = {redact(_plain(value))}")
    _print_problems(loaded)
    return 1 if loaded.problems else 0


def check_delivery(chosen: argparse.Namespace) -> int:
    """Emit one item of each signal and report what the Collector said."""
    from opentelemetry import _logs, trace

    from blogauto_otel._configure import configure

    logging.disable()  # what would be told there is part of the answer
    telemetry = configure(
        console="off", logging=False, requests="off", sqlalchemy="off", clients=False, system_metrics=False,
        sampler="always_on", spool_dir="off", strict=False,  # a trial: it takes place, and is not kept when it fails
    )  # fmt: skip
    with trace.get_tracer("blogauto_otel.check").start_as_current_span("blogauto-otel check"):
        _logs.get_logger("blogauto_otel.check").emit(body="blogauto-otel check")
    telemetry.force_flush(10.0)
    facts = telemetry.status().as_dict()
    telemetry.shutdown(1.0)
    sent = {signal: figures for signal, figures in facts["delivery"].items() if figures["accepted"]}
    accepted = bool(sent) and all(_is_accepted(figures) for figures in sent.values())
    print(json.dumps(facts, indent=2, default=str) if chosen.json else "\n".join(_check_in_words(facts)))
    print("accepted" if accepted else "not accepted", file=sys.stderr)
    return 0 if accepted else 1


def _is_accepted(figures: Mapping[str, Any]) -> bool:
    return bool(figures["sent"] and not figures["queue_items"] and not figures["dropped"])


def _check_in_words(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{facts['service']} ({facts['environment']})"
    for signal, place in facts["destinations"].items():
        figures = facts["delivery"].get(signal)
        if not figures or not figures["accepted"]:
            yield _line(signal, f"{place}: nothing sent")
        elif _is_accepted(figures):
            yield _line(signal, f"{place}: accepted")
        else:
            why = figures["last_error"] or ", ".join(figures["dropped"]) or "no answer"
            yield _line(signal, f"{place}: not accepted: {why}")
    for problem in facts["problems"]:
        yield f"! {problem}"


def show_spool(chosen: argparse.Namespace) -> int:
    """Print what waits on disk, for how long, and who works on it; never what is in it."""
    loaded = config.read()
    _print_problems(loaded)
    place = _spool_place(loaded.settings)
    if place is None:
        print(json.dumps({"directory": OFF}) if chosen.json else "off: what cannot be sent waits in memory alone")
        return 0
    from blogauto_otel.delivery import spoolview

    try:
        seen = spoolview.look(place)
    except FileNotFoundError:
        seen = ()  # it is made when something has to wait
    except OSError as error:
        print(f"{place} cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    facts = {"directory": str(place), "limits": spoolview.limits(loaded.settings), **spoolview.as_dict(seen)}
    print(json.dumps(facts, indent=2) if chosen.json else "\n".join(_spool_in_words(facts)))
    return 0


def _print_problems(loaded: config.Loaded) -> None:
    redact = redaction.build_redactor(loaded.settings).text
    for problem in loaded.problems:
        print(f"! {redact(problem)}", file=sys.stderr)


def _spool_place(settings: config.Settings) -> Path | None:
    """Where a process with these settings keeps what it cannot send; None: nowhere."""
    from blogauto_otel.delivery import spoolplace

    if not spoolplace.is_wanted(settings):
        return None
    return spoolplace.choose(spoolplace.candidates(settings, os.environ))


def show_redaction(chosen: argparse.Namespace) -> int:
    """Print the text as it would leave, and what was replaced and why."""
    loaded = config.read()
    _print_problems(loaded)
    text = " ".join(chosen.text) if chosen.text else sys.stdin.read()
    print(redaction.build_redactor(loaded.settings).text(text))
    for found in redaction.explain(text, loaded.settings):
        print(f"  {found}", file=sys.stderr)
    return 0


def print_sentry_variables(_: argparse.Namespace) -> int:
    """Print the variables of the Collector's overlay; a DSN is taken apart here, and never in a shell."""
    from blogauto_otel.integrations.sentry.dsn import otlp_destination
    from blogauto_otel.integrations.sentry.traces import TraceIdRatio

    loaded = config.read()
    _print_problems(loaded)
    if loaded.settings.sentry_dsn is None:
        print("SENTRY_DSN is not set", file=sys.stderr)
        return 1
    destination = otlp_destination(loaded.settings.sentry_dsn)
    print(f"SENTRY_OTLP_ENDPOINT={destination.endpoint}")
    print(f"SENTRY_PUBLIC_KEY={destination.public_key}")
    print(f"SENTRY_TRACES_BELOW={TraceIdRatio(loaded.settings.sentry_traces_rate).below_in_hex}")
    return 0


def _spool_in_words(facts: Mapping[str, Any]) -> Iterator[str]:
    limits = facts["limits"]
    yield facts["directory"]
    yield _line(
        "limits",
        f"{_size(limits['bytes'])}, {_many(limits['files'], 'file')}, {_duration(limits['age'])}"
        f" ({_duration(limits['age_of_metrics'])} for metrics)",
    )
    for signal, kept in facts["signals"].items():
        amount = f"{_many(kept['files'], 'file')}, {_size(kept['bytes'])}, {_many(kept['items'], 'item')}"
        yield _line(signal, f"{amount}, the oldest for {_duration(kept['oldest_age'])}" if kept["files"] else "nothing")
    for state, files in facts["states"].items():
        if files or state == "waiting":
            yield _line(state, _many(files, "file"))
    for holder in facts["holders"]:
        works = "is working on" if holder["alive"] else "has ended, and the next to look takes back"
        yield f"process {holder['pid']} {works} {_many(holder['files'], 'file')}"


def _line(name: str, text: str) -> str:
    return f"  {name:<12} {text}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _size(size: float) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 1024:.1f} KiB"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, Mapping):
        return ",".join(f"{name}={item}" for name, item in value.items())
    return "" if value is None else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
