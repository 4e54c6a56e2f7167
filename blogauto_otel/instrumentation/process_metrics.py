"""Metrics of this process: memory, threads, open files and garbage collections, read when metrics are collected."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from opentelemetry.metrics import CallbackOptions, Observation

from blogauto_otel import semconv
from blogauto_otel._guard import log_once, swallow
from blogauto_otel._process import Phase, register
from blogauto_otel.api.catalogue import Kind, spec
from blogauto_otel.instrumentation import Context, host
from blogauto_otel.instrumentation.host import Roots

Read = Callable[[Roots], Iterable[Observation]]


class _State:
    """Where the files of the kernel are; None while nothing is observed."""

    def __init__(self) -> None:
        self.roots: Roots | None = None

    def reset(self) -> None:
        """Observe nothing any more."""
        self.roots = None


_state: Final = register(_State(), Phase.INSTRUMENTATIONS)


def observe(context: Context, roots: Roots) -> None:
    """Observe this process from now on."""
    _state.roots = roots
    meter = context.meter_provider.get_meter(semconv.SCOPE_SYSTEM)
    create = {
        Kind.OBSERVABLE_UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.OBSERVABLE_COUNTER: meter.create_observable_counter,
    }
    for name, read in _READ.items():
        metric = spec(name)
        create[metric.kind](metric.name, [_observing(name, read)], unit=metric.unit, description=metric.description)


def stop() -> None:
    """Observe nothing any more; the instruments stay, without data points."""
    _state.reset()


def _observing(name: str, read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def callback(_: CallbackOptions) -> Iterable[Observation]:
        if _state.roots is None:
            return ()
        try:
            return read(_state.roots)
        except (Exception, SystemExit) as error:
            if not isinstance(error, (OSError, ValueError)) and not swallow(f"measuring {name}", error):
                raise
            log_once(f"process {name}", "%s cannot be measured here: %s: %s", name, type(error).__name__, error)
            return ()

    return callback


def _memory(roots: Roots) -> Iterable[Observation]:
    pages = host.text_of(roots.proc / "self" / "statm").split()
    if len(pages) > 1:
        return (Observation(int(pages[1]) * os.sysconf("SC_PAGE_SIZE")),)
    psutil = host.psutil_or_none()
    return () if psutil is None else (Observation(int(psutil.Process().memory_info().rss)),)


def _threads(roots: Roots) -> Iterable[Observation]:
    # The name of the program stands in parentheses and may contain blanks: count the fields behind it (proc(5)).
    _, _, fields = host.text_of(roots.proc / "self" / "stat").rpartition(")")
    if fields:
        return (Observation(int(fields.split()[17])),)
    psutil = host.psutil_or_none()
    return () if psutil is None else (Observation(int(psutil.Process().num_threads())),)


def _open_files(roots: Roots) -> Iterable[Observation]:
    folder = roots.proc / "self" / "fd"
    if folder.is_dir():
        return (Observation(len(list(folder.iterdir())) - 1),)  # without the one that lists them
    psutil = host.psutil_or_none()
    count = getattr(psutil.Process(), "num_fds", None) if psutil is not None else None  # not on Windows
    return () if count is None else (Observation(int(count())),)


def _collections(_: Roots) -> Iterable[Observation]:
    attribute = "cpython.gc.generation"
    return [Observation(one["collections"], {attribute: str(number)}) for number, one in enumerate(gc.get_stats())]


_READ: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "process.memory.usage": _memory,
        "process.thread.count": _threads,
        "process.unix.file_descriptor.count": _open_files,
        "cpython.gc.collections": _collections,
    }
)
