"""The page's API over HTTP: answers, errors, and new data within a second."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from testkit.otlp import counter, logs, metrics, record, traces
from tests.inspector.server import Page, get, page, select


@pytest.fixture
def served() -> Iterator[Page]:
    with page() as running:
        yield running


def test_every_list_answers_before_anything_has_arrived(served: Page) -> None:
    for name in ("requests", "endpoints", "errors", "logs", "statements", "metrics", "services"):
        assert served.get(f"/api/{name}")[name] == []
    assert served.get("/api/status")["store"]["spans"] == 0


def test_the_lists_of_the_page(served: Page) -> None:
    request = get("/posts", status=500)
    served.send(traces([request, select(request)]), logs([record("line")]), metrics([counter("orders", 1)]))
    for name in ("requests", "endpoints", "errors", "logs", "statements", "metrics", "services"):
        assert len(served.get(f"/api/{name}")[name]) == 1
    (metric,) = served.get("/api/metrics")["metrics"]
    assert served.get(f"/api/metrics/{metric['id']}")["series"][0]["points"][0]["value"] == 1
    assert served.get(f"/api/traces/{request.trace_id.hex()}")["error"] is False
    store = served.get("/api/status")["store"]
    assert (store["spans"], store["logs"], store["points"], store["keep"]) == (2, 1, 1, False)
    assert 0 < store["bytes"] < store["limit_bytes"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/requests?q=colour:red", 400, "unknown field"),
        ("/api/requests?limit=many", 400, "expected a whole number"),
        ("/api/requests?before=yesterday", 400, "expected the `next`"),
        ("/api/endpoints?since=soon", 400, "expected a duration"),
        ("/api/traces/" + "0" * 32, 404, "not found"),
        ("/api/metrics/77", 404, "not found"),
    ],
)
def test_mistakes_are_answered_with_their_reason(served: Page, path: str, status: int, message: str) -> None:
    answer = served.client.get(path)
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_clear_empties_the_store(served: Page) -> None:
    served.send(traces([get()]))
    assert served.client.post("/api/clear").status_code == 204
    assert served.get("/api/requests")["total"] == 0
    assert served.client.get("/api/clear").status_code == 405


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


def test_new_data_is_announced_within_a_second(served: Page) -> None:
    with served.client.stream("GET", "/api/stream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = events(response)
        name, figures = next(stream)
        assert (name, figures["requests"]) == ("hello", 0)
        sent = time.monotonic()
        served.send(traces([get("/new", status=500)]), logs([record("line")]))
        while figures["requests"] == 0 or figures["logs"] == 0:
            name, figures = next(stream)
            assert name == "change"
        assert time.monotonic() - sent < 1.0
        assert figures == {"requests": 1, "logs": 1, "errors": 0, "spans": 1, "points": 0, "evicted": 0}


def test_events_come_at_most_four_times_a_second(served: Page) -> None:
    ends = time.monotonic() + 1.5

    def send() -> None:
        while time.monotonic() < ends:
            served.send(traces([get()]))

    sender = threading.Thread(target=send)
    sender.start()
    with served.client.stream("GET", "/api/stream") as response:
        stream = events(response)
        began = time.monotonic()
        count = 0
        while time.monotonic() < ends - 0.2:
            next(stream)
            count += 1
        assert count <= 2 + 4 * (time.monotonic() - began)
    sender.join()


def test_the_page_ends_while_a_stream_is_open() -> None:
    with page() as served:
        stream = served.client.stream("GET", "/api/stream")
        next(events(stream.__enter__()))
        began = time.monotonic()
    assert time.monotonic() - began < 4
