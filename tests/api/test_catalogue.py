"""The catalogue has the metrics that the contract promises, under the names that arrive in Prometheus."""

import pytest

from blogauto_otel import semconv
from blogauto_otel.api.catalogue import CATALOGUE, AttributeSpec, Kind, MetricSpec, prometheus_name, spec

# The promise to users, written down a second time on purpose: name in Prometheus -> type and labels.
PROMISED = {
    "blogauto_api_requests_total": ("counter", {"method", "endpoint", "status"}),
    "blogauto_api_request_duration_seconds": ("histogram", {"method", "endpoint"}),
    "blogauto_api_requests_in_progress": ("gauge", {"method", "endpoint"}),
    "blogauto_errors_total": ("counter", {"type", "endpoint"}),
    "blogauto_websockets_open": ("gauge", {"endpoint"}),
    "blogauto_cpu_usage_percent": ("gauge", set[str]()),
    "blogauto_memory_usage_bytes": ("gauge", set[str]()),
    "blogauto_memory_available_bytes": ("gauge", set[str]()),
    "blogauto_memory_total_bytes": ("gauge", set[str]()),
    "blogauto_disk_usage_percent": ("gauge", set[str]()),
    "blogauto_active_connections": ("gauge", {"type"}),
    "blogauto_keywords_analyzed_total": ("counter", set[str]()),
    "blogauto_titles_generated_total": ("counter", set[str]()),
    "blogauto_content_generated_total": ("counter", set[str]()),
    "blogauto_wordpress_posts_published_total": ("counter", {"status"}),
    "blogauto_api_keys_stored_total": ("counter", {"service"}),
    "blogauto_rate_limit_rejected_total": ("counter", {"endpoint"}),
    "blogauto_blocked_ips_total": ("gauge", set[str]()),
    "blogauto_security_events_total": ("counter", {"type"}),
}
OPERATIONS = {
    "blogauto_operation_duration_seconds": ("histogram", {"operation", "outcome"}),
    "blogauto_operation_errors_total": ("counter", {"operation", "type"}),
}
_AI = {
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
}
_SERVER = {"server_address", "server_port", "error_type"}
_POOL = {"db_client_connection_pool_name"}
LATER = {
    "blogauto_event_loop_lag_seconds": ("histogram", set[str]()),
    "blogauto_db_repeated_queries_total": ("counter", {"route"}),
    "blogauto_ai_cost_total": ("counter", {"provider", "model", "operation", "currency"}),
    "blogauto_ai_unpriced_calls_total": ("counter", {"provider", "model"}),
}
CONVENTIONS = {
    "process_memory_usage_bytes": ("gauge", set[str]()),
    "process_thread_count": ("gauge", set[str]()),
    "process_unix_file_descriptor_count": ("gauge", set[str]()),
    "cpython_gc_collections_total": ("counter", {"cpython_gc_generation"}),
    "db_client_operation_duration_seconds": (
        "histogram",
        {"db_system_name", "db_namespace", "db_operation_name", "db_collection_name", *_SERVER},
    ),
    "db_client_connection_count": ("gauge", {"db_client_connection_state", *_POOL}),
    "db_client_connection_max": ("gauge", _POOL),
    "db_client_connection_pending_requests": ("gauge", _POOL),
    "db_client_connection_timeouts_total": ("counter", _POOL),
    "http_client_request_duration_seconds": (
        "histogram",
        {"http_request_method", "http_response_status_code", "network_protocol_version", *_SERVER},
    ),
    "gen_ai_client_operation_duration_seconds": ("histogram", {"error_type", *_AI}),
    "gen_ai_client_operation_time_to_first_chunk_seconds": ("histogram", _AI),
    "gen_ai_client_token_usage": ("histogram", {"gen_ai_token_type", *_AI}),
}


def test_the_catalogue_is_what_was_promised() -> None:
    found = {
        metric.prometheus_name("blogauto"): (metric.kind.prometheus_type, set(metric.labels)) for metric in CATALOGUE
    }
    assert found == {**PROMISED, **OPERATIONS, **LATER, **CONVENTIONS}


