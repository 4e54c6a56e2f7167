"""The front door: what users may import, and what importing costs."""

from __future__ import annotations

import subprocess
from types import ModuleType

import blogauto_otel
from testkit.processes import environment, python


def test_everything_that_is_promised_is_there_and_sorted() -> None:
    assert blogauto_otel.__all__ == sorted(blogauto_otel.__all__)
    for name in blogauto_otel.__all__:
        assert getattr(blogauto_otel, name) is not None


def test_nothing_else_is_public() -> None:
    visible = {name for name, value in vars(blogauto_otel).items() if not isinstance(value, ModuleType)}
    public = {name for name in visible if not name.startswith("_")} - {"annotations", "Any", "TYPE_CHECKING"}
    assert public <= set(blogauto_otel.__all__)


def test_importing_imports_neither_the_sdk_nor_a_framework_and_starts_nothing() -> None:
    script = """
import sys, threading
import blogauto_otel
heavy = {"opentelemetry.sdk.trace", "fastapi", "starlette", "sqlalchemy", "sentry_sdk", "psutil", "prometheus_client",
         "asyncio", "multiprocessing", "google.protobuf", "requests"}
found = heavy & set(sys.modules)
assert not found, found
assert threading.active_count() == 1
"""
    done = subprocess.run(python("-c", script), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
