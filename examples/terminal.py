"""Terminal output of the demos: steps with progress, tables, traces as trees; colour only on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TextIO

WIDTH: Final = 110
BAR_WIDTH: Final = 22

CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True)
class Node:
    """The fields of a span that a drawing needs; times in nanoseconds, ids as text."""

    span_id: str
    parent_id: str
    label: str
    start: int
    end: int
    failed: bool


class Terminal:
    """A stream to write to, coloured when it is a terminal and NO_COLOR (https://no-color.org) is not set."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._live = self._stream.isatty()
        self._coloured = self._live and not os.environ.get("NO_COLOR")

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour of `CODES`, or as it is."""
        return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if self._coloured else text

    def line(self, text: str = "", *, end: str = "\n") -> None:
        """One line; characters that the stream cannot show become question marks."""
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding) + end)
        self._stream.flush()

    def heading(self, text: str) -> None:
        """The title of a section."""
        self.line()
        self.line(self.paint(f"── {text} ".ljust(WIDTH, "─"), "bold"))

    @contextmanager
    def step(self, label: str) -> Iterator[list[str]]:
        """A step that takes a while: prints its label at once, then its seconds and the texts added to the list."""
        if self._live:
            self.line(f"  … {label}", end="\r")
        began = time.monotonic()
        words: list[str] = []
        try:
            yield words
        except BaseException:
            self.line(f"  {self.paint('✗', 'red')} {label}")
            raise
        took = f"{time.monotonic() - began:5.1f} s"
        self.line(f"  {self.paint('✓', 'green')} {label:<34} {self.paint(took, 'dim')}  {' '.join(words)}")

    def table(self, rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """Rows in columns, the first row as their titles; columns in `right` are aligned there."""
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            cells = [
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            text = "  " + "  ".join(cells).rstrip()
            self.line(self.paint(text, "dim") if number == 0 else text)

    def trace(self, nodes: Sequence[Node]) -> None:
        """The spans of one trace as a tree: duration, and a bar that shows when."""
        first = min(node.start for node in nodes)
        whole = max(1, max(node.end for node in nodes) - first)
        for prefix, node in tree(nodes):
            text = fitted(f"{prefix}{node.label}", WIDTH - BAR_WIDTH - 14)
            bar = _bar((node.start - first) / whole, (node.end - first) / whole)
            colour = "red" if node.failed else "cyan"
            self.line(f"  {text} {duration((node.end - node.start) / 1e9):>9}  {self.paint(bar, colour)}")


def tree(nodes: Sequence[Node]) -> Iterator[tuple[str, Node]]:
    """Each node with its tree lines, parents before children, siblings by start time.

    A node whose parent is missing is a root.
    """
    children: dict[str, list[Node]] = {}
    known = {node.span_id for node in nodes}
    for node in sorted(nodes, key=lambda node: node.start):
        children.setdefault(node.parent_id if node.parent_id in known else "", []).append(node)

    def walk(parent: str, indent: str, *, top: bool) -> Iterator[tuple[str, Node]]:
        siblings = children.get(parent, [])
        for node in siblings:
            last = node is siblings[-1]
            yield ("" if top else indent + ("└─ " if last else "├─ ")), node
            yield from walk(node.span_id, "" if top else indent + ("   " if last else "│  "), top=False)

    return walk("", "", top=True)


def duration(seconds: float) -> str:
    """A duration for people: 2.21 s, 35.2 ms, 0.4 ms."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def fitted(text: str, width: int) -> str:
    """Exactly this many characters: padded with spaces, or truncated with an ellipsis."""
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def _bar(start: float, end: float) -> str:
    left = min(int(start * BAR_WIDTH), BAR_WIDTH - 1)
    return " " * left + "█" * max(1, round((end - start) * BAR_WIDTH))
