"""Locks and threads are created in few places: no finalizer can hang in one, no signal can reach the other."""

from __future__ import annotations

import ast
from pathlib import Path

import blogauto_otel

PACKAGE = Path(blogauto_otel.__file__).parent

# A plain lock hangs when its own thread takes it again, as a finalizer does. These are never waited for while held.
PLAIN_LOCKS = {
    "export/worker.py": 2,  # a binary semaphore that wakes the thread; a flag that the application's threads only try
    "inspector/ingest.py": 1,  # a condition over a reentrant lock, in a process without the application
}

THREADS = {"_threads.py": 1}  # `start_thread`


def calls(*names: str) -> dict[str, int]:
    """How often each file calls one of these, by its full name."""
    found: dict[str, int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
                file = path.relative_to(PACKAGE).as_posix()
                found[file] = found.get(file, 0) + 1
    return found


def test_the_modules_are_used_by_their_names() -> None:
    """What is imported from them would pass the tests below unseen."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in {"threading", "_thread"}, path
                assert not (node.module == "asyncio" and node.names[0].name == "to_thread"), path


def test_every_other_lock_is_reentrant() -> None:
    kinds = ("Lock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier")
    plain = [f"threading.{kind}" for kind in kinds]
    assert calls(*plain, "_thread.allocate_lock", "queue.Queue") == PLAIN_LOCKS


def test_every_thread_is_started_with_signals_blocked() -> None:
    threads = (
        "ThreadPoolExecutor",
        "threading.Thread",
        "threading.Timer",
        "_thread.start_new_thread",
        "asyncio.to_thread",
    )
    assert calls(*threads, "concurrent.futures.ThreadPoolExecutor") == THREADS
