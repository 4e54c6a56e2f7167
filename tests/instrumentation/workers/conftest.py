from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.ports import free_port
from testkit.processes import Process
from testkit.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis: the program where it is installed, else a server in this process that speaks its protocol."""
    port = free_port()
    program = shutil.which("redis-server")
    if program is None:
        from fakeredis import TcpFakeServer

        with TcpFakeServer(("127.0.0.1", port)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"redis://127.0.0.1:{port}"
            server.shutdown()
        return
    url = f"redis://127.0.0.1:{port}"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with Process("redis", command, ready_url="tcp:", log=tmp_path / "redis.log", url=url):
        yield url
