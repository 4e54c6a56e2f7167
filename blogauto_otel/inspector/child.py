"""The command that `dev` runs: its environment, its signals, its exit status."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from blogauto_otel.inspector.command import Command

AUTOLOAD: Final = Path(__file__).parent / "autoload"

# Where telemetry goes and how it is sampled: what the user has set for production does not count here.
_REPLACED: Final = (
    "OTEL_SDK_DISABLED", "OTEL_CONFIG_FILE", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
    "BLOGAUTO_OTEL_SAMPLE_ROUTES",
    *(
        f"OTEL_EXPORTER_OTLP_{signal}{name}"
        for signal in ("", "TRACES_", "METRICS_", "LOGS_")
        for name in ("ENDPOINT", "PROTOCOL", "HEADERS", "INSECURE", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    ),
)  # fmt: skip
_DEVELOPMENT: Final = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "2000",
    "BLOGAUTO_OTEL_ENVIRONMENT": "development",
    "BLOGAUTO_OTEL_SAMPLE_RATE": "1",
    "BLOGAUTO_OTEL_SQL_SOURCE": "true",
    "BLOGAUTO_OTEL_SPOOL_DIR": "off",  # nothing of development waits on disk for another day
}
_FORWARDED: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def environment(given: Mapping[str, str], *, endpoint: str, autoload: bool = True) -> dict[str, str]:
    """The environment of the command.

    Args:
        given: the environment of this process.
        endpoint: of the receiver, by HTTP.
        autoload: whether Python processes configure telemetry by themselves.
    """
    built = {name: value for name, value in given.items() if name not in _REPLACED}
    built.update(_DEVELOPMENT)
    built["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    if autoload:
        built["PYTHONPATH"] = os.pathsep.join(filter(None, [str(AUTOLOAD), given.get("PYTHONPATH")]))
    return built


def run(command: Command, variables: Mapping[str, str], *, is_quiet: bool = False) -> int:
    """Run the command to its end; signals that this process gets are passed on.

    Args:
        command: its arguments; pid and exit status are written into it.
        variables: its environment.
        is_quiet: whether standard output and input belong to this process alone.

    Returns:
        The exit status of the command: 128 + n if signal n has ended it, 127 if there is no such program.
    """
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": sys.stderr} if is_quiet else {}
    with _pending_signals() as pending:
        try:
            arguments = [_program(command.arguments[0]), *command.arguments[1:]]
            child = subprocess.Popen(arguments, env=dict(variables), **streams)  # noqa: S603 - what the user typed
        except OSError as error:
            sys.stderr.write(f"blogauto-otel dev: {command.arguments[0]}: {error.strerror}\n")
            command.exit_code = 126 if isinstance(error, PermissionError) else 127
            return command.exit_code
        command.pid = child.pid
        with _forwarded(child, pending):
            status = child.wait()
    command.exit_code = 128 - status if status < 0 else status
    return command.exit_code


def _program(name: str) -> str:
    """A program on the path, or else beside this Python: its environment may not be activated."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent)) or name


@contextlib.contextmanager
def _pending_signals() -> Iterator[list[int]]:
    """A block in which signals are collected, so that none is lost while the command starts."""
    pending: list[int] = []
    former = _handle(lambda number, _frame: pending.append(number))
    try:
        yield pending
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _forwarded(child: subprocess.Popen[Any], pending: Sequence[int]) -> Iterator[None]:
    """A block in which signals reach the command, which then decides when both end."""

    def forward(number: int, _frame: object) -> None:
        if number == signal.SIGINT and _is_typed():
            return  # the terminal sends Ctrl-C to the command as well; a second one would cut its shutdown short
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    _handle(forward)
    for number in pending:
        forward(number, None)
    yield


def _handle(handler: Any) -> dict[int, Any]:
    """Set the handler of every signal that is passed on; returns the former ones."""
    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    return {number: signal.signal(number, handler) for number in numbers}


def _is_typed() -> bool:
    """Whether this process is in the foreground of a terminal, where Ctrl-C reaches the command without us."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except (OSError, AttributeError):
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
