"""What start-up left is frozen once, when a server's application has started."""

from __future__ import annotations

import json
import subprocess

import pytest

from testkit.processes import ROOT, environment, python

SCRIPT = """
import asyncio, gc, json, os, sys
import blogauto_otel
from starlette.applications import Starlette

if "switched off" in sys.argv:
    gc.disable()
telemetry = blogauto_otel.configure(
    console="off", traces_exporter="none", metrics_exporter="none", logs_exporter="none", spool_dir="off")
app = Starlette()
collections = []
gc.callbacks.append(lambda phase, info: collections.append(info["generation"]) if phase == "start" else None)


async def lifespan():
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    async def receive():
        return next(messages)
    async def send(message):
        frozen.append(gc.get_freeze_count())
    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


frozen = [gc.get_freeze_count()]
pid = 0
if "forked" in sys.argv:
    reading, writing = os.pipe()
    pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    print(os.read(reading, 10000).decode())
else:
    full = []
    for _ in range(2):
        collections.clear()
        asyncio.run(lifespan())
        full.append(collections.count(2))
    answer = json.dumps({"frozen": frozen, "full": full}).encode()
    os.write(writing if "forked" in sys.argv else 1, answer)
    sys.stdout.flush()
    os._exit(0)
"""


def started(*arguments: str, **variables: str) -> tuple[list[int], list[int]]:
    """Objects that are frozen before and after two lifespans, and the full collections during each."""
    command = python("-c", SCRIPT, *arguments)
    done = subprocess.run(command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["frozen"], answer["full"]


def test_it_is_collected_and_frozen_when_the_application_has_started() -> None:
    frozen, full = started()
    assert frozen[0] < 1_000  # Python 3.12 has some of its own
    assert min(frozen[1:]) > 10_000
    assert full == [1, 0], "once in a process"


def test_a_forked_worker_freezes_without_a_collection_which_would_copy_shared_pages() -> None:
    frozen, full = started("forked")
    assert min(frozen[1:]) > 10_000
    assert full == [0, 0]


@pytest.mark.parametrize(
    ("argument", "variables"),
    [("", {"BLOGAUTO_OTEL_GC_FREEZE": "false"}), ("switched off", {}), ("", {"PYTEST_VERSION": "8"})],
    ids=["by the setting", "the application has switched the collector off", "under a test runner"],
)
def test_it_does_not_happen(argument: str, variables: dict[str, str]) -> None:
    frozen, _ = started(argument, **variables)
    assert set(frozen) == {frozen[0]}
