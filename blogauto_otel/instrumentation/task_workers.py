"""The end of a task queue's worker process, which `atexit` does not see: Celery's pool children and RQ's work horses.

Both end with `os._exit`. Children of `multiprocessing` (and so dramatiq's workers) run their finalizers first, and arq
ends like any program: these need nothing from here (docs/workers.md).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.instrumentation.import_hooks import when_imported

Callback = Callable[[], object]


class _State:
    """What to call before a worker process ends; None until `before_exit`."""

    def __init__(self) -> None:
        self.callback: Callback | None = None


_state: Final = register(_State())


def before_exit(callback: Callback) -> None:
    """Call `callback` as the last thing in every worker process of Celery and RQ, whenever these are imported."""
    if _state.callback is None:
        when_imported("celery.signals", _hook_into_celery)
        when_imported("rq.worker", _hook_into_rq)
    _state.callback = callback


def _call() -> None:
    if _state.callback is not None:
        with guard("flushing at the end of a worker process"):
            _state.callback()


# --- Celery: `billiard.pool.Worker` sends a signal, notifies the parent, and calls `os._exit`


def _hook_into_celery(signals: ModuleType) -> None:
    with guard("hooking into Celery's worker processes"):
        signals.worker_process_shutdown.connect(_on_celery_shutdown, weak=False)
        signals.worker_process_init.connect(_on_celery_init, weak=False)


def _on_celery_init(**_: Any) -> None:
    """Move our receiver behind those of the application, which may emit telemetry."""
    from celery.signals import worker_process_shutdown

    with guard("hooking into Celery's worker processes"):
        worker_process_shutdown.disconnect(_on_celery_shutdown)
        worker_process_shutdown.connect(_on_celery_shutdown, weak=False)


def _on_celery_shutdown(**_: Any) -> None:
    _call()


# --- RQ: `Worker.main_work_horse` calls `os._exit` itself, and offers nothing before it


class _Os(ModuleType):
    """The module `os` as RQ's worker module sees it. A job may call `configure()`, when all methods run already."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @staticmethod
    def _exit(status: int) -> None:
        _call()
        os._exit(status)


def _hook_into_rq(worker: ModuleType) -> None:
    with guard("hooking into RQ's work horses"):
        module = sys.modules[worker.Worker.main_work_horse.__module__]
        if vars(module).get("os") is os:
            vars(module)["os"] = _Os("os")
