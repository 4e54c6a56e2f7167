"""Run a function in a forked child and return its result."""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any


def in_child(work: Callable[[], Any], timeout: float = 20.0) -> Any:
    """Fork, call `work` in the child, and return its result, which JSON can hold.

    Raises:
        AssertionError: The child raised, or did not answer in time.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _answer(writing, work)
    os.close(writing)
    try:
        return _read(reading, timeout)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _answer(writing: int, work: Callable[[], Any]) -> None:
    try:
        answer = json.dumps({"result": work()})
    except BaseException:
        answer = json.dumps({"error": traceback.format_exc()})
    os.write(writing, answer.encode())
    os._exit(0)


def _read(reading: int, timeout: float) -> Any:
    heard = b""
    while select.select([reading], [], [], timeout)[0]:
        more = os.read(reading, 65_536)
        if not more:
            answer = json.loads(heard)
            assert "error" not in answer, answer["error"]
            return answer["result"]
        heard += more
    raise AssertionError(f"the child hangs: nothing for {timeout:g} s")
