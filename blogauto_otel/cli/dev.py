"""`blogauto-otel dev`: run a command with a local receiver of its telemetry and a page in the browser."""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blogauto_otel.cli.common import Commands, message

if TYPE_CHECKING:
    from blogauto_otel.inspector.command import Command
    from blogauto_otel.inspector.running import Running
    from blogauto_otel.inspector.state import Inspector

INSTALL: Final = "pip install 'blogauto_otel[dev]'"
KEEP: Final = Path(".blogauto-otel")
DATABASE: Final = "BLOGAUTO_DEV_DATABASE_URL"
SILENCE_SECONDS: Final = 20.0  # without any telemetry, after which one line says so

EXAMPLES: Final = (
    "dev -- uvicorn main:app --reload",
    "dev",
    "dev --mcp -- uvicorn main:app",
)


def _epilog() -> str:
    meanings = (
        message("run the application and show its telemetry"),
        message("only receive, from services that already run"),
        message("the same for an agent, on standard input and output"),
    )
    lines = [f"  blogauto-otel {example:<34} {text}" for example, text in zip(EXAMPLES, meanings, strict=True)]
    return "\n".join((message("examples:"), *lines))


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "dev", help=message("run a command and show its telemetry in a local page"), epilog=_epilog(),
        usage=message("blogauto-otel dev [options] [-- COMMAND ...]"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--port", type=_port, metavar="N", help=message("port of the page (default: 4320, or a free one)")
    )
    parser.add_argument(
        "--keep",
        nargs="?",
        type=Path,
        const=KEEP,
        metavar="DIR",
        help=message("keep what arrives in DIR (default: {default})", default=KEEP),
    )
    parser.add_argument("--open", action="store_true", help=message("open the page in the browser"))
    parser.add_argument("--terminal", action="store_true", help=message("print each request as a tree"))
    parser.add_argument(
        "--mcp", action="store_true", help=message("answer an agent by MCP on standard input and output")
    )
    parser.add_argument(
        "--database", metavar="URL", default=os.environ.get(DATABASE),
        help=message(
            "database whose query plans the page shows, SQLite or PostgreSQL (default: {default})", default=DATABASE
        ),
    )  # fmt: skip
    parser.add_argument(
        "--max-spans", type=_positive, metavar="N", help=message("spans kept (default: {default})", default=50_000)
    )
    parser.add_argument(
        "--max-bytes",
        type=_positive,
        metavar="N",
        help=message("bytes kept (default: {default})", default="268435456, 256 MiB"),
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(message("{given}: expected a port, 0 to 65535", given=text))
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(message("{given}: expected a number above 0", given=text))
    return number


def run(chosen: argparse.Namespace) -> int:
    """Receive and show until the command ends, or until Ctrl-C without one.

    Returns:
        The exit status of the command; 2 when something is missing or the port is taken.
    """
    problem = _problem(chosen)
    if problem is not None:
        return _fail(problem)
    from blogauto_otel.inspector.command import Command
    from blogauto_otel.inspector.running import running

    arguments = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    command = Command(arguments) if arguments else None
    try:
        inspector = _inspector(chosen, command)
    except (OSError, sqlite3.Error) as error:
        return _fail(message("{folder} cannot be used: {error}", folder=chosen.keep, error=error))
    try:
        with running(inspector, port=chosen.port, folder=chosen.keep, standard_ports=command is None) as served:
            return _serve(chosen, served, command)
    except OSError as error:
        return _fail(f"{error.strerror or error}{f' (--port {chosen.port})' if chosen.port else ''}")
    except KeyboardInterrupt:  # before the handlers of signals are set, or after
        return 128 + signal.SIGINT
    finally:
        inspector.store.close()


def _problem(chosen: argparse.Namespace) -> str | None:
    from blogauto_otel.inspector import missing_distributions

    missing = missing_distributions()
    if missing:
        return message("{packages} is missing: {install}", packages=", ".join(missing), install=INSTALL)
    if chosen.mcp and find_spec("mcp") is None:
        return message("{packages} is missing: {install}", packages="mcp", install=INSTALL)
    return None


def _fail(problem: str) -> int:
    print(f"blogauto-otel dev: {problem}", file=sys.stderr)
    return 2


def _inspector(chosen: argparse.Namespace, command: Command | None) -> Inspector:
    from blogauto_otel.inspector import store
    from blogauto_otel.inspector.explain import Explainer
    from blogauto_otel.inspector.ingest import Ingest
    from blogauto_otel.inspector.state import Inspector

    limits = store.Limits(chosen.max_bytes or store.MAX_BYTES, chosen.max_spans or store.MAX_SPANS)
    kept = store.Store(chosen.keep, limits)
    return Inspector(kept, Ingest(kept), Explainer(chosen.database), command)


def _serve(chosen: argparse.Namespace, served: Running, command: Command | None) -> int:
    from blogauto_otel import _threads
    from blogauto_otel.inspector import child

    inspector = served.inspector
    _announce(chosen, served, command)
    finish = _print_trees(inspector) if chosen.terminal and not chosen.mcp else None
    if chosen.mcp:
        _threads.start_thread(_answer_agent, "inspector agent", inspector)
    if command is None:
        status = _wait_for_signal()
    else:
        _threads.start_thread(_report_silence, "inspector silence", inspector)
        variables = child.environment(os.environ, endpoint=inspector.http_endpoint)
        status = child.run(command, variables, is_quiet=chosen.mcp)
    inspector.ingest.drain(2.0)
    if finish is not None:
        finish()
    return status


def _announce(chosen: argparse.Namespace, served: Running, command: Command | None) -> None:
    """One line: where the page is, and where services that already run send to."""
    inspector = served.inspector
    sources = ""
    if command is None and inspector.grpc_endpoint:
        where = {"http": inspector.http_endpoint, "grpc": inspector.grpc_endpoint}
        sources = message("; OTLP at {http} and {grpc} (gRPC)", **where)
    elif command is None:
        sources = message("; OTLP at {http}", http=inspector.http_endpoint)
    print(f"blogauto-otel dev: {served.address}{sources}", file=sys.stderr, flush=True)
    if chosen.open:
        import webbrowser

        webbrowser.open(served.address)


def _print_trees(inspector: Inspector) -> Callable[[], None]:
    """Print requests from now on; the result prints those that are left."""
    from blogauto_otel import _threads
    from blogauto_otel.inspector.terminal import Printer

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    printer = Printer(inspector, write, colors=sys.stdout.isatty())
    thread = _threads.start_thread(printer.run, "inspector terminal")

    def finish() -> None:
        inspector.is_stopping = True
        if thread is not None:
            thread.join(2.0)
        printer.print_new()

    return finish


def _answer_agent(inspector: Inspector) -> None:
    """Answer until the agent closes standard input, then end as by SIGTERM."""
    import anyio

    from blogauto_otel.inspector import mcp_server

    anyio.run(mcp_server.run_stdio, inspector)
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_signal() -> int:
    """Wait for Ctrl-C or SIGTERM, which are how this ends: exit status 0."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: received.append(number))
    while not received:
        time.sleep(0.2)
    return 0


def _report_silence(inspector: Inspector) -> None:
    """Report once that nothing arrives, and what to do."""
    time.sleep(SILENCE_SECONDS)
    if inspector.ingest.last_arrival is None and not inspector.is_stopping:
        print(
            "blogauto-otel dev:",
            message(
                "no telemetry has arrived yet. Is blogauto_otel installed in the Python of the command, and does the"
                " application set no endpoint in its code?"
            ),
            file=sys.stderr,
        )