def test_names_of_the_conventions_are_the_same_in_every_service() -> None:
    assert spec("db.client.operation.duration").prometheus_name("shop") == "db_client_operation_duration_seconds"


def test_another_namespace_changes_only_the_prefix() -> None:
    assert spec("api.requests").otel_name("shop") == "shop.api.requests"
    assert spec("api.requests").prometheus_name("shop") == "shop_api_requests_total"


def test_names_are_unique() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        spec("api.request")


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_units_translate_alike_at_the_collector_and_at_a_scrape(metric: MetricSpec) -> None:
    assert metric.unit in {"s", "By", "%"} or (metric.unit.startswith("{") and metric.unit.endswith("}"))
    assert metric.description.endswith(".")


@pytest.mark.parametrize("metric", [m for m in CATALOGUE if m.kind is Kind.HISTOGRAM], ids=lambda metric: metric.name)
def test_histograms_have_ascending_float_edges_and_ours_one_at_two_seconds(metric: MetricSpec) -> None:
    assert list(metric.boundaries) == sorted(set(metric.boundaries))
    assert all(type(edge) is float for edge in metric.boundaries)
    assert 2.0 in metric.boundaries or not metric.namespaced


def test_request_metrics_are_observed_and_blocked_ips_are_set() -> None:
    assert spec("api.requests").kind is Kind.OBSERVABLE_COUNTER
    assert spec("errors").kind is Kind.OBSERVABLE_COUNTER
    assert spec("api.requests.in_progress").kind is Kind.OBSERVABLE_UP_DOWN_COUNTER
    assert spec("blocked_ips_total").kind is Kind.GAUGE


def test_the_number_of_series_follows_from_the_attributes() -> None:
    assert spec("keywords.analyzed").max_series == 1
    assert spec("wordpress.posts.published").max_series == 2
    assert spec("api.request.duration").max_series == 10 * 200
    assert AttributeSpec(max_values=7).size == 7


def test_scopes_say_who_records() -> None:
    assert spec("errors").scope == semconv.SCOPE_HTTP
    assert spec("disk.usage").scope == semconv.SCOPE_SYSTEM
    assert spec("keywords.analyzed").scope == semconv.SCOPE_DOMAIN
    assert spec("security.events").scope == semconv.SCOPE_DOMAIN
    assert spec("operation.errors").scope == semconv.SCOPE_OPERATION


# The Collector's own cases (prometheus/otlptranslator, metric_namer_test.go), as far as our units go.
@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("unsupported.metric.temperature", "%", Kind.GAUGE, "unsupported_metric_temperature_percent"),
        ("system.io", "By", Kind.COUNTER, "system_io_bytes_total"),
        ("unit_total", "{x}", Kind.GAUGE, "unit_total"),
        ("already_total", "{x}", Kind.COUNTER, "already_total"),
        ("a_total_b", "", Kind.COUNTER, "a_b_total"),
        ("memory.bytes.read", "By", Kind.GAUGE, "memory_bytes_read"),
        ("pool.use", "1", Kind.OBSERVABLE_GAUGE, "pool_use_ratio"),
        ("Mixed--Case  name", "s", Kind.HISTOGRAM, "mixed_case_name_seconds"),
        ("5xx", "", Kind.GAUGE, "_5xx"),
        ("requests", "1/s", Kind.GAUGE, "requests_per_second"),
        ("throughput", "By/s", Kind.GAUGE, "throughput_bytes_per_second"),
        ("speed", "pages/week", Kind.GAUGE, "speed_pages_per_week"),
        ("custom_metric", "{packet}", Kind.GAUGE, "custom_metric"),
        ("cpu_usage", "1", Kind.GAUGE, "cpu_usage_ratio"),
        ("requests", "1", Kind.COUNTER, "requests_total"),
        ("response_time_seconds", "s", Kind.HISTOGRAM, "response_time_seconds"),
    ],
)
def test_names_translate_as_the_collector_does(name: str, unit: str, kind: Kind, expected: str) -> None:
    assert prometheus_name(name, unit=unit, kind=kind) == expected
