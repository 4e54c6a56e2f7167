"""The links of boards find in Jaeger what the panels show."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from examples import traffic
from monitoring.boards.ai import MODEL, OPERATION
from monitoring.lint.boards import panels
from monitoring.parameters import BLOGAUTO
from monitoring.verification.replay import example
from stack.processes import LOOPBACK, Jaeger, Stack, eventually, free_port, get

CALLS = BLOGAUTO.metric("gen_ai.client.operation.duration") + "_count"


def search(url: str, labels: Mapping[str, str]) -> dict[str, str]:
    """The search in Jaeger behind a link, with the labels of one series, as Grafana's data source sends it."""
    filled = re.sub(r"\$\{__field\.labels\.(\w+)\}", lambda found: labels[found[1]], urllib.parse.unquote(url))
    (pane,) = json.loads(urllib.parse.parse_qs(filled.partition("?")[2])["panes"][0]).values()
    (query,) = pane["queries"]
    tags = dict(pair.split("=", 1) for pair in query["tags"].split())
    return {"service": BLOGAUTO.job, "tags": json.dumps(tags), "minDuration": query["minDuration"], "lookback": "1h"}


def found(jaeger: Jaeger, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    return list(json.loads(get(f"{jaeger.url}/api/traces?{urllib.parse.urlencode(parameters)}")[1])["data"])


@pytest.mark.stack
@pytest.mark.slow
def test_the_link_of_each_model_finds_its_slow_calls(tmp_path: Path, boards: Mapping[str, dict[str, Any]]) -> None:
    """The example's operations are text_completion and generate_content: `chat` is not the only one."""
    panel = next(panel for panel in panels(boards["blogauto-ai"]) if panel["title"].startswith("p95 by model"))
    (link,) = panel["fieldConfig"]["defaults"]["links"]
    port = free_port()
    with Stack(tmp_path, backend=f"{LOOPBACK}:{port}") as stack:
        with (
            example(tmp_path, stack.collector.endpoint, port=port) as blog,
            traffic.Visitor(blog.url).log_in() as writer,
        ):
            for provider in ("openai", "gemini"):
                assert writer.write(traffic.slow_topic(5.5), provider=provider)
                assert writer.write("a short story", provider=provider)
        series = stack.prometheus.wait_for(f"count by ({MODEL}, {OPERATION}) ({CALLS})", lambda each: len(each) == 2)
        assert {one.labels[OPERATION] for one in series} == {"text_completion", "generate_content"}
        for one in series:
            parameters = search(link["url"], one.labels)
            (trace,) = eventually(lambda asked=parameters: found(stack.jaeger, asked))  # type: ignore[misc]
            names = {span["operationName"] for span in trace["spans"]}
            assert f"{one.labels[OPERATION]} {one.labels[MODEL]}" in names
