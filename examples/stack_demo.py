"""`make stack-demo`: the demo through the real Collector, Prometheus and Jaeger, as processes on loopback.

It follows one trace id: from an exemplar in Prometheus to the trace in Jaeger and to the log records at the Collector's
file exporter. With `--keep` (the default in a terminal) everything keeps running, under light traffic, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples import ai_usage, analysis, demo, traffic
from examples.blog_process import Blog, start_blog
from examples.terminal import Terminal, duration, fitted
from stack import build
from stack.processes import LogRecord, Span, Stack, ensure_programs
from testkit.ports import LOOPBACK, free_port
from testkit.processes import StackError, eventually

DURATION: Final = "blogauto_api_request_duration_seconds_bucket"
P95: Final = f"histogram_quantile(0.95, sum({DURATION}) by (endpoint, le))"  # since the start: too early for rate()
TOKENS: Final = "sum by (gen_ai_request_model, gen_ai_token_type) (gen_ai_client_token_usage_sum)"
COST: Final = "sum by (model) (blogauto_ai_cost_total)"
SLOW: Final = 2.0  # seconds


@dataclass(frozen=True)
class Running:
    """The stack, and the blog that exports to it."""

    stack: Stack
    blog: Blog


@dataclass(frozen=True)
class Found:
    """One request, as each of the three backends shows it."""

    trace_id: str
    exemplar: float  # seconds
    spans: list[Span]
    records: list[LogRecord]


@contextmanager
def everything(terminal: Terminal, tmp: Path) -> Iterator[Running]:
    """Run the stack and the blog for the time of the block."""
    with terminal.step("programs") as words:
        ensure_programs(report=lambda line: terminal.line(f"    {line}"))
        words.append("Collector, Prometheus, Jaeger")
    port = free_port()
    with contextlib.ExitStack() as ending:
        with terminal.step("stack"):
            stack = ending.enter_context(Stack(tmp, backend=f"{LOOPBACK}:{port}"))
        with terminal.step("example blog") as words:
            blog = ending.enter_context(start_blog(tmp=tmp, otlp_endpoint=stack.collector.endpoint, port=port))
            words.append(f"{blog.url}, OTLP to the Collector at {stack.collector.endpoint}")
        yield Running(stack, blog)


def requests(terminal: Terminal, stack: Stack) -> None:
    """Requests by endpoint and status as Prometheus counts them, with the p95 of their duration."""
    stack.prometheus.wait_for(P95)
    p95 = {sample.labels["endpoint"]: sample.value for sample in stack.prometheus.query(P95)}
    statuses: defaultdict[tuple[str, str], traffic.Statuses] = defaultdict(traffic.Statuses)
    for sample in stack.prometheus.query("sum by (endpoint, method, status) (blogauto_api_requests_total)"):
        labels = sample.labels
        statuses[labels["endpoint"], labels["method"]][int(labels["status"])] += int(sample.value)
    rows = [("endpoint", "method", "p95 of the endpoint", "answered")]
    for endpoint, method in sorted(statuses):
        known = duration(p95[endpoint]) if endpoint in p95 else ""
        rows.append((endpoint, method, known, traffic.summary(statuses[endpoint, method])))
    terminal.table(rows, right=(2,))


def ai_used(stack: Stack) -> Mapping[str, ai_usage.Usage]:
    """Tokens and cost by model as Prometheus has them."""
    used: defaultdict[str, ai_usage.Usage] = defaultdict(ai_usage.Usage)
    for sample in stack.prometheus.query(TOKENS):
        kind = {sample.labels["gen_ai_token_type"]: int(sample.value)}
        used[sample.labels["gen_ai_request_model"]] += ai_usage.Usage(**kind)
    for sample in stack.prometheus.query(COST):
        used[sample.labels["model"]] += ai_usage.Usage(cost=sample.value)
    return used


def followed(stack: Stack) -> Found:
    """The slow request that Prometheus, Jaeger and the log have under one trace id; waits until they do.

    Raises:
        StackError: They did not within a minute.
    """

    def look() -> Found | None:
        for exemplar in stack.prometheus.exemplars(f'{DURATION}{{endpoint="{demo.GENERATE}"}}'):
            records = [record for record in stack.collector.logs() if record.trace_id == exemplar.trace_id]
            spans = stack.jaeger.trace(exemplar.trace_id) if exemplar.value > SLOW else []
            if records and any(span.kind == "server" for span in spans):
                return Found(exemplar.trace_id, exemplar.value, spans, records)
        return None

    found = eventually(look, lambda found: found is not None, every=0.5, what="one trace id in all three")
    assert found is not None
    return found


def one_trace_id(terminal: Terminal, found: Found) -> None:
    """Show it in Prometheus, in Jaeger and in the log."""
    trace_id = terminal.paint(found.trace_id, "yellow")
    terminal.line(f"  Prometheus  {trace_id}  exemplar of {DURATION}: {duration(found.exemplar)}")
    terminal.line(f"  Jaeger      {trace_id}  {len(found.spans)} spans")
    terminal.line(f"  log file    {trace_id}  {len(found.records)} records")
    terminal.line()
    terminal.trace([analysis.node(span, parent_id=span.parent_span_id) for span in found.spans])
    for record in found.records:
        terminal.line(fitted(f"  {record.severity_text:<7} {record.scope}: {record.body}", 110).rstrip())


def addresses(terminal: Terminal, running: Running, found: Found) -> None:
    """Print the addresses for further queries."""
    stack = running.stack
    prometheus, jaeger = stack.prometheus.url, stack.jaeger.url
    query = urllib.parse.urlencode({"query": "sum by (endpoint) (rate(blogauto_api_requests_total[1m]))"})
    rows = [
        ("what", "where"),
        ("the blog, and its own metrics", f"{running.blog.url}/docs   {running.blog.url}/metrics"),
        ("Prometheus: targets", f"{prometheus}/api/v1/targets"),
        ("Prometheus: requests/s by endpoint", f"{prometheus}/api/v1/query?{query}"),
        ("Jaeger: this trace", f"{jaeger}/api/v3/traces/{found.trace_id}"),
        ("Jaeger: services", f"{jaeger}/api/v3/services"),
        ("log records, spans, metrics as files", str(stack.collector.files)),
    ]
    terminal.table(rows)
    terminal.line(
        "\n  These programs answer their APIs; their web pages, and Grafana's, come with docker compose up -d."
    )


def keep(terminal: Terminal, running: Running) -> None:
    """Light traffic until Ctrl-C."""
    terminal.line("\n  Running under light traffic; Ctrl-C ends everything.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            traffic.normal(running.blog.url)
            traffic.failing(running.blog.url)
            time.sleep(5.0)
    terminal.line()


def run(terminal: Terminal, tmp: Path, *, kept: bool) -> None:
    """Show it all."""
    terminal.heading("Starting")
    with everything(terminal, tmp) as running:
        terminal.heading("Traffic")
        demo.visits(terminal, running.blog.url)
        with terminal.step("waiting for Prometheus, Jaeger, log"):
            found = followed(running.stack)
        terminal.heading("Requests, from Prometheus")
        requests(terminal, running.stack)
        terminal.heading("AI usage, from Prometheus, and computed by hand from the words")
        terminal.line(f"  {TOKENS}\n  {COST}\n")
        ai_usage.compare(
            terminal, ai_used(running.stack), ai_usage.by_hand(demo.ARTICLES), number=len(demo.ARTICLES), of="articles"
        )
        terminal.heading("One slow request, one trace id, three places")
        one_trace_id(terminal, found)
        terminal.heading("To look further")
        addresses(terminal, running, found)
        if kept:
            keep(terminal, running)


def main() -> int:
    """Run the demo; the exit status."""
    parser = argparse.ArgumentParser(prog="make stack-demo", description=__doc__.splitlines()[0] if __doc__ else None)
    whether = argparse.BooleanOptionalAction
    parser.add_argument("--keep", action=whether, default=sys.stdout.isatty(), help="stay until Ctrl-C")
    kept = parser.parse_args().keep
    terminal = Terminal()
    tmp = Path(tempfile.mkdtemp(prefix="blogauto-stack-demo-"))
    try:
        run(terminal, tmp, kept=kept)
    except (build.BuildError, StackError) as error:
        terminal.line(f"\n  {error}\n  logs: {tmp}")
        return 1
    except KeyboardInterrupt:
        terminal.line()
    shutil.rmtree(tmp, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
