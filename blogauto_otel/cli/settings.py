"""`blogauto-otel settings`: print every setting as a line for .env, and the endpoint of each signal."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import shlex
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from blogauto_otel import config, redaction
from blogauto_otel.cli.common import Commands, add_service, message, read_settings
from blogauto_otel.config import Option, Settings, parsers

HEAD: Final = """\
# Settings of this environment, as lines for .env. A line that begins with `#` is a default or holds a masked secret.
"""
UNITS: Final = {"ms": "milliseconds", "s": "seconds", "By": "bytes"}


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("settings", help=message("print the effective settings, secrets masked"))
    add_service(parser)
    parser.set_defaults(run=print_settings)


def print_settings(chosen: argparse.Namespace) -> int:
    """Print every setting with its value, and the problems of the environment."""
    loaded = read_settings(chosen)
    redact = redaction.build_redactor(loaded.settings).text
    print(message(HEAD))
    for part in _destinations(loaded.settings):
        print(redact(part))
    section = ""
    for name, value in loaded.settings.printable().items():
        option = config.option_of(name)
        if option.section != section:
            section = option.section
            print(f"\n# --- {section} ---")
        print(f"\n# {_description(option)}")
        print(_line(option, value, is_default=value == config.default_of(name), redact_text=redact))
    return 1 if loaded.problems else 0


def _destinations(settings: Settings) -> Iterator[str]:
    """The effective endpoint of each signal."""
    from blogauto_otel.export import endpoints

    yield message("# --- Where each signal goes ---")
    if settings.sdk_disabled:
        yield message("# nowhere: OTEL_SDK_DISABLED")
        return
    logging.disable()  # a missing package is printed below
    settings = dataclasses.replace(settings, strict=False)
    missing = endpoints.missing_for_protocol(settings)
    for export in endpoints.export_configs(settings):
        timeout = message("timeout {seconds:g} s", seconds=export.destination.timeout)
        facts = f"{timeout}{', gzip' if export.destination.gzip else ''}"
        protocol = endpoints.protocol_of(settings, export.signal)
        yield f"# {export.signal.value:<8} {export.endpoint} ({protocol}, {facts})"
    if missing:
        yield message("# {missing}; using http/protobuf", missing=missing)


def _description(option: Option) -> str:
    unit = f" In {UNITS[option.unit]}." if option.unit in UNITS else ""
    return f"{option.help}{unit}"


def _line(option: Option, value: object, *, is_default: bool, redact_text: Callable[[str], str]) -> str:
    """`NAME=value` in the unit of the variable, quoted for a shell."""
    plain = _plain(value, option)
    shown = redact_text(plain)
    is_value = not is_default and shown == plain and config.MASK not in plain  # a mask is no value
    return f"{'' if is_value else '#'}{option.variable}={shlex.quote(shown) if shown else ''}"


def _plain(value: object, option: Option) -> str:
    """The value as the variable holds it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return _number(value, option)
    if isinstance(value, tuple):
        separator = " " if option.parse is parsers.patterns else ","
        return separator.join(map(str, value)) or "none"  # no exporter
    if isinstance(value, Mapping):
        return ",".join(f"{name}={urllib.parse.quote(str(item), safe='/:*. ')}" for name, item in value.items())
    return str(value) or "off"  # no path


def _number(value: float, option: Option) -> str:
    in_seconds = option.parse is parsers.otlp_timeout and value < 0.1  # the parser reads these as seconds
    scale = 1000 if option.unit == "ms" and not in_seconds else 1
    return f"{value * scale:.10g}" if isinstance(value, float) else str(value)
