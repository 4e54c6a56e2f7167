"""The three kinds of telemetry, as OpenTelemetry names them."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Signal(str, Enum):
    """Traces, metrics or logs; equal to its name."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    # Enum's own hash is a Python function, and this one is a dictionary key on every span and log record.
    __hash__ = str.__hash__


# For each span and log record: a member of an Enum takes longer to find than a name of a module.
TRACES: Final = Signal.TRACES
LOGS: Final = Signal.LOGS
