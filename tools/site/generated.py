"""The pages that exist only in the site: the reference of the public modules, and the boards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
BOARDS: Final = ROOT / "collector" / "backends" / "grafana" / "dashboards" / "en"
INTRODUCTION: Final = "`Settings` has a field for each argument of `configure()`: [settings](../settings.md).\n"
OPERATION: Final = "blogauto_otel.api.operation.operation"  # griffe takes its name for the module's
# The pages of the reference, with what each shows beside the public names of its module.
MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "blogauto_otel": (OPERATION,),
    "blogauto_otel.api": (OPERATION,),
    "blogauto_otel.api.metrics": ("blogauto_otel.api.business", "blogauto_otel.api.security"),
    "blogauto_otel.testing": (),
    "blogauto_otel.errors": (),
    "blogauto_otel.hooks": (),
}


def pages() -> Mapping[str, str]:
    """Markdown by the path of the page below docs/."""
    reference = {f"reference/{name}.md": _module(name, further) for name, further in MODULES.items()}
    return {**reference, "boards.md": _boards()}


def _module(name: str, further: Iterable[str]) -> str:
    introduction = f"{INTRODUCTION}\n" if name == "blogauto_otel" else ""
    title = f"---\ntitle: {name}\n---\n\n# `{name}`\n\n"
    head = f"{title}{introduction}::: {name}\n    options:\n      show_root_heading: false\n"
    options = "    options:\n      show_root_full_path: false\n"
    return "\n".join([head, *(f"::: {part}\n{options}" for part in further)])


def _boards() -> str:
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(BOARDS.glob("*.json"))]
    boards.sort(key=lambda board: (not board["uid"].endswith("overview"), board["title"]))
    head = "# Boards\n\nThe boards of Grafana, which `docker compose up -d` starts ([the stack](stack.md)).\n"
    return "\n".join([head, *map(_board, boards)])


def _board(board: Mapping[str, Any]) -> str:
    title = board["title"].rpartition("/")[2].strip()
    picture = f"images/board-{board['uid'].partition('-')[2]}.png"
    shown = f"[![{title}]({picture})]({picture})\n\n" if (ROOT / "docs" / picture).exists() else ""
    rows = [f"| {_cell(panel['title'])} | {_cell(panel.get('description', ''))} |" for panel in _panels(board)]
    table = "\n".join(["| panel | |", "|---|---|", *rows])
    return f"## {title}\n\n{board.get('description', '')}\n\n{shown}{table}\n"


def _panels(board: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The panels with data, also those of folded rows."""
    found: list[Mapping[str, Any]] = []
    for panel in board["panels"]:
        found += panel.get("panels", []) if panel["type"] == "row" else [panel]
    return [panel for panel in found if panel.get("title") and panel["type"] != "text"]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
