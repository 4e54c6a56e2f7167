"""Actions of the application under test, by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

Action = Callable[..., Any]

ACTIONS: dict[str, Action] = {}


def action(function: Action) -> Action:
    """Register a function under its name."""
    ACTIONS[function.__name__] = function
    return function


def arguments() -> dict[str, Any]:
    """The arguments of `configure` that a row asks for: plain values, and objects that an action creates."""
    given = json.loads(os.environ.get("CONFIGURE", "{}"))
    makers = json.loads(os.environ.get("CONFIGURE_WITH", "{}"))
    return {**given, **{name: ACTIONS[maker]() for name, maker in makers.items()}}
