"""In the application's process under `dev`: its status as a log record from time to time, for the page."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blogauto_otel import _threads
from blogauto_otel._guard import guard

if TYPE_CHECKING:
    from blogauto_otel.telemetry import Telemetry

EVENT: Final = "blogauto.status"
SCOPE: Final = "blogauto_otel.inspector"
FIRST_SECONDS, SECONDS = 1.0, 5.0
HELD_SECONDS: Final = 2.0  # in which a script may call `configure()`; a server has until its start
MAX_HELD_SECONDS: Final = 60.0  # for an application that is still being imported

# Files of functions on the stack of the main thread.
_IMPORT_SYSTEM: Final = "<frozen importlib._bootstrap>"
_UVICORN: Final = str(Path("uvicorn", "supervisors"))
_GUNICORN, _GUNICORN_WORKER = str(Path("gunicorn", "arbiter.py")), str(Path("gunicorn", "workers"))


class Reporter:
    """Reports the status of the handle that it was given last."""

    def __init__(self) -> None:
        self._telemetry: Telemetry | None = None
        self._held_since: float | None = None
        self._is_started = False

    def report(self, telemetry: Telemetry, *, is_provisional: bool = False) -> None:
        """Report this handle from now on, in forked children too.

        Args:
            telemetry: the handle.
            is_provisional: whether it is held: until the application has started, or has a handle of its own.
        """
        self._telemetry = telemetry
        self._held_since = None
        if is_provisional:
            from blogauto_otel.instrumentation import server

            self._held_since = time.monotonic()
            server.on_lifespan_startup(self._release)
        if not self._is_started:
            self._is_started = True
            _threads.start_thread(self._run, "inspector status")
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=lambda: _threads.start_thread(self._run, "inspector status"))

    def _run(self) -> None:
        pause = FIRST_SECONDS
        while True:
            time.sleep(pause)
            with guard("reporting the status"):
                if self._held_since is not None and _may_release(time.monotonic() - self._held_since):
                    self._release()
                pause = SECONDS if self._held_since is None else FIRST_SECONDS
                self._emit()

    def _release(self) -> None:
        if self._held_since is not None and self._telemetry is not None:
            self._held_since = None
            self._telemetry._release()

    def _emit(self) -> None:
        from opentelemetry import _logs

        telemetry = self._telemetry
        if telemetry is not None and not telemetry.is_shut_down and self._held_since is None:
            _logs.get_logger(SCOPE).emit(event_name=EVENT, body=telemetry.status().as_dict())


def _may_release(held_seconds: float) -> bool:
    files = list(_main_thread_files())
    if _is_supervisor(files):
        return False  # its workers are what the page shows
    is_importing = any(file == _IMPORT_SYSTEM for file in files)
    return held_seconds > (MAX_HELD_SECONDS if is_importing else HELD_SECONDS)


def _is_supervisor(files: Sequence[str]) -> bool:
    """Whether the main thread starts and watches the processes that serve; a worker of gunicorn is forked within."""
    return any(_UVICORN in file for file in files) or (
        any(_GUNICORN in file for file in files) and not any(_GUNICORN_WORKER in file for file in files)
    )


def _main_thread_files() -> Iterator[str]:
    """The files of the functions that the main thread is in."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back
