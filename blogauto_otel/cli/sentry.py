"""`blogauto-otel sentry`: print the variables that the Collector's Sentry overlay needs."""

from __future__ import annotations

import argparse
import sys

from blogauto_otel.cli.common import Commands, message, read_settings


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "sentry",
        help=message("print the variables of collector/export-sentry.yaml, derived from SENTRY_DSN, as lines for .env"),
    )
    parser.set_defaults(run=print_sentry_variables)


def print_sentry_variables(chosen: argparse.Namespace) -> int:
    """Print the variables of the Collector's overlay, so that no shell has to parse a DSN."""
    from blogauto_otel.integrations.sentry.dsn import otlp_destination
    from blogauto_otel.integrations.sentry.traces import SentryTraceRatio

    loaded = read_settings(chosen)
    if loaded.settings.sentry_dsn is None:
        print(message("SENTRY_DSN is not set"), file=sys.stderr)
        return 1
    destination = otlp_destination(loaded.settings.sentry_dsn)
    print(f"SENTRY_OTLP_ENDPOINT={destination.endpoint}")
    print(f"SENTRY_PUBLIC_KEY={destination.public_key}")
    print(f"SENTRY_TRACES_BELOW={SentryTraceRatio(loaded.settings.sentry_traces_rate).below_in_hex}")
    return 0
