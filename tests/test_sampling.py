"""Which traces are kept: by environment, by route, by the caller, and never a health check."""

from __future__ import annotations

import logging
import time
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBasedTraceIdRatio
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState, set_span_in_context

from blogauto_otel import config, sampling
from blogauto_otel.config import Settings
from blogauto_otel.errors import ConfigurationError
from blogauto_otel.sampling import RouteTable, build_sampler, untraced_matcher

LOW, HIGH = 0x01, (1 << 64) - 1  # trace ids at either end of the range that rates are applied to


def parent(*, sampled: bool, remote: bool = True, state: TraceState | None = None) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return set_span_in_context(NonRecordingSpan(SpanContext(0xAB, 0xCD, remote, flags, state)), Context())


PARENTS = (
    Context(),
    *(
        parent(sampled=sampled, remote=remote, state=state)
        for sampled in (True, False)
        for remote in (True, False)
        for state in (None, TraceState([("vendor", "1")]))
    ),
)


def kept(
    settings: Settings,
    *,
    path: str | None = "/api/posts",
    trace_id: int = LOW,
    context: Context | None = None,
    kind: SpanKind = SpanKind.SERVER,
) -> bool:
    attributes = {} if path is None else {"url.path": path}
    result = build_sampler(settings).should_sample(context or Context(), trace_id, "GET", kind, attributes)
    return bool(result.decision.is_sampled())


def share(settings: Settings, path: str = "/api/posts") -> float:
    ids = [(index * 0x9E3779B97F4A7C15) & HIGH for index in range(1, 4001)]
    return sum(kept(settings, path=path, trace_id=trace_id) for trace_id in ids) / len(ids)


@given(
    st.integers(1, (1 << 128) - 1),
    st.sampled_from(["/api/posts", "/health", "/a b", "/a%20b", "/items/7", "/metrics"]),
    st.sampled_from([0.0, 0.25, 1.0]),
    st.sampled_from([None, "always_on", "traceidratio", "parentbased_traceidratio"]),
)
def test_the_short_decision_about_a_root_is_that_of_the_interface(
    trace_id: int, path: str, rate: float, sampler: str | None
) -> None:
    settings = Settings(
        sample_rate=rate, sampler=sampler, sampler_arg=str(rate), untraced_routes=("/health", "/a b"),
        sample_routes={"/items/*": 0.5} if sampler is None else {},
    )  # fmt: skip
    short = build_sampler(settings).is_root_sampled
    assert short is not None
    assert short(trace_id, path) is kept(settings, path=path, trace_id=trace_id)


class TestTheGeneralRate:
    def test_development_keeps_everything(self) -> None:
        assert kept(Settings(), trace_id=HIGH)

    def test_production_keeps_a_tenth(self) -> None:
        assert share(Settings(environment="production")) == pytest.approx(0.1, abs=0.02)

    def test_the_rate_of_the_settings_wins_over_that_of_the_environment(self) -> None:
        assert share(Settings(environment="production", sample_rate=0.5)) == pytest.approx(0.5, abs=0.03)

    def test_two_services_with_one_rate_keep_the_same_traces(self) -> None:
        one, other = (Settings(sample_rate=0.3, service_name=name) for name in "ab")
        assert all(kept(one, trace_id=i << 55) == kept(other, trace_id=i << 55) for i in range(512))

    @pytest.mark.parametrize("remote", [True, False])
    @pytest.mark.parametrize("sampled", [True, False])
    def test_a_parent_decides(self, sampled: bool, remote: bool) -> None:
        context = parent(sampled=sampled, remote=remote)
        assert kept(Settings(sample_rate=0.0), context=context) is sampled
        assert kept(Settings(sample_rate=1.0), context=context) is sampled

    @given(rate=st.floats(0.0, 1.0), trace_id=st.integers(1, 2**128 - 1), context=st.sampled_from(PARENTS))
    def test_it_decides_as_the_sdk_does(self, rate: float, trace_id: int, context: Context) -> None:
        samplers = build_sampler(Settings(sample_rate=rate)), ParentBasedTraceIdRatio(rate)
        ours, theirs = (
            sampler.should_sample(context, trace_id, "GET", SpanKind.SERVER, {"url.path": "/api/posts"})
            for sampler in samplers
        )
        assert (ours.decision.name, ours.attributes or {}) == (theirs.decision.name, theirs.attributes)
        assert (ours.trace_state or {}) == (theirs.trace_state or {})


