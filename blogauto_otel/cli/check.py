"""`blogauto-otel check`: send one item of each signal and report whether the Collector accepted it."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel.cli.common import Commands, add_service, line, message

if TYPE_CHECKING:
    from blogauto_otel.telemetry import Telemetry

FLUSH_SECONDS: Final = 10.0


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help=message("send a span, metrics and a log record, and report whether the Collector accepted them"),
    )
    parser.add_argument("--json", action="store_true", help=message("print the full report as JSON"))
    add_service(parser)
    parser.set_defaults(run=check_delivery)


def check_delivery(chosen: argparse.Namespace) -> int:
    """Emit one item of each signal and report the response of the Collector."""
    facts = deliver_one_of_each(chosen.service)
    sent = {signal: figures for signal, figures in facts["delivery"].items() if figures["accepted"]}
    accepted = bool(sent) and all(map(is_accepted, sent.values())) and not facts["substitutes"]
    print(json.dumps(facts, indent=2, default=str) if chosen.json else "\n".join(_lines(facts)))
    print(message("accepted") if accepted else message("not accepted"), file=sys.stderr)
    return 0 if accepted else 1


def deliver_one_of_each(service: str | None) -> dict[str, Any]:
    """The status after one item of each signal was sent, with what was used in place of what the settings ask for."""
    telemetry = _send_one_of_each(service)
    facts = telemetry.status().as_dict()
    facts["substitutes"] = _problems(telemetry)
    facts["problems"] += facts["substitutes"]
    telemetry.shutdown(1.0)
    return facts


def _send_one_of_each(service: str | None) -> Telemetry:
    from opentelemetry import _logs, trace

    from blogauto_otel._configure import configure

    logging.disable()  # the report has what would be logged
    telemetry = configure(
        console="off", logging=False, requests="off", sqlalchemy="off", clients=False, system_metrics=False,
        sampler="always_on", spool_dir="off", strict=False,  # a failed check must leave nothing to be sent later
        service_name=service, under_test="export",
    )  # fmt: skip
    with trace.get_tracer("blogauto_otel.check").start_as_current_span("blogauto-otel check"):
        _logs.get_logger("blogauto_otel.check").emit(body="blogauto-otel check")
    telemetry.force_flush(FLUSH_SECONDS)
    return telemetry


def _problems(telemetry: Telemetry) -> list[str]:
    """Reasons why items that were accepted did not travel as the settings ask for."""
    from blogauto_otel.export import endpoints

    missing = None if telemetry.settings.sdk_disabled else endpoints.missing_for_protocol(telemetry.settings)
    return [message("{missing}; http/protobuf was used instead", missing=missing)] if missing else []


def is_accepted(figures: Mapping[str, Any]) -> bool:
    """Whether everything of a signal was sent."""
    return bool(figures["sent"] and not figures["queue_items"] and not figures["dropped"])


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{facts['service']} ({facts['environment']})"
    for signal, endpoint in facts["destinations"].items():
        figures = facts["delivery"].get(signal)
        if not figures or not figures["accepted"]:
            yield line(signal, message("{endpoint}: nothing sent", endpoint=endpoint))
        elif is_accepted(figures):
            yield line(signal, message("{endpoint}: accepted", endpoint=endpoint))
        else:
            why = figures["last_error"] or ", ".join(figures["dropped"]) or message("no answer")
            yield line(signal, message("{endpoint}: not accepted: {why}", endpoint=endpoint, why=why))
    for problem in facts["problems"]:
        yield f"! {problem}"
