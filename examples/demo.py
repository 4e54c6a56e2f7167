"""`make demo`: the example blog under traffic and its telemetry, in a terminal. No Docker, no Collector.

The blog runs under a real uvicorn and sends OTLP over HTTP to a receiver in this process.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from examples import ai_usage, analysis, traffic
from examples.blog_process import Blog, start_blog
from examples.terminal import Terminal, duration, fitted
from testkit.processes import get
from testkit.receiver import Receiver, Span

GENERATE: Final = "/api/content/generate"
ROUNDS: Final = 10  # of normal traffic
# Topic and provider of every article that `visits` generates.
ARTICLES: Final = (*traffic.subjects(ROUNDS), (traffic.slow_topic(), "openai"))
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"

# The lines of /metrics to show: the first with each of these prefixes.
EXCERPT: Final = (
    "# TYPE blogauto_api_requests counter",
    'blogauto_api_requests_total{endpoint="/api/content/generate"',
    "# TYPE blogauto_api_request_duration_seconds",
    'blogauto_api_request_duration_seconds_bucket{endpoint="/api/content/generate"',
    "blogauto_content_generated_total",
    "blogauto_wordpress_posts_published_total",
    "blogauto_security_events_total",
    "blogauto_rate_limit_rejected_total",
    "blogauto_blocked_ips_total",
    "blogauto_cpu_usage_percent",
    "blogauto_memory_available_bytes",
)


def visits(terminal: Terminal, base_url: str) -> None:
    """Send every kind of traffic, one after the other."""
    several: Mapping[str, Callable[[str], traffic.Statuses]] = {
        **traffic.KINDS,
        "normal": lambda url: traffic.normal(url, rounds=ROUNDS),
    }
    for kind in (
        "normal",
        "lost",
        "slow",
        "failing",
        "wordpress_failures",
        "api_key_failures",
        "failed_logins",
        "attacks",
    ):
        with terminal.step(kind.replace("_", " ")) as words:
            words.append(traffic.summary(several[kind](base_url)))
    with terminal.step("rate limited") as words:
        words.append(traffic.summary(traffic.rate_limited(base_url)))


def requests(terminal: Terminal, receiver: Receiver) -> None:
    """Requests by endpoint and status, with the p95 of their duration, from the metrics."""
    statuses: defaultdict[tuple[str, str], traffic.Statuses] = defaultdict(traffic.Statuses)
    for point in receiver.points("blogauto.api.requests"):
        labels = point.attributes
        statuses[labels["endpoint"], labels["method"]][int(labels["status"])] += int(point.value or 0)
    rows = [("endpoint", "method", "p95", "answered")]
    for endpoint, method in sorted(statuses):
        labels = {"endpoint": endpoint, "method": method}
        point = receiver.point("blogauto.api.request.duration", labels)
        p95 = analysis.quantile(0.95, point.bounds, point.buckets)
        rows.append((endpoint, method, duration(p95), traffic.summary(statuses[endpoint, method])))
    terminal.table(rows, right=(2,))


def ai_used(receiver: Receiver) -> Mapping[str, ai_usage.Usage]:
    """Tokens and cost by model, from the metrics."""
    used: defaultdict[str, ai_usage.Usage] = defaultdict(ai_usage.Usage)
    for point in receiver.points("gen_ai.client.token.usage"):
        kind = {point.attributes["gen_ai.token.type"]: int(point.sum or 0)}
        used[point.attributes["gen_ai.request.model"]] += ai_usage.Usage(**kind)
    for point in receiver.points("blogauto.ai.cost"):
        used[point.attributes["model"]] += ai_usage.Usage(cost=float(point.value or 0))
    return used


def trace(terminal: Terminal, receiver: Receiver, root: Span) -> None:
    """The tree of a request's spans, and the log lines that carry its trace id."""
    terminal.line(f"  trace {terminal.paint(root.trace_id, 'yellow')}")
    spans = [span for span in receiver.spans if span.trace_id == root.trace_id]
    terminal.trace([analysis.node(span, parent_id=span.parent_id) for span in spans])
    records = [record for record in receiver.logs if record.trace_id == root.trace_id]
    for record in sorted(records, key=lambda record: record.time):
        text = fitted(f"  {record.severity:<7} {record.scope}: {record.body}", 96).rstrip()
        terminal.line(f"{text}  {terminal.paint(record.trace_id[:8] + '…', 'yellow')}")


