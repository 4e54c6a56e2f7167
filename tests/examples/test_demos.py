"""`make demo` and `make stack-demo` show what they promise and end well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=600
    )


def section(output: str, title: str) -> str:
    """The lines below the heading that begins so."""
    _, found, rest = output.partition(f"── {title}")
    assert found, f"no section {title!r} in:\n{output}"
    return rest.partition("\n── ")[0]


def assert_the_cost_is_that_of_the_words(text: str) -> None:
    rows = re.findall(r"^  (\S+) +(telemetry|by hand) +(\d+) +(\d+) +([\d.]+)$", text, re.MULTILINE)
    reported, computed = (
        [(row[0], *row[2:]) for row in rows if row[1] == source] for source in ("telemetry", "by hand")
    )
    assert reported == computed
    assert {row[0] for row in reported} == {"gpt-5-mini", "gemini-3-flash"}
    assert all(float(row[-1]) > 0 for row in reported)
    assert re.search(r"^  equal; 11 articles, 0\.000\d+ USD each", text, re.MULTILINE)


@pytest.mark.slow
def test_the_demo_shows_what_arrived_and_that_nothing_is_missing() -> None:
    began = time.monotonic()
    ended = run("examples.demo")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert time.monotonic() - began < 120, "far from the twenty seconds that README promises"
    output = ended.stdout
    requests = section(output, "Requests")
    assert re.search(r"/api/content/generate +POST +[\d.]+ m?s +\d+ x 200, 1 x 502", requests)
    assert re.search(r"unmatched +GET", requests)
    assert_the_cost_is_that_of_the_words(section(output, "AI usage"))
    failed = section(output, "A failed request")
    trace_id = re.search(r"trace ([0-9a-f]{32})", failed)
    assert trace_id
    assert re.search(r"^  POST /api/content/generate  → 502", failed, re.MULTILINE)
    assert re.search(r"├─ SQL SELECT", failed)
    assert re.search(r"└─ HTTP POST http://127\.0\.0\.1:\d+/openai/v1/completions  → 503", failed)
    assert "no article: http://127.0.0.1" in failed
    assert f"{trace_id[1][:8]}…" in failed
    slow = section(output, "A slow request")
    assert re.search(r"text_completion gpt-5-mini .*2\.\d\d s", slow)  # until the last part of the stream
    assert re.search(r"HTTP POST .*1\.\d\d s", slow)  # until the first
    assert "# {" in section(output, "Of http://127.0.0.1"), "an exemplar"
    summary = section(output, "Summary")
    assert "sent = received" in summary
    for signal in ("traces", "metrics", "logs"):
        counts = re.search(rf"{signal} +(\d+) +(\d+) +(\d+) +0$", summary, re.MULTILINE)
        assert counts, summary
        assert counts[2] == counts[3] != "0"


@pytest.mark.slow
@pytest.mark.stack
def test_the_stack_demo_follows_one_trace_id_through_three_programs() -> None:
    ended = run("examples.stack_demo", "--no-keep")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    places = section(ended.stdout, "One slow request")
    ids = dict(re.findall(r"^  (Prometheus|Jaeger|log file) +([0-9a-f]{32})", places, re.MULTILINE))
    assert ids.keys() == {"Prometheus", "Jaeger", "log file"}
    assert len(set(ids.values())) == 1
    assert re.search(r"/api/content/generate +POST +[\d.]+ m?s +\d+ x 200", section(ended.stdout, "Requests"))
    assert_the_cost_is_that_of_the_words(section(ended.stdout, "AI usage"))
    assert f"/api/v3/traces/{ids['Jaeger']}" in section(ended.stdout, "To look further")
