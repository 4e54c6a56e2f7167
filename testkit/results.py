"""The result of a script, printed by the script and read by the process that started it."""

from __future__ import annotations

import json
import re
from typing import Any


def print_result(value: Any) -> None:
    """Print a result, which JSON can hold."""
    print("RESULT " + json.dumps(value), flush=True)


def read_result(output: str) -> Any:
    """The last result in the output of a script.

    Raises:
        AssertionError: It printed none.
    """
    found = re.findall(r"^RESULT (.*)$", output, re.MULTILINE)
    assert found, output
    return json.loads(found[-1])
