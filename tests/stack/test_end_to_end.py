"""The example through the real Collector into the real Prometheus and Jaeger, asked through their query APIs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from stack.processes import Sample, Span, Stack
from testkit.example import Blog, example
from testkit.ports import free_port

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("end-to-end")]

# Contract, section 3: every family with its labels, beside those that say which process reports.
FAMILIES = {
    "blogauto_api_requests_total": {"method", "endpoint", "status"},
    "blogauto_api_request_duration_seconds_count": {"method", "endpoint"},
    "blogauto_api_request_duration_seconds_bucket": {"method", "endpoint", "le"},
    "blogauto_api_requests_in_progress": {"method", "endpoint"},
    "blogauto_errors_total": {"type", "endpoint"},
    "blogauto_cpu_usage_percent": set(),
    "blogauto_memory_usage_bytes": set(),
    "blogauto_memory_available_bytes": set(),
    "blogauto_memory_total_bytes": set(),
    "blogauto_disk_usage_percent": set(),
    "blogauto_active_connections": {"type"},
    "blogauto_keywords_analyzed_total": set(),
    "blogauto_titles_generated_total": set(),
    "blogauto_content_generated_total": set(),
    "blogauto_wordpress_posts_published_total": {"status"},
    "blogauto_api_keys_stored_total": {"service"},
    "blogauto_rate_limit_rejected_total": {"endpoint"},
    "blogauto_blocked_ips_total": set(),
    "blogauto_security_events_total": {"type"},
}

TYPES = {
    "blogauto_api_requests": "counter",
    "blogauto_api_request_duration_seconds": "histogram",
    "blogauto_api_requests_in_progress": "gauge",
    "blogauto_errors": "counter",
    "blogauto_cpu_usage_percent": "gauge",
    "blogauto_blocked_ips_total": "gauge",
    "blogauto_security_events": "counter",
}

WHO = {"__name__", "job", "instance", "service_name", "service_version", "deployment_environment_name"}

# Contract, section 9: what people type, as they type it.
QUERIES = (
    "histogram_quantile(0.95, sum(rate(blogauto_api_request_duration_seconds_bucket[5m])) by (endpoint, le))",
    "sum(rate(blogauto_api_requests_total[1m])) by (endpoint)",
    'sum(rate(blogauto_api_requests_total{status=~"5.."}[5m])) / sum(rate(blogauto_api_requests_total[5m]))',
    "increase(blogauto_content_generated_total[1d])",
    (
        'sum(rate(blogauto_wordpress_posts_published_total{status="success"}[1h]))'
        " / sum(rate(blogauto_wordpress_posts_published_total[1h]))"
    ),
    "topk(5, sum(rate(blogauto_api_requests_total[1h])) by (endpoint))",
    "sum(rate(blogauto_rate_limit_rejected_total[5m])) by (endpoint)",
    "blogauto_blocked_ips_total",
    "sum(rate(blogauto_security_events_total[1h])) by (type)",
)


@dataclass(frozen=True)
class Observed:
    """The stack, and the example that sends to it, after every kind of traffic."""

    stack: Stack
    blog: Blog

    def scrape(self) -> str:
        """The application's own `/metrics`."""
        return self.blog.child.get("/metrics")[1].decode()


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    tmp = tmp_path_factory.mktemp("end-to-end")
    port = free_port()
    with (
        Stack(tmp, backend=f"127.0.0.1:{port}") as stack,
        example(tmp, stack.collector.endpoint, port=port, OTEL_METRIC_EXPORT_INTERVAL="1000") as blog,
    ):
        stack.prometheus.wait_for("blogauto_api_requests_total")  # rates need a series to exist before it grows
        blog.traffic()
        yield Observed(stack, blog)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_of_the_contract_arrives_with_its_labels(observed: Observed, family: str) -> None:
    samples = observed.stack.prometheus.wait_for(f'{family}{{job="blogauto-backend"}}')
    for sample in samples:
        assert set(sample.labels) - WHO == FAMILIES[family]


