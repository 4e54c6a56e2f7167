"""The load on one server: wrk where it is installed, else a client of ours, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

BODY = json.dumps({"site": "example.com", "keywords": ["fastapi", "opentelemetry", "sqlalchemy"], "limit": 10})
ROUTES = {"plain": ("GET", "/plain"), "body + SQL + log": ("POST", "/full")}
INSTALL_WRK = "wrk is not installed (Debian: apt-get install wrk): a slower client takes its place"

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SCRIPT = f'wrk.method = "POST"\nwrk.body = [[{BODY}]]\nwrk.headers["Content-Type"] = "application/json"\n'


class Answered(NamedTuple):
    """What the server did: requests, requests/s, and latencies in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float


def client_name() -> str:
    return "wrk" if shutil.which("wrk") else "the client of this benchmark"


def send_load(url: str, route: str, *, connections: int, seconds: int, folder: Path) -> Answered:
    """Send requests for some seconds.

    Raises:
        RuntimeError: an answer was not a success.
    """
    if not shutil.which("wrk"):
        command = [sys.executable, "-m", "benchmarks.load.client", url, route, str(connections), str(seconds)]
        return Answered(*json.loads(_output(command)))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    method, path = ROUTES[route]
    if method == "POST":
        script = folder / "post.lua"
        script.write_text(_SCRIPT)
        command += ["-s", str(script)]
    return _wrk(_output([*command, url + path]))


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _wrk(output: str) -> Answered:
    if "Non-2xx" in output or re.search(r"connect [1-9]|read [1-9]|write [1-9]", output):
        raise RuntimeError(f"the server did not answer every request with a success:\n{output}")
    requests, rate = re.search(r"(\d+) requests in", output), re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert requests, output
    assert rate, output
    return Answered(int(requests[1]), float(rate[1]), _percentile(output, 50), _percentile(output, 99))


def _percentile(output: str, share: int) -> float:
    found = re.search(rf"{share}%\s+([\d.]+)(us|ms|s)", output)
    assert found, output
    return float(found[1]) * _MILLISECONDS[found[2]]


# --- without wrk ------------------------------------------------------------------------------------------------------


async def _load(url: str, route: str, connections: int, seconds: int) -> Answered:
    method, path = ROUTES[route]
    body = BODY if method == "POST" else ""
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    end = time.perf_counter() + seconds
    lists = await asyncio.gather(*(_one_connection(url, request, end) for _ in range(connections)))
    took = sorted(item for one in lists for item in one)
    return Answered(len(took), len(took) / seconds, statistics.median(took), took[int(len(took) * 0.99)])


async def _one_connection(url: str, request: bytes, end: float) -> list[float]:
    """One request after the other; their milliseconds."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    took: list[float] = []
    while (began := time.perf_counter()) < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not head.startswith(b"HTTP/1.1 2") or not length:
            raise RuntimeError(head.decode())
        await reader.readexactly(int(length[1]))
        took.append((time.perf_counter() - began) * 1e3)
    writer.close()
    return took


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_load(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
