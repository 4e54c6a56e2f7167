"""`make ai-demo`: telemetry of the packages openai, google-genai and anthropic, against local servers of their APIs.

Each package runs in a process and with a server and a receiver of its own, so nothing here leaves this machine, and
what a receiver has is of that package. Tokens and cost are compared with those of the server's answers.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from examples import ai_usage, demo
from examples.blog_process import PRICES
from examples.terminal import Terminal, duration
from testkit import ai_providers
from testkit.ai_providers import Answer
from testkit.environments import with_ai_packages
from testkit.processes import environment
from testkit.receiver import Receiver, Span

TIMEOUT: Final = 120.0  # seconds for a program
# A program must not get the user's keys, accounts or proxies: it calls a local server.
FOREIGN: Final = re.compile(r"OPENAI_|ANTHROPIC_|GOOGLE_|GEMINI_|.*_PROXY$", re.IGNORECASE)


@dataclass(frozen=True)
class Package:
    """An AI package: its program, how the program is told its server, and the tokens that the server states."""

    name: str
    program: str
    url_variable: str
    key_variable: str
    path: str
    given: int
    written: int
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self, *, server: str, otlp: str) -> Mapping[str, str]:
        """The variables of the program's process."""
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
            "OTEL_SERVICE_NAME": f"ai-demo-{self.name}",
            "BLOGAUTO_OTEL_AI_PRICES": str(PRICES),
            self.url_variable: server + self.path,
            self.key_variable: "a-key",
        }
        own = environment(PYTHONIOENCODING="utf-8")
        return {name: value for name, value in own.items() if not FOREIGN.match(name)} | settings | dict(self.variables)


PACKAGES: Final = (
    Package("openai", "examples.ai.with_openai", "OPENAI_BASE_URL", "OPENAI_API_KEY", "/openai/v1", 120, 900),
    Package(
        "google-genai", "examples.ai.with_google_genai", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY", "/gemini", 90, 700
    ),
    Package(
        "anthropic", "examples.ai.with_anthropic", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "/anthropic", 150, 800
    ),
)


def show(terminal: Terminal, python: Path, package: Package) -> bool:
    """Run a package's program and show its telemetry; True when spans, tokens and cost are those of the answers."""
    terminal.heading(package.name)
    with (
        Receiver() as receiver,
        ai_providers.running(given=package.given, written=package.written) as server,
        tempfile.TemporaryDirectory(prefix="blogauto-ai-demo-") as state,
    ):
        variables = {**package.environment(server=server.url, otlp=receiver.url), "XDG_STATE_HOME": state}
        with terminal.step(package.program) as words:
            ended = subprocess.run(
                [str(python), "-m", package.program],
                env=variables, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, timeout=TIMEOUT, encoding="utf-8",
                errors="replace", check=False,
            )  # fmt: skip
            streamed = sum(one.is_streamed for one in server.answered)
            words.append(f"exit status {ended.returncode}; {len(server.answered)} answers, {streamed} streamed")
        if ended.returncode != 0:
            terminal.line(ended.stdout)
            return False
        terminal.line()
        have_spans = spans(terminal, receiver, server.answered)
        terminal.line()
        measured, computed = demo.ai_used(receiver), by_hand(server.answered)
        are_equal = ai_usage.compare(terminal, measured, computed, number=len(server.answered), of="calls")
    return have_spans and are_equal


def spans(terminal: Terminal, receiver: Receiver, answered: Sequence[Answer]) -> bool:
    """A table of the calls' spans; True when each answer has one, with its model and tokens."""
    calls = sorted((one for one in receiver.spans if "gen_ai.request.model" in one.attributes), key=lambda s: s.start)
    parents = {one.span_id: one.name for one in receiver.spans}
    rows = [("span", "model", "within", "input tokens", "output tokens", "took")]
    for one in calls:
        model, given, written = stated(one)
        rows.append((one.name, model, parents.get(one.parent_id, ""), given, written, duration(one.seconds)))
    terminal.table(rows, right=(3, 4, 5))
    expected = [(one.model, str(one.input), str(one.output)) for one in answered]
    is_complete = bool(answered) and [stated(one) for one in calls] == expected
    if not is_complete:
        terminal.line(f"\n  {terminal.paint('not the spans of the answers', 'red')}: {expected}")
    return is_complete


def stated(span: Span) -> tuple[str, str, str]:
    """Model, input tokens and output tokens of a call's span; empty where the span does not tell."""
    names = ("gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    model, given, written = (str(span.attributes.get(name, "")) for name in names)
    return model, given, written


def by_hand(answered: Sequence[Answer]) -> Mapping[str, ai_usage.Usage]:
    """The use by model, from the usage of the server's answers and the prices of the file."""
    used: dict[str, ai_usage.Usage] = {}
    for one in answered:
        usage = ai_usage.priced(one.provider, one.model, one.input, one.output)
        used[one.model] = used.get(one.model, ai_usage.Usage()) + usage
    return used


def main() -> int:
    """Run the demo; the exit status."""
    terminal = Terminal()
    terminal.heading("Starting")
    with terminal.step("environment with the packages") as words:
        python = with_ai_packages()  # pip installs them at the first run
        words.append(str(python.parents[1].name))
    results = {package.name: show(terminal, python, package) for package in PACKAGES}
    terminal.heading("Summary")
    for name, is_right in results.items():
        verdict = terminal.paint("equal", "green") if is_right else terminal.paint("not equal", "red")
        terminal.line(f"  {name:<14}{verdict}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
