"""Memory that stays in a process: measured when nothing waits for export."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import blogauto_otel

AT_ONCE: Final = 2_000


def resident_around(
    telemetry: blogauto_otel.Telemetry, use: Callable[[range], object], warm_up: int, further: int
) -> tuple[int, int]:
    """Resident bytes after `use` has had the numbers below `warm_up`, and after the `further` ones.

    `use` gets some at a time, and what waits is sent between: on a busy machine a longer queue is another matter.
    """
    before = _resident_after(telemetry, use, range(warm_up))
    return before, _resident_after(telemetry, use, range(warm_up, warm_up + further))


def _resident_after(telemetry: blogauto_otel.Telemetry, use: Callable[[range], object], numbers: range) -> int:
    for at in range(0, len(numbers), AT_ONCE):
        use(numbers[at : at + AT_ONCE])
        telemetry.force_flush(30.0)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # the allocator returns what is free
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
