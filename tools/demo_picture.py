"""The picture of `make demo` in a terminal: `python -m tools.demo_picture` runs the demo and draws what it prints."""

from __future__ import annotations

import html
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "demo.svg"

# The sections that are drawn, by the beginning of their headings.
SECTIONS: Final = ("Requests, from the metrics", "AI usage", "A failed request", "Summary")
CUT: Final = 110  # characters of a line

CELL_WIDTH: Final = 8.0
LINE_HEIGHT: Final = 18
MARGIN: Final = 20
BAR: Final = 34  # the title bar
BACKGROUND: Final = "#0f172a"
TEXT: Final = "#e2e8f0"
COLOURS: Final = {"2": "#94a3b8", "31": "#f87171", "32": "#4ade80", "33": "#facc15", "36": "#22d3ee"}
BOLD: Final = "1"
_SEQUENCE: Final = re.compile(r"\x1b\[([0-9;]*)m")
_WORDS: Final = re.compile(r"\S+(?: \S+)*")  # a browser joins several spaces

Run = tuple[int, str, str]  # column, text, code of its colour or weight


def captured() -> str:
    """What the demo prints to a terminal, colours included."""
    reader, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen([sys.executable, "-m", "examples.demo"], stdout=terminal, cwd=ROOT, env=environment) as demo:
        os.close(terminal)
        parts = list(_read(reader))
    os.close(reader)
    if demo.returncode:
        raise SystemExit(f"the demo ended with {demo.returncode}")
    return b"".join(parts).decode()


def _read(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # the other end of the terminal is closed
            return
        if not part:
            return
        yield part


def shown(output: str) -> list[str]:
    """The lines of the chosen sections; a step that was printed twice only as it ended."""
    lines = [line.rpartition("\r")[2] for line in output.replace("\r\n", "\n").split("\n")]
    chosen: list[str] = []
    drawn = False
    for line in lines:
        heading = re.match(r"── (.+?) ─", _SEQUENCE.sub("", line))
        if heading:
            drawn = heading[1].startswith(SECTIONS)
        if drawn:
            chosen.append(line)
    while chosen and not chosen[-1]:
        chosen.pop()
    return chosen


def runs(line: str) -> Iterator[Run]:
    """The words of a line, joined where one space and one colour allows it."""
    column, code, position = 0, "", 0
    for found in [*_SEQUENCE.finditer(line), None]:
        text = line[position : found.start() if found else len(line)]
        visible = text[: max(0, CUT - column)]
        for word in _WORDS.finditer(visible):
            yield column + word.start(), word[0], code
        column += len(text)
        if found:
            code, position = found[1] if found[1] != "0" else "", found.end()


def _element(run: Run, y: int) -> str:
    column, text, code = run
    style = ' font-weight="700"' if code == BOLD else f' fill="{COLOURS[code]}"' if code in COLOURS else ""
    width = f'textLength="{len(text) * CELL_WIDTH:g}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{MARGIN + column * CELL_WIDTH:g}" y="{y}" {width}{style}>{html.escape(text, quote=False)}</text>'


def svg(lines: Sequence[str]) -> str:
    """The lines as a terminal window."""
    width, height = 2 * MARGIN + CUT * CELL_WIDTH, BAR + MARGIN + (len(lines) + 2) * LINE_HEIGHT
    body: Iterable[str] = (
        _element(run, BAR + MARGIN + number * LINE_HEIGHT)
        for number, line in enumerate(["\x1b[32m$\x1b[0m \x1b[1mmake demo\x1b[0m", "", *lines])
        for run in runs(line)
    )
    dots = "".join(
        f'<circle cx="{MARGIN + 18 * number}" cy="{BAR / 2:g}" r="5.5" fill="{colour}"/>'
        for number, colour in enumerate(("#f87171", "#facc15", "#4ade80"))
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" font-size="13" fill="{TEXT}" '
        f"font-family=\"ui-monospace, 'SFMono-Regular', Menlo, 'DejaVu Sans Mono', monospace\" "
        'role="img" aria-labelledby="title">'
    )
    words = "Output of make demo: requests by endpoint, a failed request as a tree of spans, items sent and received."
    title = f'<title id="title">{words}</title>'
    frame = f'<rect width="{width:g}" height="{height}" rx="10" fill="{BACKGROUND}"/>'
    return "\n".join([head, title, frame, dots, *body, "</svg>", ""])


def main() -> None:
    """Run the demo and write the picture."""
    PICTURE.write_text(svg(shown(captured())), encoding="utf-8")


if __name__ == "__main__":
    main()
