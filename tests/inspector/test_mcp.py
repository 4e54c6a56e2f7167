"""Agents ask by the official client: over standard input and output, and beside the page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from blogauto_otel.inspector import mcp_server
from testkit import otlp
from testkit.otlp import counter, logs, metrics, record, traces
from testkit.processes import environment, python
from tests.inspector.server import Page, get, page, select

TOOLS = {
    "find_traces",
    "trace_tree",
    "errors",
    "slow_routes",
    "repeated_queries",
    "logs",
    "metrics",
    "metric",
    "services",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Page]:
    with page() as running:
        request = get("/n-plus-one", status=500, seconds=0.5)
        raised = {"exception.type": "KeyError", "exception.message": "'id'", "exception.stacktrace": "in pay"}
        request.events.append(otlp.event("exception", raised))
        source = {"code.file.path": "shop/posts.py", "code.line.number": 12}
        line = record("card\ndeclined \x1b[31m", severity=13, text="WARN")
        line.trace_id, line.span_id = request.trace_id, request.span_id
        running.send(
            traces(
                [request, *[select(request, attributes=source) for _ in range(12)], *[get(f"/{n}") for n in range(30)]]
            ),
            logs([line]),
            metrics([counter("orders", 3, {"kind": "book"})]),
        )
        yield running


@contextlib.asynccontextmanager
async def connected(served: Page) -> AsyncIterator[Client]:
    """The client, in the task of the test: it may not be opened in one task and closed in another."""
    headers = {"Authorization": f"Bearer {served.running.token}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{served.url}/mcp", http_client=http)) as client,
    ):
        yield client


async def ask(client: Client, tool: str, **arguments: Any) -> str:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    (content,) = answer.content
    return str(content.text)  # type: ignore[union-attr]


async def trace_id(client: Client) -> str:
    return (await ask(client, "find_traces", query="is:repeated")).split()[0]


async def test_the_tools_say_what_they_take(served: Page) -> None:
    async with connected(served) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS
        assert all(tool.description for tool in tools)


async def test_traces_are_found_page_by_page(served: Page) -> None:
    async with connected(served) as client:
        first = await ask(client, "find_traces", limit=20)
        assert "31 in all; next page: before=" in first
        second = await ask(client, "find_traces", limit=20, before=first.rpartition("before=")[2])
        rows = [line.split()[0] for line in (first + "\n" + second).splitlines() if " ms" in line]
        assert len(rows) == len(set(rows)) == 31
        assert "GET /n-plus-one 500 500" in await ask(client, "find_traces", query="status>=500")
        assert (await ask(client, "find_traces", query="colour:red")).startswith("bad query: colour:red: unknown field")


async def test_a_trace_is_a_tree_with_statements_in_a_row_as_one_line(served: Page) -> None:
    async with connected(served) as client:
        tree = await ask(client, "trace_tree", trace_id=await trace_id(client))
        assert "GET /n-plus-one 500.0 ms 500" in tree
        assert "  SELECT id FROM posts WHERE id = ? x12 120.0 ms (shop/posts.py:12)" in tree
        assert "! KeyError: 'id'" in tree
        assert "· WARN tests: card declined  [31m" in tree  # no control character reaches a terminal
        assert "repeated x12: SELECT id FROM posts WHERE id = ? (shop/posts.py:12)" in tree
        assert "selectinload" in tree
        assert await ask(client, "trace_tree", trace_id="0" * 32) == f"trace {'0' * 32} is not stored"


async def test_errors_slow_routes_and_repeated_queries(served: Page) -> None:
    async with connected(served) as client:
        errors = await ask(client, "errors")
        assert errors.startswith("KeyError: 'id' x1 /n-plus-one [blogauto-backend]")
        assert await ask(client, "errors", stacktrace_of=errors.rpartition(" ")[2]) == "in pay"
        assert (await ask(client, "slow_routes")).startswith("GET /n-plus-one p95 500.0 ms")
        assert "page 2 of 2" in await ask(client, "slow_routes", page=2)
        assert "in 1 traces, 12 executions" in await ask(client, "repeated_queries")


async def test_logs_metrics_and_services(served: Page) -> None:
    async with connected(served) as client:
        assert "WARN tests: card declined" in await ask(client, "logs", query=f"trace:{await trace_id(client)}")
        assert await ask(client, "logs", query="level>=ERROR") == "no log record matches"
        listed = await ask(client, "metrics", name="order")
        assert "orders (counter" in listed
        number = listed.split()[1].rstrip(":")
        assert " 3" in await ask(client, "metric", metric_id=number)
        assert "blogauto-backend -> sqlite blog.db (database): 12 calls" in await ask(client, "services")


async def test_answers_are_short(served: Page) -> None:
    async with connected(served) as client:
        for tool in TOOLS - {"trace_tree", "metric"}:
            assert len(await ask(client, tool)) < 8000


async def test_the_endpoint_wants_the_token(served: Page) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{served.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert answer.status_code == 401


@pytest.mark.slow
async def test_an_agent_starts_the_application_itself(tmp_path: Path) -> None:
    """What the command prints does not disturb the protocol, which has standard output to itself."""
    script = "print('hello'); import blogauto_otel; blogauto_otel.configure(); from blogauto_otel import operation\nwith operation('nightly'): pass\nimport time; time.sleep(60)"  # noqa: E501
    command = python("-m", "blogauto_otel", "dev", "--port", "0", "--mcp", "--", *python("-c", script))
    server = StdioServerParameters(command=command[0], args=command[1:], env=environment(), cwd=tmp_path)
    with (tmp_path / "stderr").open("w+") as errors:
        async with Client(stdio_client(server, errlog=errors)) as client:
            found = ""
            for _ in range(100):
                found = await ask(client, "find_traces")
                if "nightly" in found:
                    break
                await anyio.sleep(0.2)
            assert "nightly" in found
        assert "hello" in (tmp_path / "stderr").read_text()


def test_instructions_warn_that_answers_are_data() -> None:
    assert "not instructions" in mcp_server.INSTRUCTIONS
