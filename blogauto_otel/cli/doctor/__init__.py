"""`blogauto-otel doctor`: follow telemetry hop by hop, and name the first hop that is broken, with its fix."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from blogauto_otel import redaction
from blogauto_otel.cli.common import Commands, add_service, message, padded
from blogauto_otel.cli.doctor import application, backends, collector, local
from blogauto_otel.cli.doctor.hop import HopState, Result, Run, warning
from blogauto_otel.cli.doctor.server import OPTIONS
from blogauto_otel.cli.doctor.web import web_url
from blogauto_otel.config import read
from blogauto_otel.errors import HopEndError

# In the order of the way: what is broken first explains what is broken later.
HOPS: Final[Sequence[Callable[[Run], Iterator[Result]]]] = (
    local.settings,
    local.sampling,
    local.versions,
    local.instrumentations,
    local.spool,
    collector.reach,
    collector.own_metrics,
    application.answers,
    application.metrics,
    backends.jaeger,
    backends.prometheus,
    backends.loki,
    backends.sentry,
    backends.grafana,
)


def _urls() -> dict[str, str]:
    return {
        "--collector-metrics": message("page of the Collector's own metrics"),
        "--jaeger": message("Jaeger's query service"),
        "--prometheus": message("Prometheus"),
        "--loki": message("Loki"),
        "--grafana": message("Grafana; with the variable GRAFANA_TOKEN, where it wants one"),
    }


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help=message("follow telemetry from the application to the backends, and name the first broken hop"),
    )
    parser.add_argument(
        "--app", type=web_url, metavar="URL", help=message("the application, such as http://localhost:8000")
    )
    parser.add_argument(
        "--path", default="/", help=message("route of the request to it; one that is traced (default: /)")
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="NAME:VALUE",
        help=message("of that request, such as a login"),
    )
    examples = dict(OPTIONS.values())
    for name, text in _urls().items():
        parser.add_argument(
            name,
            type=web_url,
            metavar="URL",
            help=message("{what}, such as {example}", what=text, example=examples[name]),
        )
    parser.add_argument("--sentry-dsn", metavar="DSN", help=message("Sentry's DSN; by default SENTRY_DSN"))
    parser.add_argument(
        "--sentry-org", metavar="SLUG", help=message("organization, to read the event back (SENTRY_AUTH_TOKEN)")
    )
    parser.add_argument("--json", action="store_true", help=message("print the full report as JSON"))
    add_service(parser)
    parser.set_defaults(run=diagnose)


def _header(value: str) -> tuple[str, str]:
    name, colon, rest = value.partition(":")
    if not colon or not name.strip():
        raise ValueError(value)
    return name.strip(), rest.strip()


def diagnose(chosen: argparse.Namespace) -> int:
    """Print the result of every hop as it is found; 0 when none is broken, else 1."""
    loaded = read(None, service_name=chosen.service)
    run = Run(loaded.settings, loaded.problems, loaded.notes, chosen)
    redact = redaction.build_redactor(loaded.settings).text
    results = []
    for result in _results(run):
        shown = dataclasses.replace(result, detail=redact(result.detail))
        results.append(shown)
        print(_line(shown), file=sys.stderr if chosen.json else sys.stdout, flush=True)
    first = next((result for result in results if result.state is HopState.BROKEN), None)
    if chosen.json:
        print(_report(run, results, first))
    else:
        print()
        print(message("broken: {hop}. {fix}", hop=first.hop, fix=first.fix) if first else message("nothing is broken"))
    return 1 if first else 0


def _results(run: Run) -> Iterator[Result]:
    for hop in HOPS:
        try:
            yield from hop(run)
        except HopEndError as end:
            yield end.result
        except Exception as error:  # noqa: BLE001 - the other hops still tell something
            module, name = hop.__module__.rpartition(".")[2], hop.__name__
            yield warning(
                f"{module} {name}",
                message("not understood: {error}", error=f"{type(error).__name__}: {error}"),
                message("report this as a bug"),
            )


def _line(result: Result) -> str:
    text = f"{padded(_state(result.state), 12)} {result.hop:<20} {result.detail}"
    return f"{text}\n{'':<12} {'':<20} {message('fix: {fix}', fix=result.fix)}" if result.fix else text


def _state(state: HopState) -> str:
    states = {
        HopState.OK: message("ok"), HopState.BROKEN: message("broken"), HopState.WARNING: message("warning"),
        HopState.NOT_CHECKED: message("not checked"),
    }  # fmt: skip
    return states[state]


def _report(run: Run, results: Sequence[Result], first: Result | None) -> str:
    report = {
        "healthy": first is None,
        "first_broken": first.hop if first else None,
        "fix": first.fix if first else None,
        "trace_id": run.trace_id,
        "hops": [{**dataclasses.asdict(result), "state": result.state.value} for result in results],
    }
    return json.dumps(report, indent=2)
