"""`--terminal`: each request as a tree, printed when it has ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from blogauto_otel._messages import command_text
from blogauto_otel.inspector import queries, tree
from blogauto_otel.inspector.state import Inspector

SETTLE_SECONDS: Final = 0.5  # log records and spans of other services arrive after the request
POLL_SECONDS: Final = 0.2
_BOLD, _RED, _DIM, _PLAIN = "\033[1m", "\033[31m", "\033[2m", "\033[0m"


class Printer:
    """Prints the requests that have not been printed yet, in the order of their arrival."""

    def __init__(self, inspector: Inspector, write: Callable[[str], object], *, colors: bool) -> None:
        self._inspector = inspector
        self._write = write
        self._colors = colors
        self._last = self._newest()
        self._seen: dict[int, tuple[float, str]] = {}

    def run(self) -> None:
        """Print until the inspector stops."""
        while not self._inspector.is_stopping:
            self.print_new(settle=SETTLE_SECONDS)
            time.sleep(POLL_SECONDS)

    def print_new(self, *, settle: float = 0.0) -> None:
        """Print requests that are known for `settle` seconds; one tree for each trace."""
        now = time.monotonic()
        for number, trace_id in self._inspector.store.read(
            "SELECT id, lower(hex(trace_id)) FROM requests WHERE id > ? ORDER BY id", (self._last,)
        ):
            self._seen.setdefault(number, (now, trace_id))
        due = [number for number, (since, _) in sorted(self._seen.items()) if now - since >= settle]
        for trace_id in dict.fromkeys(self._seen[number][1] for number in due):
            self._print(trace_id)
        for number in due:
            del self._seen[number]
            self._last = max(self._last, number)

    def _newest(self) -> int:
        return int(self._inspector.store.read("SELECT COALESCE(MAX(id), 0) FROM requests")[0][0])

    def _print(self, trace_id: str) -> None:
        trace = queries.trace(self._inspector.store, trace_id, self._inspector.explainer)
        if trace is None:
            return
        self._write(f"{self._styled('trace ' + trace_id, _DIM)}\n")
        for line in tree.lines(trace):
            is_error = " ERROR" in line or line.lstrip().startswith("!")
            style = _RED if is_error else "" if line.startswith(" ") else _BOLD
            self._write(f"{self._styled(line, style)}\n")
        for group in trace["repeated"]:
            repeated = command_text("repeated x{count}: {statement}", os.environ)
            text = repeated.format(count=group["count"], statement=tree.short(group["text"]))
            text += f"\n  {command_text(group['hint'], os.environ)}"
            self._write(f"{self._styled(text, _RED)}\n")

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colors and style else text