class TestRoutes:
    SETTINGS = Settings(
        sample_rate=0.0,
        sample_routes={"/api/content/*": 1.0, "/api/posts/{id}": 1.0, "/api/posts/{id}/raw": 0.0, "/api/*": 0.5},
    )

    def test_a_route_has_its_own_rate(self) -> None:
        assert kept(self.SETTINGS, path="/api/content/saved/7", trace_id=HIGH)
        assert kept(self.SETTINGS, path="/api/posts/7", trace_id=HIGH)
        assert not kept(self.SETTINGS, path="/api/posts/7/raw")
        assert not kept(self.SETTINGS, path="/about")

    def test_the_first_matching_line_wins(self) -> None:
        assert share(self.SETTINGS, path="/api/other") == pytest.approx(0.5, abs=0.03)

    @pytest.mark.parametrize("sampled", [True, False])
    def test_a_rule_for_a_route_stands_above_the_callers_flag(self, sampled: bool) -> None:
        context = parent(sampled=sampled)
        assert kept(self.SETTINGS, path="/api/content/x", context=context)
        assert not kept(self.SETTINGS, path="/api/posts/7/raw", context=context)

    def test_inside_the_process_the_parent_decides(self) -> None:
        context = parent(sampled=False, remote=False)
        assert not kept(self.SETTINGS, path="/api/content/x", context=context)

    def test_a_client_span_is_not_a_request_of_ours(self) -> None:
        assert not kept(self.SETTINGS, path="/api/content/x", kind=SpanKind.CLIENT)

    def test_a_span_without_a_path_goes_by_the_general_rate(self) -> None:
        assert kept(Settings(), path=None)


class TestUntracedRoutes:
    @pytest.mark.parametrize("path", ["/health", "/healthz", "/livez", "/readyz", "/ping", "/api/health", "/metrics"])
    def test_health_checks_and_metrics_are_never_traced(self, path: str) -> None:
        assert not kept(Settings(), path=path)
        assert not kept(Settings(), path=path, context=parent(sampled=True))
        assert build_sampler(Settings()).is_untraced(path)
        assert untraced_matcher(Settings())(path)

    def test_everything_else_is(self) -> None:
        assert not build_sampler(Settings()).is_untraced("/healthy-food")
        assert not untraced_matcher(Settings())("/api/health/deep")

    def test_a_list_of_ones_own_replaces_the_default_and_keeps_metrics_out(self) -> None:
        matches = untraced_matcher(Settings(untraced_routes=("/internal/*",), metrics_path="/telemetry"))
        assert matches("/internal/a/b")
        assert matches("/telemetry")
        assert not matches("/health")
        assert not matches("/metrics")

    def test_no_route_is_untraced_when_the_user_says_so(self) -> None:
        matches = untraced_matcher(Settings(untraced_routes=(), metrics_path=""))
        assert not matches("/health")
        assert not matches("")

    def test_a_rate_for_a_health_check_does_not_bring_it_back(self) -> None:
        assert not kept(Settings(sample_routes={"/health": 1.0}), path="/health")

    def test_the_trace_state_of_the_caller_travels_on(self) -> None:
        state = TraceState([("vendor", "x")])
        sampler = build_sampler(Settings())
        context = parent(sampled=True, state=state)
        result = sampler.should_sample(context, LOW, "GET", SpanKind.SERVER, {"url.path": "/health"})
        assert not result.decision.is_sampled()
        assert result.trace_state == state


