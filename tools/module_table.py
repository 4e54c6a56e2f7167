"""The module table of docs/architecture.md, from the docstrings: `python -m tools.module_table` updates the page."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "blogauto_otel"
PAGE: Final = ROOT / "docs" / "architecture.md"

BEGIN: Final = "<!-- modules:begin (printed from the docstrings by tools/module_table.py) -->"
END: Final = "<!-- modules:end -->"


def layers() -> list[list[str]]:
    """The layers of the import contract in pyproject.toml, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    return [re.split(r" [:|] ", layer) for layer in found]


def modules(name: str) -> list[Path]:
    """The files of a module or package directly below `blogauto_otel`."""
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{name}.py"]


def summary(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def rows(names: Sequence[str]) -> Iterator[str]:
    """One line per module of a layer, in alphabetical order of the layer's members."""
    for name in names:
        for path in modules(name):
            relative = path.relative_to(PACKAGE).as_posix()
            shown = relative.removesuffix("__init__.py") or "__init__.py"
            link = f"[`{shown}`](../blogauto_otel/{relative})"
            yield f"| {link} | {summary(path).replace('|', chr(92) + '|')} |"


def table() -> str:
    """The whole table, a block per layer."""
    lines = ["| module | purpose |", "| --- | --- |", *rows(["__init__"])]
    for number, names in enumerate(layers(), start=1):
        lines += [f"| **{number}** | **{', '.join(names)}** |", *rows(names)]
    return "\n".join(lines)


def rendered(text: str) -> str:
    """The page with its table up to date."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", text)


def main() -> None:
    """Update the page."""
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
