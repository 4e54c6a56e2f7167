"""`python -m monitoring`: generate boards, rules and runbooks; verify and render them; run alert drills."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, (run, options) in COMMANDS.items():
        command = commands.add_parser(name, help=(run.__doc__ or "").splitlines()[0], description=run.__doc__)
        options(command)
        command.set_defaults(run=run)
    chosen = parser.parse_args(arguments)
    run_chosen: Callable[[argparse.Namespace], int] = chosen.run
    return run_chosen(chosen)


def generate(_: argparse.Namespace) -> int:
    """Write every generated file of this repository."""
    from monitoring.generate import ROOT, generated_files, stale, write
    from monitoring.parameters import BLOGAUTO

    files = generated_files(BLOGAUTO)
    for path in write(files, ROOT):
        print(f"wrote {path.relative_to(ROOT)}")
    for path in stale(files, ROOT):
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    print(f"{len(files)} generated files are up to date")
    return 0


def rules(chosen: argparse.Namespace) -> int:
    """Write the rules of another service, whose metrics have their own namespace.

    Rules about the monitoring itself are the same for all services and are not written.
    """
    from monitoring.generate import rules as rule_texts
    from monitoring.generate import write
    from monitoring.parameters import BLOGAUTO

    service = BLOGAUTO.named(chosen.namespace)
    name = f"{service.namespace}.yml"
    for path in write({name: rule_texts(service)[name]}, chosen.out):
        print(f"wrote {path}")
    return 0


def boards(chosen: argparse.Namespace) -> int:
    """Write the boards of another service."""
    import json

    from monitoring.boards.all import boards as built
    from monitoring.generate import write
    from monitoring.parameters import BLOGAUTO

    service = BLOGAUTO.named(chosen.namespace)
    texts = {f"{uid}.json": json.dumps(board, indent=1) + "\n" for uid, board in built(service).items()}
    for path in write(texts, chosen.out):
        print(f"wrote {path}")
    return 0


def report(_: argparse.Namespace) -> int:
    """Verify all generated files with the real programs and print the counts; 1 when something is wrong."""
    from monitoring.verification.report import report as run_report

    return run_report()


def render(chosen: argparse.Namespace) -> int:
    """Render every board to a picture; needs node, npm and Chromium."""
    from monitoring.render.boards import render_boards

    return render_boards(chosen.out)


def drill(chosen: argparse.Namespace) -> int:
    """Make the example fail until the alert arrives at a webhook, then stop until it is resolved."""
    from monitoring.drill import run_drill

    return run_drill(chosen.alert)


def _nothing(_: argparse.ArgumentParser) -> None:
    """No options."""


def _service(command: argparse.ArgumentParser) -> None:
    command.add_argument("--namespace", required=True, help="the prefix of the service's metrics, such as shop")
    command.add_argument("--out", required=True, type=Path, help="a folder")


def _pictures(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", default=Path("docs/images"), type=Path, help="a folder; default: docs/images")


def _alert(command: argparse.ArgumentParser) -> None:
    from monitoring.alerts.all import drilled

    names = drilled()
    command.add_argument("alert", choices=[*names, "all"], metavar="alert", help=f"{', '.join(names)}, or all")


COMMANDS: Final[dict[str, tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]]] = {
    "generate": (generate, _nothing),
    "rules": (rules, _service),
    "boards": (boards, _service),
    "report": (report, _nothing),
    "render": (render, _pictures),
    "drill": (drill, _alert),
}

if __name__ == "__main__":
    sys.exit(main())