def server_span(receiver: Receiver, wanted: Callable[[Span], bool]) -> Span:
    """The longest request to the content generator that satisfies the predicate."""
    spans = [span for span in receiver.spans if span.kind == "SERVER" and span.attributes.get("http.route") == GENERATE]
    return max(filter(wanted, spans), key=lambda span: span.seconds)


def exposition(terminal: Terminal, page: str) -> None:
    """Some lines of /metrics; of the histogram one with an exemplar."""
    lines = page.splitlines()
    for beginning in EXCERPT:
        found = [line for line in lines if line.startswith(beginning)]
        chosen = next((line for line in found if "# {" in line), found[0] if found else None)
        if chosen is not None:
            terminal.line(f"  {fitted(without_resource(chosen), 140).rstrip()}")


def without_resource(line: str) -> str:
    """A line of /metrics without the labels that all lines share."""
    return re.sub(r',?(deployment_environment_name|service_name)="[^"]*"', "", line).replace("{}", "")


def received(receiver: Receiver) -> Mapping[str, int]:
    """How many items of each signal arrived; for metrics, how many metrics (not points)."""
    pushed = [
        request for request in receiver.requests if request.path.endswith("/v1/metrics") and request.answered == 200
    ]
    metrics = sum(
        len(scope.metrics)
        for request in pushed
        for resource in ExportMetricsServiceRequest.FromString(request.payload).resource_metrics
        for scope in resource.scope_metrics
    )
    return {"traces": len(receiver.spans), "metrics": metrics, "logs": len(receiver.logs)}


def summary(terminal: Terminal, delivered: Mapping[str, Any], arrived: Mapping[str, int]) -> bool:
    """Compare what the blog reports as sent with what arrived; True when they are equal and nothing was lost."""
    rows = [("signal", "accepted", "sent", "received", "lost")]
    equal = True
    for signal, count in arrived.items():
        figures = delivered[signal]
        # A metric collection replaced by a newer one is no loss: the newer one includes it.
        lost = sum(count for reason, count in figures["dropped"].items() if reason != "superseded")
        equal &= figures["sent"] == count and lost == 0
        rows.append((signal, str(figures["accepted"]), str(figures["sent"]), str(count), str(lost)))
    terminal.table(rows, right=(1, 2, 3, 4))
    verdict = terminal.paint("sent = received", "green") if equal else terminal.paint("sent ≠ received", "red")
    terminal.line(f"\n  {verdict}")
    return equal


def run(terminal: Terminal, receiver: Receiver, tmp: Path) -> bool:
    """Show everything; True when all that was sent arrived, and the cost is what it should be."""
    terminal.heading("Starting")
    with terminal.step("example blog") as words:
        blog: Blog = start_blog(tmp=tmp, otlp_endpoint=receiver.url)
        words.append(f"{blog.url} (uvicorn, process {blog.pid}), OTLP to {receiver.url}")
        blog.wait_ready()
    try:
        terminal.heading("Traffic")
        visits(terminal, blog.url)
        page = get(f"{blog.url}/metrics", accept=OPENMETRICS)[1]
    finally:
        with terminal.step("SIGTERM, and the last telemetry") as words:
            words.append(f"exit status {blog.stop()}")
    terminal.heading("Requests, from the metrics")
    requests(terminal, receiver)
    terminal.heading("AI usage, from the metrics, and computed by hand from the words")
    equal = ai_usage.compare(
        terminal, ai_used(receiver), ai_usage.by_hand(ARTICLES), number=len(ARTICLES), of="articles"
    )
    terminal.heading("A failed request: its trace, and its log records")
    trace(terminal, receiver, server_span(receiver, lambda span: span.status == "ERROR"))
    terminal.heading("A slow request")
    trace(terminal, receiver, server_span(receiver, lambda span: span.seconds > 2.0))
    terminal.heading(f"Of {blog.url}/metrics")
    exposition(terminal, page)
    terminal.heading("Summary")
    return summary(terminal, blog.delivered(), received(receiver)) and equal


def main() -> int:
    """Run the demo; the exit status."""
    terminal = Terminal()
    tmp = Path(tempfile.mkdtemp(prefix="blogauto-demo-"))
    with Receiver() as receiver:
        complete = run(terminal, receiver, tmp)
    if complete:
        shutil.rmtree(tmp)
        return 0
    terminal.line(f"  the blog's log: {tmp / 'blog.log'}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
