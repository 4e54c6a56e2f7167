"""Clocks that tests of an application cannot freeze.

Libraries such as freezegun replace `time.monotonic` in `time` and in every module that imported it. Delays and timeouts
of delivery would then never end. freezegun does not look into objects, so the functions are attributes of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Any, Final


class _UnfrozenClock:
    """The real clocks of the process."""

    __slots__ = ("monotonic", "time", "time_ns")

    def __init__(self) -> None:
        self.monotonic: Callable[[], float] = _real("monotonic", "clock_gettime", "CLOCK_MONOTONIC")
        self.time: Callable[[], float] = _real("time", "clock_gettime", "CLOCK_REALTIME")
        self.time_ns: Callable[[], int] = _real("time_ns", "clock_gettime_ns", "CLOCK_REALTIME")


def _real(name: str, substitute: str, clock_id: str) -> Any:
    """The function of `time`; where it is replaced already, a function that reads the same clock."""
    function = getattr(time, name)
    if isinstance(function, BuiltinFunctionType) or not hasattr(time, substitute):
        return function
    return partial(getattr(time, substitute), getattr(time, clock_id))


clock: Final = _UnfrozenClock()
