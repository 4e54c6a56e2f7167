"""An application and requests in which everything that a client controls is new: `python -m ... WARM_UP REQUESTS`.

Prints, as JSON, the resident memory in bytes after the first number of requests, and after the second.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fastapi import FastAPI

import blogauto_otel
from testkit.memory import resident_around

app = FastAPI()


@app.get("/items/{item}")
async def item() -> None:
    return None


def scope(number: int) -> dict[str, Any]:
    """Another path, query, method, address and value of each header for each number."""
    value = f"{number:08x}"
    headers = {
        "host": f"{value}.example.org",
        "user-agent": f"agent/{value}",
        "x-request-id": f"request-{value}",
        "traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01",
        "tracestate": f"v{value}=1",
        "baggage": f"k{value}={value}",
        "x-forwarded-for": f"203.0.{number % 256}.{number // 256 % 256}",
        "x-custom": value,  # captured
        f"x-{value}": value,
    }
    path = f"/items/{value}" if number % 2 else f"/{value}"
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET" if number % 10 else f"M{value}",
        "path": path,
        "raw_path": path.encode(),
        "query_string": f"q{value}={value}".encode(),
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": (f"10.{number % 256}.{number // 256 % 256}.{number // 65536}", number % 65536),
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        "state": {},
    }


async def receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    pass


async def ask(numbers: range) -> None:
    for number in numbers:
        await app(scope(number), receive, send)


def main(warm_up: int, requests: int) -> None:
    telemetry = blogauto_otel.configure(console="off")
    print(json.dumps(resident_around(telemetry, lambda numbers: asyncio.run(ask(numbers)), warm_up, requests)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
