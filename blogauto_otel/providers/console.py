"""The console exporters' lines, redacted as everything that leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from blogauto_otel.delivery.values import Redactor


def redacted(redactor: Redactor) -> Callable[[Any], str]:
    """A formatter for the SDK's console exporters."""

    def line(item: Any) -> str:
        return json.dumps(redactor.value("", json.loads(item.to_json()))) + os.linesep

    return line
