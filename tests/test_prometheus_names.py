"""Names as the Collector makes them: the contract's, and the rules of otlptranslator one by one."""

from __future__ import annotations

import pytest

from blogauto_otel.prometheus_names import label_name, metric_name

CONTRACT = [
    ("blogauto.cpu.usage", "%", "gauge", "blogauto_cpu_usage_percent"),
    ("blogauto.memory.usage", "By", "gauge", "blogauto_memory_usage_bytes"),
    ("blogauto.memory.available", "By", "gauge", "blogauto_memory_available_bytes"),
    ("blogauto.memory.total", "By", "gauge", "blogauto_memory_total_bytes"),
    ("blogauto.disk.usage", "%", "gauge", "blogauto_disk_usage_percent"),
    ("blogauto.active_connections", "{connection}", "gauge", "blogauto_active_connections"),
    ("blogauto.api.requests", "{request}", "counter", "blogauto_api_requests_total"),
    ("blogauto.api.request.duration", "s", "histogram", "blogauto_api_request_duration_seconds"),
    ("blogauto.api.requests.in_progress", "{request}", "gauge", "blogauto_api_requests_in_progress"),
    ("blogauto.errors", "{error}", "counter", "blogauto_errors_total"),
    ("blogauto.keywords.analyzed", "{keyword}", "counter", "blogauto_keywords_analyzed_total"),
    ("blogauto.titles.generated", "{title}", "counter", "blogauto_titles_generated_total"),
    ("blogauto.content.generated", "{content}", "counter", "blogauto_content_generated_total"),
    ("blogauto.wordpress.posts.published", "{post}", "counter", "blogauto_wordpress_posts_published_total"),
    ("blogauto.api_keys.stored", "{key}", "counter", "blogauto_api_keys_stored_total"),
    ("blogauto.rate_limit.rejected", "{request}", "counter", "blogauto_rate_limit_rejected_total"),
    ("blogauto.blocked_ips_total", "{ip}", "gauge", "blogauto_blocked_ips_total"),
    ("blogauto.security.events", "{event}", "counter", "blogauto_security_events_total"),
]

RULES = [
    ("a.total.b", "", "counter", "a_b_total"),
    ("a.total", "", "counter", "a_total"),
    ("a_total", "", "gauge", "a_total"),
    ("system.io", "foo/bar", "counter", "system_io_foo_per_bar_total"),
    ("network.io", "By/s", "gauge", "network_io_bytes_per_second"),
    ("bytes.read", "By", "gauge", "bytes_read"),
    ("a.seconds", "s", "histogram", "a_seconds"),
    ("requests.in_progress", "requests", "gauge", "requests_in_progress"),
    ("a", "{request}/s", "gauge", "a_per_second"),
    ("a", "By/{request}", "gauge", "a_bytes"),
    ("a", "By/", "gauge", "a_bytes"),
    ("a", " s ", "gauge", "a_seconds"),
    ("a", "1", "counter", "a_total"),
    ("a", "1", "gauge", "a"),
    ("a__b..c", "", "gauge", "a_b_c"),
    ("a:b", "", "gauge", "a:b"),
    ("_a_", "", "gauge", "a"),
    ("3d.prints", "", "counter", "_3d_prints_total"),
    ("größe", "", "gauge", "gr_e"),
    ("...", "", "gauge", ""),
    ("a", "m²/s²", "gauge", "a_m_per_s"),
    ("a", "KiBy/m", "gauge", "a_kibibytes_per_minute"),
    ("disk.usage.percent", "%", "gauge", "disk_usage_percent"),
]


@pytest.mark.parametrize(("name", "unit", "kind", "expected"), CONTRACT + RULES)
def test_metric_names(name: str, unit: str, kind: str, expected: str) -> None:
    assert metric_name(name, unit, kind) == expected


def test_the_unit_one_makes_a_ratio_of_a_gauge_instrument_only() -> None:
    assert metric_name("cache.hit", "1", "gauge", is_ratio=True) == "cache_hit_ratio"
    assert metric_name("ratio.one", "1", "gauge", is_ratio=True) == "one_ratio"
    assert metric_name("cache.hit", "1", "gauge") == "cache_hit"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("endpoint", "endpoint"),
        ("http.request.method", "http_request_method"),
        ("a..b", "a_b"),
        ("a__b", "a_b"),
        ("1st", "key_1st"),
        ("_private", "_private"),
        ("__name__", "_name_"),
        ("otel.metric.overflow", "otel_metric_overflow"),
        ("국가", ""),
        ("", ""),
    ],
)
def test_label_names(key: str, expected: str) -> None:
    assert label_name(key) == expected
