"""Request tasks without a reference, with a garbage collection at almost every allocation."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import sys
import threading
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI

import blogauto_otel
from blogauto_otel._guard import swallowed
from testkit.results import print_result

ROUTES = 300  # attribute sets

faulthandler.dump_traceback_later(50, exit=True)
telemetry = blogauto_otel.configure()
logging.getLogger("asyncio").disabled = True  # "Task was destroyed but it is pending!" for each
app = FastAPI()


async def waits() -> None:
    await asyncio.get_running_loop().create_future()


for number in range(ROUTES):
    app.get(f"/waits/{number}")(waits)


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: MutableMapping[str, Any]) -> None:
    """Discard the response."""


async def load(times: int) -> None:
    scope = {"type": "http", "method": "GET", "headers": [], "query_string": b"", "http_version": "1.1"}
    scope |= {"scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    for number in range(times):
        path = f"/waits/{number % ROUTES}"
        request = app({**scope, "path": path, "raw_path": path.encode()}, receive, send)
        asyncio.ensure_future(request)  # noqa: RUF006 - on purpose
        await asyncio.sleep(0)


def collect() -> None:
    """Flush: the worker threads allocate, so the garbage collector runs there too."""
    while not over.wait(0.01):
        telemetry.force_flush(5.0)


over = threading.Event()
collecting = threading.Thread(target=collect)
requests, threshold = int(sys.argv[1]), int(sys.argv[2])
gc.collect()
gc.freeze()  # existing objects would slow down each collection
gc.set_threshold(threshold)
collecting.start()
asyncio.run(load(requests))
over.set()
collecting.join()
gc.collect()
print_result({"requests": requests, "ended": telemetry.shutdown(20.0), "swallowed": dict(swallowed())})