@pytest.mark.parametrize("family", TYPES)
def test_types_are_those_of_the_contract(observed: Observed, family: str) -> None:
    observed.stack.prometheus.wait_for(f'{{__name__=~"{family}.*"}}')
    assert observed.stack.prometheus.metadata()[family] == TYPES[family]


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_people_know_have_data(observed: Observed, query: str) -> None:
    """At least one number: an endpoint without requests in the last minutes has no quantile, and that is NaN."""
    observed.stack.prometheus.wait_for(query, until=lambda found: any(not math.isnan(one.value) for one in found))


def test_the_scrape_says_what_the_collector_says(observed: Observed) -> None:
    """Same names, same labels, at the application's own /metrics and in Prometheus behind the Collector."""
    scraped = series_of(observed.scrape())

    def pushed() -> set[str]:
        found = observed.stack.prometheus.query('{__name__=~"blogauto_.*", job="blogauto-backend"}')
        return {series(sample) for sample in found if sample.labels["__name__"].startswith("blogauto_")}

    observed.stack.prometheus.wait_for(
        '{__name__=~"blogauto_.*", job="blogauto-backend"}',
        until=lambda _: not missing(scraped, pushed()),
        timeout=30.0,
    )
    assert not missing(scraped, pushed())
    assert not missing(pushed(), series_of(observed.scrape()))


def missing(some: set[str], others: set[str]) -> set[str]:
    """What is in one and not in the other; an SDK error that was swallowed meanwhile is no difference."""
    return {one for one in some - others if "swallowed" not in one}


def series(sample: Sample) -> str:
    own = {name: value for name, value in sample.labels.items() if name not in WHO}
    if "le" in own:
        own["le"] = str(float(own["le"]))
    return sample.labels["__name__"] + str(sorted(own.items()))


def series_of(text: str) -> set[str]:
    found = set()
    for line in text.splitlines():
        match = re.match(r"(blogauto_\w+)(?:\{(.*)\})? \S+$", line)
        if match:
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            found.add(series(Sample({"__name__": match[1], **labels}, 0.0, 0.0)))
    return found


def test_the_scraped_job_has_up_and_no_metric_twice(observed: Observed) -> None:
    observed.stack.prometheus.wait_for('up{job="blogauto-backend"} == 1')
    (count,) = observed.stack.prometheus.query('count(blogauto_keywords_analyzed_total{job="blogauto-backend"})')
    assert count.value == 1


def test_an_exemplar_leads_to_a_trace_that_jaeger_knows(observed: Observed) -> None:
    selector = 'blogauto_api_request_duration_seconds_bucket{endpoint="/api/content/generate"}'
    observed.stack.prometheus.wait_for(selector, until=lambda _: bool(observed.stack.prometheus.exemplars(selector)))
    exemplars = observed.stack.prometheus.exemplars(selector)
    assert any(observed.stack.jaeger.trace(exemplar.trace_id) for exemplar in exemplars)


def test_a_request_is_a_tree_of_server_sql_and_outgoing_http(observed: Observed) -> None:
    """Found by an exemplar: server → SQL, server → outgoing HTTP, and the log records of the same trace."""
    selector = 'blogauto_api_request_duration_seconds_bucket{endpoint="/api/content/generate"}'
    observed.stack.prometheus.wait_for(selector, until=lambda _: bool(observed.stack.prometheus.exemplars(selector)))
    found: list[list[Span]] = []

    def look(_: object) -> bool:
        for exemplar in observed.stack.prometheus.exemplars(selector):
            spans = observed.stack.jaeger.trace(exemplar.trace_id)
            logged = any(record.trace_id == exemplar.trace_id for record in observed.stack.collector.logs())
            if logged and {"server", "client"} <= {span.kind for span in spans}:
                found.append(spans)
        return bool(found)

    observed.stack.prometheus.wait_for("vector(1)", until=look)
    spans = found[0]
    by_id = {span.span_id: span for span in spans}
    (server,) = [span for span in spans if span.kind == "server"]

    def descends(span: Span) -> bool:
        while span.parent_span_id in by_id:
            span = by_id[span.parent_span_id]
        return span is server

    clients = [span for span in spans if span.kind == "client"]
    assert any("db.system.name" in span.attributes for span in clients)
    assert any("url.full" in span.attributes for span in clients)
    assert all(descends(span) for span in clients)
