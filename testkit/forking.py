"""Work done in a forked child, with its answer brought back; a child that hangs is an error, not a wait."""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any


def in_child(work: Callable[[], Any], timeout: float = 20.0) -> Any:
    """Fork, do the work in the child, end the child with `os._exit`, and return what the work returned (as JSON).

    Raises:
        AssertionError: the child raised, or did not come back in time.
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
