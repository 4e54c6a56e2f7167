"""In the application's process under `dev`: its status as a log record from time to time, for the page."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from blogauto_otel import _threads
from blogauto_otel._guard import guard

if TYPE_CHECKING:
    from blogauto_otel.telemetry import Telemetry

EVENT: Final = "blogauto.status"
SCOPE: Final = "blogauto_otel.inspector"
FIRST_SECONDS, SECONDS = 1.0, 5.0


class Reporter:
    """Reports the status of the handle that it was given last."""

    def __init__(self) -> None:
        self._telemetry: Telemetry | None = None
        self._is_started = False

    def report(self, telemetry: Telemetry) -> None:
        """Report this handle from now on, in forked children too."""
        self._telemetry = telemetry
        if not self._is_started:
            self._is_started = True
            _threads.start_thread(self._run, "inspector status")
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=lambda: _threads.start_thread(self._run, "inspector status"))

    def _run(self) -> None:
        pause = FIRST_SECONDS
        while True:
            time.sleep(pause)
            pause = SECONDS
            with guard("reporting the status"):
                self._emit()

    def _emit(self) -> None:
        from opentelemetry import _logs

        telemetry = self._telemetry
        if telemetry is not None and not telemetry.is_shut_down:
            _logs.get_logger(SCOPE).emit(event_name=EVENT, body=telemetry.status().as_dict())
