"""The last word of a script, for whoever started it."""

from __future__ import annotations

import json
from typing import Any


def say(word: Any) -> None:
    print("SAID " + json.dumps(word), flush=True)
