"""`make ai-demo` shows spans, tokens and cost of the real packages, and fails when they differ from the answers."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from examples import ai_demo
from examples.blog_process import PRICES
from examples.terminal import Terminal
from testkit.environments import with_ai_packages
from testkit.processes import ROOT, environment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("versions")]

# Span, model, tokens of the two calls together, and cost by the example's prices of 1 November 2026.
SHOWN = {
    "openai": ("chat gpt-5-mini", "gpt-5-mini", 240, 1800, (240 * 0.25 + 1800 * 2.0) / 1e6),
    "google-genai": (
        "generate_content gemini-3-flash", "gemini-3-flash", 180, 1400, (180 * 0.3 + 1400 * 2.5) / 1e6,
    ),
    "anthropic": ("anthropic.messages.create", "claude-haiku-5", 300, 1600, (300 * 1.0 + 1600 * 5.0) / 1e6),
}  # fmt: skip


@pytest.fixture(scope="module")
def output() -> str:
    """What a run that ends well prints; the user's own accounts and proxies are not used."""
    own = {"GOOGLE_GENAI_USE_VERTEXAI": "true", "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""}
    variables = environment(PYTHONIOENCODING="utf-8", **own)
    command = [sys.executable, "-m", "examples.ai_demo"]
    ended = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="utf-8", timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("package", SHOWN)
def test_the_demo_shows_spans_tokens_and_cost_of_each_package(output: str, package: str) -> None:
    span, model, given, written, cost = SHOWN[package]
    section = output.partition(f"── {package} ")[2].partition("\n── ")[0]
    assert "exit status 0; 2 answers, 1 streamed" in section
    for within in ("content.generate", "content.stream"):
        row = f"^  {re.escape(span)} +{model} +{within} +{given // 2} +{written // 2} +[0-9.]+ m?s$"
        assert len(re.findall(row, section, re.MULTILINE)) == 1, section
    for source in ("telemetry", "by hand"):
        assert re.search(f"^  {model} +{source} +{given} +{written} +{cost:.6f}$", section, re.MULTILINE), section
    assert f"equal; 2 calls, {cost / 2:.6f} USD each" in section
    assert re.search(f"^  {package} +equal$", output.partition("── Summary")[2], re.MULTILINE)


def test_the_demo_fails_when_the_cost_is_another(tmp_path: Path) -> None:
    document = json.loads(PRICES.read_text())
    document["prices"]["openai"]["gpt-5-mini"]["output"] *= 2
    other = tmp_path / "prices.json"
    other.write_text(json.dumps(document))
    package = replace(ai_demo.PACKAGES[0], variables={"BLOGAUTO_OTEL_AI_PRICES": str(other)})
    printed = io.StringIO()
    assert not ai_demo.show(Terminal(printed), with_ai_packages(), package)
    assert "not equal; 2 calls" in printed.getvalue()


def test_the_demo_fails_when_a_call_has_no_span() -> None:
    package = replace(ai_demo.PACKAGES[0], variables={"OTEL_TRACES_EXPORTER": "none"})
    printed = io.StringIO()
    assert not ai_demo.show(Terminal(printed), with_ai_packages(), package)
    assert "not the spans of the answers" in printed.getvalue()


def test_the_demo_fails_and_shows_why_when_a_program_does() -> None:
    printed = io.StringIO()
    package = replace(ai_demo.PACKAGES[0], key_variable="NOT_THE_KEY")
    assert not ai_demo.show(Terminal(printed), with_ai_packages(), package)
    assert "OpenAIError" in printed.getvalue()
