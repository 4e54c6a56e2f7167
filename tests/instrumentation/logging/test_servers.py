"""Under real servers every line is ours, once, and what is printed is what is exported."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from testkit.ports import free_port
from testkit.processes import Process, running
from testkit.receiver import Receiver

pytestmark = pytest.mark.slow

APP = "tests.instrumentation.logging.service:app"
LAUNCHER = str(Path(sys.executable).parent / "opentelemetry-instrument")
UVICORN = str(Path(sys.executable).parent / "uvicorn")
GUNICORN = [sys.executable, "-m", "gunicorn", "-k", "uvicorn_worker.UvicornWorker", "--access-logfile", "-"]

Start = Callable[..., AbstractContextManager[Process]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def start(tmp_path: Path, receiver: Receiver) -> Start:
    def start(command: list[str], **variables: str) -> AbstractContextManager[Process]:
        port = free_port()
        address = ["-b", f"127.0.0.1:{port}"] if "gunicorn" in command else ["--port", str(port)]
        return running(
            [*command, APP, *address],
            tmp_path / "out",
            port=port,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            BLOGAUTO_OTEL_CONSOLE="json",
            **variables,
        )

    return start


def lines(child: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in child.output.splitlines() if line.startswith("{")]


def visit(child: Process) -> None:
    child.wait_until_it_answers("/ready")
    assert child.get("/order")[0] == 200
    assert child.get("/fail")[0] == 500
    child.terminate()


@pytest.mark.parametrize("logging", ["", "before", "after"])
@pytest.mark.parametrize("way", ["call", "launcher"])
def test_uvicorn_s_lines_are_ours_and_exported_once(start: Start, receiver: Receiver, way: str, logging: str) -> None:
    command = [UVICORN] if way == "call" else [LAUNCHER, UVICORN]
    with start(command, LOGGING=logging, CONFIGURE="1" if way == "call" else "0") as child:
        visit(child)
    printed = lines(child)
    ours = Counter(line["message"] for line in printed)
    assert "MINE" not in child.output
    assert len(printed) == len(child.output.splitlines()), child.output

    access = [line for line in printed if line["logger"] == "uvicorn.access" and "/order" in line["message"]]
    (order,) = [line for line in printed if line["message"] == "order placed"]
    assert [line["trace_id"] for line in access] == [order["trace_id"]]
    assert order["user.id"] == "42"
    assert order["request.id"] == access[0]["request.id"]
    assert ours["Exception in ASGI application\n"] == 1
    assert ours["Application startup complete."] == 1

    exported = Counter(record.body for record in receiver.logs)
    assert exported["order placed"] == exported["Application startup complete."] == 1
    assert exported["Exception in ASGI application\n"] == 1
    assert exported[access[0]["message"]] == ours[access[0]["message"]] == 1


def test_gunicorn_s_workers_print_and_export_their_access_lines_once(start: Start, receiver: Receiver) -> None:
    with start(GUNICORN) as child:
        visit(child)
    (access,) = [line for line in lines(child) if '"GET /order' in line["message"]]
    assert access["trace_id"]
    assert Counter(record.body for record in receiver.logs)[access["message"]] == 1


def test_no_access_log_means_none(start: Start, receiver: Receiver) -> None:
    with start([UVICORN, "--no-access-log"]) as child:
        visit(child)
    assert "GET /order" not in child.output
    assert not [record for record in receiver.logs if "GET /order" in str(record.body)]
