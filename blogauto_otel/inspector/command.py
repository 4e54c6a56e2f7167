"""The state of the command that `dev` runs, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Command:
    """Set by the supervisor of the command, read by the page."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.pid: int | None = None
        self.exit_code: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        is_running = self.pid is not None and self.exit_code is None
        return {"argv": self.arguments, "pid": self.pid, "running": is_running, "exit_code": self.exit_code}
