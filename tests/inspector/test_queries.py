"""What the page shows of the telemetry that was stored."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA as DELTA
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from blogauto_otel.errors import FilterError
from blogauto_otel.inspector import metrics, queries, services
from blogauto_otel.inspector.explain import Explainer
from blogauto_otel.inspector.store import Store
from testkit import otlp
from testkit.otlp import CLIENT, ERROR, logs, record, span, traces
from tests.inspector.server import below, get, select, stored

NOTHING = Explainer()


def shown(store: Store, query: str = "") -> list[str]:
    """Name and path of the requests of a query."""
    return [one["path"] or one["name"] for one in queries.requests(store, query)["requests"]]


def one_request(store: Store, query: str = "") -> Any:
    (found,) = queries.requests(store, query)["requests"]
    return found


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_counts_what_happened_in_it() -> None:
    request = get("/posts", status=200)
    statements = [select(request) for _ in range(3)]
    call = below(request, span("GET", kind=CLIENT, attributes={"server.address": "ai.example"}))
    line = record("read")
    line.trace_id, line.span_id = request.trace_id, request.span_id
    found = one_request(stored(traces([*statements, call, request]), logs([line])))
    assert (found["statements"], found["client_calls"], found["logs"], found["spans"]) == (3, 1, 1, 5)
    assert (found["kind"], found["method"], found["route"], found["status"]) == ("http", "GET", "/posts", 200)
    assert (found["error"], found["repeated"]) == (False, 0)
    assert found["duration"] == pytest.approx(100, abs=1)


def test_children_that_arrive_before_their_request_belong_to_it() -> None:
    request = get()
    store = stored(traces([select(request)]))
    assert shown(store) == []
    store.add_spans(_rows(traces([request])))
    store.refresh()
    assert one_request(store)["statements"] == 1


def _rows(message: Any) -> Any:
    from blogauto_otel.inspector import rows

    return rows.spans(message)


def test_a_request_of_another_service_has_its_own_statements() -> None:
    outer = get("/outer")
    call = below(outer, span("GET", kind=CLIENT))
    inner = below(call, get("/inner"))
    message = traces([outer, call])
    message.MergeFrom(traces([inner, select(inner)], {"service.name": "users"}))
    by_path = {one["path"]: one for one in queries.requests(stored(message))["requests"]}
    assert by_path["/outer"]["statements"] == 0
    assert (by_path["/inner"]["service"], by_path["/inner"]["statements"]) == ("users", 1)


def test_statements_of_one_text_are_repeated_from_ten_on() -> None:
    few, many = get("/few"), get("/many")
    store = stored(traces([few, many, *[select(few) for _ in range(9)], *[select(many) for _ in range(12)]]))
    by_path = {one["path"]: one["repeated"] for one in queries.requests(store)["requests"]}
    assert by_path == {"/few": 0, "/many": 12}


def test_the_count_on_the_span_is_used_where_not_all_statements_have_one() -> None:
    assert one_request(stored(traces([get(attributes={"blogauto.db.repeated": 40})])))["repeated"] == 40


@pytest.mark.parametrize(
    ("emitted", "kind"),
    [
        (get(), "http"),
        (get(attributes={"url.scheme": "ws"}), "websocket"),
        (span("publish", kind=Span.SPAN_KIND_INTERNAL), "operation"),
        (span("celery.publish", kind=Span.SPAN_KIND_CONSUMER), "task"),
        (span("SELECT 1", kind=CLIENT), "other"),
    ],
    ids=["http", "websocket", "operation", "task", "other"],
)
def test_the_kind_of_a_request(emitted: Any, kind: str) -> None:
    assert one_request(stored(traces([emitted])))["kind"] == kind


def test_a_failed_request_names_its_exception() -> None:
    raised = otlp.event("exception", {"exception.type": "KeyError", "exception.message": "'id'"})
    failed = get("/boom", {"error.type": "500"}, status=500)
    failed.events.append(raised)
    found = one_request(stored(traces([failed])))
    assert (found["error"], found["error_type"]) == (True, "KeyError")


# --- the query language -----------------------------------------------------------------------------------------------


@pytest.fixture
def requests() -> Store:
    slow = get("/slow", seconds=1.5)
    repeated = get("/n-plus-one", seconds=0.3)
    spans = [get("/posts"), get("/missing", status=404), get("/boom", status=500), slow, repeated]
    return stored(
        traces([*spans, *[select(repeated) for _ in range(11)]]), traces([get("/users")], {"service.name": "users"})
    )


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("status>=500", {"/boom"}),
        ("status:404", {"/missing"}),
        ("status<500 status!=200", {"/missing"}),
        ("method:get route:/posts", {"/posts"}),
        ("route:/n-*", {"/n-plus-one"}),
        ("service:users", {"/users"}),
        ("duration>250", {"/slow", "/n-plus-one"}),
        ("statements>10", {"/n-plus-one"}),
        ("is:error", {"/boom"}),
        ("is:slow", {"/slow"}),
        ("is:repeated", {"/n-plus-one"}),
        ("MISS", {"/missing"}),
        ("since:1h /users", {"/users"}),
        ('"GET /slow"', {"/slow"}),
        ("100%", set()),
        ("'; DROP TABLE requests; --", set()),
    ],
)  # fmt: skip
def test_every_word_of_a_query_must_match(requests: Store, query: str, paths: set[str]) -> None:
    assert set(shown(requests, query)) == paths
    assert len(shown(requests)) == 6


def test_a_request_is_found_by_the_beginning_of_its_trace_id(requests: Store) -> None:
    wanted = queries.requests(requests)["requests"][0]["trace_id"]
    assert [one["trace_id"] for one in queries.requests(requests, f"trace:{wanted[:12]}")["requests"]] == [wanted]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("status>=often", "expected a number"),
        ("since:soon", "expected a duration"),
        ("is:nice", "expected error, slow, repeated"),
        ("colour:red", "unknown field 'colour'"),
        ("trace:xyz", "hexadecimal"),
        ("status:", "a value is missing"),
        ("a " * 1000, "longer than 1000 characters"),
    ],
)
def test_a_word_that_cannot_be_understood_is_named(requests: Store, query: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        queries.requests(requests, query)


def test_requests_are_paged_without_gaps_while_new_ones_arrive() -> None:
    store = stored(traces([get(f"/{number}") for number in range(25)]))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        answer = queries.requests(store, limit=10, before=cursor)
        seen += [one["path"] for one in answer["requests"]]
        store.add_spans(_rows(traces([get("/new")])))
        store.refresh()
        cursor = answer["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"/{number}" for number in range(25))


def test_log_records_are_filtered_by_level_logger_and_trace() -> None:
    line = record("disk is full", severity=17, text="ERROR")
    line.trace_id = bytes(range(16))
    store = stored(logs([record("started"), line]))
    for query in ("level>=WARN", "level:ERROR", "disk", f"trace:{bytes(range(16)).hex()}"):
        (found,) = queries.logs(store, query)["logs"]
        assert (found["body"], found["severity"]) == ("disk is full", "ERROR")
    assert queries.logs(store, "level>ERROR")["total"] == 0
    assert queries.logs(store, "logger:tests service:blogauto-backend")["total"] == 2


# --- a trace ----------------------------------------------------------------------------------------------------------


def test_a_trace_has_its_spans_statements_and_log_records() -> None:
    request = get("/posts")
    line = record("read", attributes={"exception.type": "ValueError", "exception.message": "no"})
    line.trace_id, line.span_id = request.trace_id, request.span_id
    source = {"code.file.path": "shop/posts.py", "code.line.number": 12}
    store = stored(traces([request, *[select(request, attributes=source) for _ in range(10)]]), logs([line]))
    found = queries.trace(store, request.trace_id.hex(), NOTHING)
    assert found is not None
    assert [one["kind"] for one in found["spans"]].count("client") == 10
    statement = next(one["sql"] for one in found["spans"] if one["sql"])
    assert statement["formatted"] == "SELECT id\nFROM posts\nWHERE id = ?"
    assert (statement["repeats"], statement["source"], statement["can_explain"]) == (10, "shop/posts.py:12", False)
    assert found["logs"][0]["exception"]["type"] == "ValueError"
    (repeated,) = found["repeated"]
    assert (repeated["count"], repeated["source"], len(repeated["span_ids"])) == (10, "shop/posts.py:12", 10)
    assert "selectinload" in repeated["hint"]


def test_a_trace_that_is_not_stored_is_none() -> None:
    store = stored()
    assert queries.trace(store, "0" * 32, NOTHING) is None
    assert queries.trace(store, "../../etc/passwd", NOTHING) is None


def test_attributes_are_scalars_and_lists_that_a_browser_can_hold() -> None:
    found = {"many": [1, "two"], "map": {"a": 1}, "large": 2**60, "text": "<img src=x onerror=alert(1)>", "half": 0.5}
    request = get(attributes=found)
    trace = queries.trace(stored(traces([request])), request.trace_id.hex(), NOTHING)
    assert trace is not None
    attributes = trace["spans"][0]["attributes"]
    assert (attributes["many"], attributes["map"], attributes["large"]) == ([1, "two"], '{"a": 1}', str(2**60))
    assert attributes["text"] == "<img src=x onerror=alert(1)>"


# --- groups -----------------------------------------------------------------------------------------------------------


def test_endpoints_have_percentiles_and_their_slowest_trace() -> None:
    slow = get("/posts", seconds=2.0)
    store = stored(traces([*[get("/posts", seconds=0.1) for _ in range(9)], slow, get("/boom", status=500)]))
    by_route = {one["route"]: one for one in queries.endpoints(store)["endpoints"]}
    assert by_route["/posts"]["count"] == 10
    assert by_route["/posts"]["p50"] == pytest.approx(100, abs=1)
    assert by_route["/posts"]["max"] == pytest.approx(2000, abs=1)
    assert by_route["/posts"]["slowest_trace_id"] == slow.trace_id.hex()
    assert by_route["/boom"]["errors"] == 1


STACK = 'Traceback:\n  File "shop/app.py", line 7, in pay\n    raise CardError(card)\n'


def raising(message: str, route: str = "/pay") -> Any:
    failed = get(route, status=500)
    attributes = {"exception.type": "CardError", "exception.message": message, "exception.stacktrace": STACK}
    failed.events.append(otlp.event("exception", attributes))
    failed.status.code = ERROR
    return failed


def test_errors_of_one_place_in_the_code_are_one_group() -> None:
    first, second = raising("card 1 declined"), raising("card 2 declined")
    echo = record("failed", attributes={"exception.type": "CardError", "exception.stacktrace": STACK})
    echo.trace_id = second.trace_id  # the log record of the same exception
    (group,) = queries.errors(stored(traces([first, second]), logs([echo])))["errors"]
    assert (group["type"], group["count"], group["route"]) == ("CardError", 2, "/pay")
    assert group["trace_id"] == second.trace_id.hex()
    assert "in pay" in group["stacktrace"]


def test_an_error_is_shown_at_the_route_of_its_own_service() -> None:
    outer = get("/checkout", status=500)
    inner = below(outer, raising("no", "/pay"))
    message = traces([outer])
    message.MergeFrom(traces([inner], {"service.name": "payments"}))
    found = {one["service"]: one for one in queries.errors(stored(message))["errors"]}
    assert found["payments"]["route"] == "/pay"


def test_a_request_that_failed_without_an_exception_is_an_error_too() -> None:
    (group,) = queries.errors(stored(traces([get("/boom", status=503)])))["errors"]
    assert (group["type"], group["route"], group["count"]) == ("503", "/boom", 1)


def test_statements_are_grouped_by_their_text() -> None:
    request = get("/posts")
    source = {"code.file.path": "shop/posts.py", "code.line.number": 12}
    other = select(request, "SELECT COUNT(*) FROM users")
    store = stored(traces([request, other, *[select(request, attributes=source) for _ in range(12)]]))
    by_text = {one["text"]: one for one in queries.statements(store, NOTHING)["statements"]}
    found = by_text["SELECT id FROM posts WHERE id = ?"]
    assert (found["count"], found["repeated_in"], found["system"]) == (12, 1, "sqlite")
    assert found["sources"] == [{"source": "shop/posts.py:12", "count": 12}]
    assert by_text["SELECT COUNT(*) FROM users"]["repeated_in"] == 0


def test_requests_that_no_route_answered_are_one_endpoint_without_a_route() -> None:
    unknown = [otlp.span("GET", attributes={"http.request.method": "GET", "url.path": f"/{n}"}) for n in range(2)]
    (found,) = queries.endpoints(stored(traces(unknown)))["endpoints"]
    assert (found["method"], found["route"], found["count"]) == ("GET", None, 2)


def test_a_call_to_a_database_without_a_statement_is_a_call_to_a_database() -> None:
    request = get("/outer")
    facts = {"db.system.name": "redis", "server.address": "cache.local"}
    connect = below(request, otlp.span("CONNECT", kind=CLIENT, attributes=facts))
    publish = below(request, otlp.span("send", kind=Span.SPAN_KIND_PRODUCER, attributes={"messaging.system": "kafka"}))
    edges = services.services(stored(traces([request, connect, publish])))["edges"]
    assert {(one["to"], one["kind"]) for one in edges} == {("redis cache.local", "database"), ("kafka", "messaging")}


def test_the_map_of_services_has_calls_databases_and_hosts() -> None:
    outer = get("/outer")
    call = below(outer, span("GET", kind=CLIENT, attributes={"server.address": "users.local"}))
    inner = below(call, get("/inner", status=500))
    elsewhere = below(outer, span("POST", kind=CLIENT, attributes={"server.address": "ai.example", "server.port": 443}))
    message = traces([outer, call, elsewhere, select(outer)])
    message.MergeFrom(traces([inner], {"service.name": "users", "service.version": "2"}))
    found = services.services(stored(message))
    edges = {(one["from"], one["to"], one["kind"]) for one in found["edges"]}
    assert edges == {
        ("blogauto-backend", "users", "http"),
        ("blogauto-backend", "ai.example:443", "http"),
        ("blogauto-backend", "sqlite blog.db", "database"),
    }
    users = next(one for one in found["services"] if one["name"] == "users")
    assert (users["version"], users["requests"], users["errors"]) == ("2", 1, 1)


# --- metrics ----------------------------------------------------------------------------------------------------------


def one_metric(store: Store, name: str) -> Any:
    (metric_id,) = [one["id"] for one in metrics.metrics(store)["metrics"] if one["name"] == name]
    return metrics.metric(store, metric_id)


def test_a_metric_has_a_series_for_each_set_of_attributes() -> None:
    both = [otlp.counter("orders", 3, {"kind": "book"}), otlp.counter("orders", 5, {"kind": "film"})]
    found = one_metric(stored(otlp.metrics(both)), "orders")
    assert found["type"] == "counter"
    values = {one["attributes"]["kind"]: one["points"][-1]["value"] for one in found["series"]}
    assert values == {"book": 3, "film": 5}


def test_percentiles_of_a_histogram_are_those_of_the_interval() -> None:
    edges = [0.1, 1.0, 10.0]
    trace_id = bytes(range(16))
    fast = otlp.histogram("took", [0.05] * 100, edges, trace_id=trace_id)
    later = otlp.histogram("took", [0.05] * 100 + [5.0] * 10, edges)
    later.histogram.data_points[0].time_unix_nano += 1_000_000_000
    found = one_metric(stored(otlp.metrics([fast]), otlp.metrics([later])), "took")
    first, second = found["series"][0]["points"]
    assert (first["count"], second["count"]) == (100, 110)
    assert first["p95"] < 0.1
    assert 1.0 < second["p50"] < 10.0  # of the ten that are new
    assert found["series"][0]["exemplars"][0]["trace_id"] == trace_id.hex()


def test_delta_counters_are_shown_as_sums() -> None:
    delta = otlp.counter("orders", 3)
    delta.sum.aggregation_temporality = DELTA
    again = otlp.counter("orders", 4)
    again.sum.aggregation_temporality = DELTA
    found = one_metric(stored(otlp.metrics([delta]), otlp.metrics([again])), "orders")
    assert [point["value"] for point in found["series"][0]["points"]] == [3, 7]


def test_percentiles_of_delta_histograms_are_those_of_each_point() -> None:
    messages = []
    for values in ([0.05] * 10, [5.0] * 10):
        delta = otlp.histogram("took", values, [0.1, 1.0, 10.0])
        delta.histogram.aggregation_temporality = DELTA
        messages.append(otlp.metrics([delta]))
    first, second = one_metric(stored(*messages), "took")["series"][0]["points"]
    assert (first["count"], second["count"]) == (10, 20)
    assert first["p50"] < 0.1 < 1.0 < second["p50"]


def test_an_unknown_metric_is_none() -> None:
    assert metrics.metric(stored(), "7") is None
    assert metrics.metric(stored(), "x") is None
