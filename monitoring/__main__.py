"""`python -m monitoring`: generate boards, rules and runbooks; verify and render them; run alert drills."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from monitoring.languages import ENGLISH, LANGUAGES


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


def generate(chosen: argparse.Namespace) -> int:
    """Write every generated file of this repository, or those of the stack in one language."""
    from monitoring.generate import ROOT, stale, write
    from monitoring.repository_files import files_in, repository_files

    files = repository_files() if chosen.language is None else files_in(chosen.language)
    for path in write(files, ROOT):
        print(f"wrote {path.relative_to(ROOT)}")
    for path in stale(repository_files(), ROOT):
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    print(f"{len(files)} generated files are up to date")
    return 0


def report(_: argparse.Namespace) -> int:
    """Verify all generated files with the real programs and print the counts; 1 when something is wrong."""
    from monitoring.verification.report import report as run_report

    return run_report()


def render(chosen: argparse.Namespace) -> int:
    """Render every board to a picture; needs node, npm, Chromium and the fonts Inter and Noto Sans CJK."""
    from monitoring.render.boards import render_boards

    return render_boards(chosen.out, chosen.language, chosen.board)


def drill(chosen: argparse.Namespace) -> int:
    """Make the example fail until the alert arrives at a webhook, then stop until it is resolved."""
    from monitoring.drill import run_drill

    return run_drill(chosen.alert)


def _nothing(_: argparse.ArgumentParser) -> None:
    """No options."""


def _one_language(command: argparse.ArgumentParser) -> None:
    command.add_argument("--language", choices=LANGUAGES, help="write only the files of this language; default: all")


def _pictures(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", default=Path("docs/images"), type=Path, help="a folder; default: docs/images")
    command.add_argument("--language", choices=LANGUAGES, default=ENGLISH, help="of the boards; default: en")
    command.add_argument("--board", action="append", metavar="NAME", help="only this one, such as api; default: all")


def _alert(command: argparse.ArgumentParser) -> None:
    from monitoring.alerts.all import drilled

    names = drilled()
    command.add_argument("alert", choices=[*names, "all"], metavar="alert", help=f"{', '.join(names)}, or all")


COMMANDS: Final[dict[str, tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]]] = {
    "generate": (generate, _one_language),
    "report": (report, _nothing),
    "render": (render, _pictures),
    "drill": (drill, _alert),
}

if __name__ == "__main__":
    sys.exit(main())