class TestNamedSamplers:
    @pytest.mark.parametrize(
        ("name", "argument", "root", "with_sampled_parent"),
        [
            ("always_on", None, True, True),
            ("always_off", None, False, False),
            ("traceidratio", "0.0", False, False),
            ("traceidratio", "1.0", True, True),
            ("parentbased_always_on", None, True, True),
            ("parentbased_always_off", None, False, True),
            ("parentbased_traceidratio", "0.0", False, True),
            (" ParentBased_Always_Off ", None, False, True),
        ],
    )
    def test_the_specifications_names_win_over_our_rates(
        self, name: str, argument: str | None, root: bool, with_sampled_parent: bool
    ) -> None:
        settings = Settings(sampler=name, sampler_arg=argument, sample_rate=0.5)
        assert kept(settings, trace_id=HIGH) is root
        assert kept(settings, trace_id=HIGH, context=parent(sampled=True)) is with_sampled_parent

    def test_they_do_not_bring_health_checks_back(self) -> None:
        assert not kept(Settings(sampler="always_on"), path="/health")

    def test_an_unknown_name_is_logged_once_and_ours_decides(self, caplog: pytest.LogCaptureFixture) -> None:
        assert kept(Settings(sampler="alwayson"), trace_id=HIGH)
        [message] = [record.getMessage() for record in caplog.records]
        assert "OTEL_TRACES_SAMPLER='alwayson'" in message
        assert "parentbased_traceidratio" in message
        assert "using BLOGAUTO_OTEL_SAMPLE_RATE" in message

    @pytest.mark.parametrize("argument", ["a lot", "1.5", "-1", "nan"])
    def test_an_argument_that_is_no_ratio_is_reported_and_everything_sampled(
        self, argument: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert kept(Settings(sampler="traceidratio", sampler_arg=argument), trace_id=HIGH)
        assert "OTEL_TRACES_SAMPLER_ARG" in caplog.text
        assert argument in caplog.text

    def test_rates_by_route_beside_a_named_sampler_are_reported(self, caplog: pytest.LogCaptureFixture) -> None:
        settings = Settings(sampler="always_off", sample_routes={"/api/*": 1.0})
        assert not kept(settings, path="/api/x")
        assert "BLOGAUTO_OTEL_SAMPLE_ROUTES has no effect" in caplog.text

    def test_strict_raises_instead(self) -> None:
        with pytest.raises(ConfigurationError, match="OTEL_TRACES_SAMPLER='alwayson'"):
            build_sampler(Settings(sampler="alwayson", strict=True))

    def test_a_sampler_that_another_package_brings_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, lambda argument: ALWAYS_ON if argument == "x" else None)
        assert kept(Settings(sampler="theirs", sampler_arg="x", sample_rate=0.0))

    @pytest.mark.parametrize("factory", [lambda _: None, lambda _: 1 / 0])
    def test_a_sampler_that_cannot_be_built_is_reported_and_ours_decides(
        self, factory: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        install(monkeypatch, factory)
        assert kept(Settings(sampler="theirs"))
        assert "its factory" in caplog.text


def install(monkeypatch: pytest.MonkeyPatch, factory: Any) -> None:
    class Installed(EntryPoint):
        def load(self) -> Any:
            return factory

    found = Installed("theirs", "their.module:make", "opentelemetry_traces_sampler")
    monkeypatch.setattr("blogauto_otel.plugins.entry_points", lambda **_: [found])


class TestRouteTable:
    @pytest.mark.parametrize(
        ("route", "matching", "other"),
        [
            ("/api/posts", ["/api/posts"], ["/api/posts/", "/api/post", "/api/posts/1"]),
            ("/api/posts/{id}", ["/api/posts/1"], ["/api/posts/", "/api/posts", "/api/posts/1/x"]),
            ("/api/{kind}/{id}", ["/api/a/b"], ["/api/a", "/api/a/b/c"]),
            ("/files/{rest:path}", ["/files/a/b.txt", "/files/"], ["/files", "/file/a"]),
            ("/files/{name}.json", ["/files/a.json", "/files/a.b.json"], ["/files/.json", "/files/a.jso"]),
            ("/d/{a}-{b}", ["/d/1-2", "/d/1-2-3"], ["/d/-2", "/d/1-", "/d/12"]),
            ("/api/*", ["/api/", "/api/x/y"], ["/api", "/apis/x"]),
            ("/api/v*", ["/api/v1", "/api/v1/posts", "/api/v"], ["/api/w1"]),
            ("/*/health", ["/a/health"], ["/health", "/a/b/health"]),
            ("/*", ["/", "/x/y"], []),
        ],
    )
    def test_templates(self, route: str, matching: list[str], other: list[str]) -> None:
        table = RouteTable([(route, True)])
        assert [path for path in matching if not table.find(path)] == []
        assert [path for path in other if table.find(path)] == []

    def test_the_first_line_wins_also_over_an_exact_one(self) -> None:
        table = RouteTable([("/a/exact", 1), ("/a/*", 2), ("/a/late", 3)])
        assert (table.find("/a/exact"), table.find("/a/late"), table.find("/a/x")) == (1, 2, 2)

    def test_what_it_remembers_is_bounded(self) -> None:
        table = RouteTable([("/a/*", 1)])
        for number in range(5 * RouteTable.MAX_CACHED):
            assert table.find(f"/a/{number}") == 1
        assert table.find("/a/" + "x" * 10_000) == 1
        assert len(table._cache) <= RouteTable.MAX_CACHED
        assert max(map(len, table._cache)) <= RouteTable.MAX_CACHED_LENGTH

    def test_no_path_makes_it_slow(self) -> None:
        table = RouteTable([("/{a}-{b}-{c}-{d}/{e}.x/*", 1), ("/a/*/b/*/c/*", 2)])
        began = time.thread_time()
        for path in ("/" + "-" * 100_000, "/a" * 50_000, "/" + "a-" * 50_000 + "/", "/" * 100_000):
            table.find(path)
        assert time.thread_time() - began < 1.0


def test_the_sampler_serves_a_tracer_provider() -> None:
    sampler: Any = build_sampler(Settings(sample_rate=0.0, sample_routes={"/api/*": 1.0}))
    provider = TracerProvider(sampler=sampler)
    tracer = provider.get_tracer("test")
    wanted = tracer.start_span("GET", kind=SpanKind.SERVER, attributes={"url.path": "/api/x"})
    unwanted = tracer.start_span("GET", kind=SpanKind.SERVER, attributes={"url.path": "/x"})
    assert wanted.is_recording()
    assert not unwanted.is_recording()
    provider.shutdown()


def test_settings_by_environment_reach_the_sampler() -> None:
    settings = config.load(
        {"BLOGAUTO_OTEL_SAMPLE_ROUTES": "/api/content/*=1.0,/api/posts/{id}=0", "BLOGAUTO_OTEL_SAMPLE_RATE": "0"}
    ).settings
    assert kept(settings, path="/api/content/a")
    assert not kept(settings, path="/api/posts/1")
    assert "ParentBased" in sampling.build_sampler(settings).get_description()
    assert logging.getLogger("blogauto_otel").level == logging.NOTSET
