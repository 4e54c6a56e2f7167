"""From collected points to text: what a real SDK collects, read back by the reference parsers of both formats."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from blogauto_otel import _guard
from blogauto_otel.integrations.prometheus import text
from blogauto_otel.integrations.prometheus.families import CONSTANT, Family, Number, families_of
from blogauto_otel.sdk.meter_provider import CollectingReader

parse_openmetrics: Callable[[str], Iterable[Any]] = openmetrics_parser.text_string_to_metric_families

Sample = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Page:
    """A meter provider and its page at `/metrics`."""

    resource: dict[str, Any] = field(default_factory=dict)
    views: list[View] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = CollectingReader()
        self.provider = MeterProvider(
            [self.reader], resource=Resource(self.resource), views=self.views, shutdown_on_exit=False
        )
        self.meter = self.provider.get_meter("tests")

    def render(self, content_type: str = text.CLASSIC) -> str:
        return text.render(families_of(self.reader.collect_now()), content_type).decode()

    def lines(self, content_type: str = text.CLASSIC) -> list[str]:
        """Samples without those of target_info."""
        return [line for line in self.render(content_type).splitlines() if not line.startswith(("#", "target_info"))]

    def parsed(self) -> dict[Sample, float]:
        """What both parsers read, which must be the same."""
        classic = _values(parse_classic(self.render()))
        openmetrics = _values(parse_openmetrics(self.render(text.OPENMETRICS)))
        assert classic == openmetrics or any(map(math.isnan, classic.values()))
        return classic

    def types(self, content_type: str = text.CLASSIC) -> dict[str, str]:
        return dict(re.findall(r"^# TYPE (\S+) (\S+)$", self.render(content_type), re.MULTILINE))


def _values(families: Iterable[Any]) -> dict[Sample, float]:
    found: dict[Sample, float] = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"{key} stands there twice"
            found[key] = sample.value
    return {key: value for key, value in found.items() if key[0] != "target_info"}


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.provider.shutdown()


def test_a_counter(page: Page) -> None:
    counter = page.meter.create_counter("blogauto.api.requests", unit="{request}", description="Finished requests")
    counter.add(2, {"method": "GET", "endpoint": "/x/{id}", "status": "200"})
    assert page.render().splitlines()[:3] == [
        "# HELP blogauto_api_requests_total Finished requests",
        "# TYPE blogauto_api_requests_total counter",
        'blogauto_api_requests_total{endpoint="/x/{id}",method="GET",status="200"} 2.0',
    ]
    assert page.render(text.OPENMETRICS).splitlines()[:2] == [
        "# HELP blogauto_api_requests Finished requests",
        "# TYPE blogauto_api_requests counter",
    ]
    assert page.render(text.OPENMETRICS).endswith("# EOF\n")
    assert "# EOF" not in page.render()
    assert "_created" not in page.render(text.OPENMETRICS)


@pytest.mark.needs("opentelemetry-sdk>=1.45")  # before, a gauge has its value at one collection only
def test_a_gauge_that_is_called_total_stays_a_gauge(page: Page) -> None:
    page.meter.create_gauge("blogauto.blocked_ips_total", unit="{ip}").set(4)
    for content_type in (text.CLASSIC, text.OPENMETRICS):
        assert page.types(content_type)["blogauto_blocked_ips_total"] == "gauge"
        assert page.lines(content_type) == ["blogauto_blocked_ips_total 4.0"]


def test_an_up_down_counter_is_a_gauge(page: Page) -> None:
    page.meter.create_up_down_counter("in.progress").add(-3)
    assert page.types()["in_progress"] == "gauge"
    assert page.lines() == ["in_progress -3.0"]


def test_observable_instruments(page: Page) -> None:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(12.5, {"core": "0"}), Observation(50, {"core": "1"})]

    page.meter.create_observable_gauge("cpu.usage", [observe], unit="%")
    assert page.parsed() == {
        ("cpu_usage_percent", (("core", "0"),)): 12.5,
        ("cpu_usage_percent", (("core", "1"),)): 50.0,
    }


def test_a_histogram(page: Page) -> None:
    duration = page.meter.create_histogram("d", unit="s", explicit_bucket_boundaries_advisory=[0.5, 1.0, 2])
    for value in (0.25, 1.0, 1.5, 9):
        duration.record(value, {"endpoint": "/x"})
    assert page.lines() == [
        'd_seconds_bucket{endpoint="/x",le="0.5"} 1.0',
        'd_seconds_bucket{endpoint="/x",le="1.0"} 2.0',
        'd_seconds_bucket{endpoint="/x",le="2.0"} 3.0',
        'd_seconds_bucket{endpoint="/x",le="+Inf"} 4.0',
        'd_seconds_sum{endpoint="/x"} 11.75',
        'd_seconds_count{endpoint="/x"} 4.0',
    ]
    assert page.parsed()["d_seconds_count", (("endpoint", "/x"),)] == 4.0


def test_a_histogram_without_labels(page: Page) -> None:
    page.meter.create_histogram("d", explicit_bucket_boundaries_advisory=[1.0]).record(2)
    assert page.lines() == ['d_bucket{le="1.0"} 0.0', 'd_bucket{le="+Inf"} 1.0', "d_sum 2.0", "d_count 1.0"]


def test_bounds_are_spelled_as_go_does() -> None:
    bounds = (-2.5e7, -1.0, 0.0, 1e-05, 0.0001, 0.005, 1.0, 2.5, 100000.0, 1e6, 1234567.5, 1e7, 5e10, 1e16, 1e21)
    assert text.bound_texts((*bounds, math.inf)) == (
        *("-2.5e+07", "-1.0", "0.0", "1e-05", "0.0001", "0.005", "1.0", "2.5", "100000.0", "1e+06", "1.2345675e+06"),
        *("1e+07", "5e+10", "1e+16", "1e+21", "+Inf"),
    )


class TestExemplars:
    def test_openmetrics_has_them_and_the_classic_format_does_not(self, page: Page) -> None:
        duration = page.meter.create_histogram("d", explicit_bucket_boundaries_advisory=[1.0, 2.0])
        counter = page.meter.create_counter("c")
        with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
            duration.record(1.5)
            counter.add(1)
        context = span.get_span_context()
        lines = page.lines(text.OPENMETRICS)
        ids = f'{{trace_id="{context.trace_id:032x}",span_id="{context.span_id:016x}"}}'
        assert re.fullmatch(rf'd_bucket{{le="2.0"}} 1.0 # {re.escape(ids)} 1.5 \d+\.\d{{3}}', lines[2])
        assert " # " not in lines[1] + lines[3]
        assert re.fullmatch(rf"c_total 1.0 # {re.escape(ids)} 1.0 \d+\.\d{{3}}", lines[0])
        assert " # " not in "".join(page.lines())

    def test_the_parser_reads_them(self, page: Page) -> None:
        duration = page.meter.create_histogram("d", explicit_bucket_boundaries_advisory=[1.0])
        with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
            duration.record(0.5, {"a": "b"})
        [family] = [one for one in parse_openmetrics(page.render(text.OPENMETRICS)) if one.name == "d"]
        exemplar = family.samples[0].exemplar
        assert exemplar is not None
        assert exemplar.labels["trace_id"] == f"{span.get_span_context().trace_id:032x}"

    def test_without_a_span_there_is_none(self, page: Page) -> None:
        page.meter.create_histogram("d").record(0.5)
        assert " # " not in page.render(text.OPENMETRICS).replace("# ", "", 10).replace("\n# ", "\n")


class TestExponentialHistograms:
    @pytest.fixture
    def page(self) -> Iterator[Page]:
        made = Page(views=[View(instrument_name="d", aggregation=ExponentialBucketHistogramAggregation())])
        yield made
        made.provider.shutdown()

    def test_they_have_buckets_at_powers_of_two(self, page: Page) -> None:
        histogram = page.meter.create_histogram("d")
        for value in (0.0, 0.3, 0.7, 3.0, 4.0, 100.0):
            histogram.record(value)
        parsed = page.parsed()
        cumulative = {float(dict(labels)["le"]): count for (name, labels), count in parsed.items() if "bucket" in name}
        assert cumulative == {0.0: 1, 0.5: 2, 1.0: 3, 4.0: 5, 128.0: 6, math.inf: 6}
        assert parsed["d_count", ()] == 6
        assert parsed["d_sum", ()] == pytest.approx(108.0)

    @pytest.mark.parametrize(
        "values", [[1e-300, 1e300], [5.0] * 1000, [0.0], [1e308], [2.0**n for n in range(-500, 500, 7)]]
    )
    def test_any_range_is_additive(self, page: Page, values: list[float]) -> None:
        histogram = page.meter.create_histogram("d")
        for value in values:
            histogram.record(value)
        parsed = page.parsed()
        cumulative = {float(dict(labels)["le"]): count for (name, labels), count in parsed.items() if "bucket" in name}
        for bound, count in cumulative.items():
            assert count >= sum(value <= bound for value in values if value <= bound / 2)
            assert count <= sum(value <= bound for value in values)
        assert parsed["d_count", ()] == len(values)
        assert list(cumulative.values()) == sorted(cumulative.values())

    def test_beside_others_they_cost_nothing(self, page: Page) -> None:
        page.meter.create_histogram("d").record(1)
        page.meter.create_counter("c").add(1)
        assert "c_total 1.0" in page.lines()


class TestScopes:
    def test_equal_names_with_other_labels_are_one_family_and_keep_their_labels(self, page: Page) -> None:
        page.provider.get_meter("a").create_counter("same", description="d").add(1, {"method": "GET"})
        page.provider.get_meter("b").create_counter("same", description="d").add(2, {"zone": "eu"})
        assert sorted(page.lines()) == ['same_total{method="GET"} 1.0', 'same_total{zone="eu"} 2.0']
        assert page.render().count("# TYPE same_total") == 1

    def test_equal_series_add_up(self, page: Page) -> None:
        for scope in "ab":
            meter = page.provider.get_meter(scope)
            meter.create_counter("c", description=f"by {scope}").add(2, {"x": "1"})
            meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0]).record(0.5)
        assert page.render().count("# HELP c_total") == 1
        parsed = page.parsed()
        assert parsed["c_total", (("x", "1"),)] == 4.0
        assert parsed["h_count", ()] == 2.0
        assert parsed["h_bucket", (("le", "1.0"),)] == 2.0
        assert parsed["h_sum", ()] == 1.0

    def test_equal_gauges_are_not_added(self, page: Page) -> None:
        for scope, value in (("a", 5), ("b", 7)):
            page.provider.get_meter(scope).create_gauge("g").set(value)
        assert page.lines() == ["g 7.0"]

    def test_of_two_kinds_the_first_is_exposed_and_the_other_logged(
        self, page: Page, caplog: pytest.LogCaptureFixture
    ) -> None:
        page.provider.get_meter("a").create_counter("x").add(1)
        page.provider.get_meter("b").create_gauge("x.total").set(5)
        assert page.lines() == ["x_total 1.0"]
        assert "x_total is a counter and a gauge" in caplog.text

    def test_names_that_become_equal_are_one_family(self, page: Page) -> None:
        page.meter.create_counter("a.b").add(1, {"k": "1"})
        page.meter.create_counter("a_b").add(2, {"k": "2"})
        assert page.render().count("# TYPE a_b_total") == 1
        assert len(page.lines()) == 2


class TestLabels:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (200, "200"),
            (True, "true"),
            (False, "false"),
            (1.0, "1"),
            (0.25, "0.25"),
            ("x", "x"),
            pytest.param(["a", "b"], '["a","b"]', marks=pytest.mark.needs("opentelemetry-sdk>=1.45")),
            ('quo"te', 'quo"te'),
            ("back\\slash\\n", "back\\slash\\n"),
            ("new\nline", "new\nline"),
            ("nul\0", "nul\ufffd"),
            ("한국 \U0001f600", "한국 \U0001f600"),
            ("{a=\"b\",c='d'} 5 # 7", "{a=\"b\",c='d'} 5 # 7"),
            ("", ""),
        ],
    )
    def test_values_come_back_as_text(self, page: Page, value: Any, shown: str) -> None:
        page.meter.create_counter("c").add(1, {"k": value})
        assert page.parsed() == {("c_total", (("k", shown),)): 1.0}

    def test_true_and_the_word_true_are_one_series(self, page: Page) -> None:
        counter = page.meter.create_counter("c")
        counter.add(1, {"k": True})
        counter.add(2, {"k": "true"})
        assert page.lines() == ['c_total{k="true"} 3.0']

    def test_keys_that_become_one_label_are_joined(self, page: Page) -> None:
        page.meter.create_counter("c").add(1, {"a.b": "1", "a_b": "2"})
        assert page.lines() == ['c_total{a_b="1;2"} 1.0']

    def test_le_belongs_to_the_buckets(self, page: Page) -> None:
        page.meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0]).record(1, {"le": "x"})
        assert page.lines()[0] == 'h_bucket{exported_le="x",le="1.0"} 1.0'

    def test_what_has_no_letter_is_left_out(self, page: Page) -> None:
        page.meter.create_counter("c").add(1, {"국가": "kr", "x": "1"})
        assert page.lines() == ['c_total{x="1"} 1.0']

    def test_surrogates_do_not_break_the_page(self, page: Page) -> None:
        page.meter.create_counter("c", description="\ud800").add(1, {"k": "\udfff"})
        assert page.lines() == ['c_total{k="?"} 1.0']


RESOURCE = {
    "service.name": "blogauto-backend",
    "service.version": "1.2",
    "deployment.environment.name": "production",
    "service.instance.id": "id-1",
    "host.name": "h",
    "process.pid": 7,
}


class TestResource:
    def test_every_series_carries_what_the_collector_adds(self) -> None:
        page = Page(resource=RESOURCE)
        page.meter.create_counter("c").add(1, {"k": "v"})
        constant = 'deployment_environment_name="production",service_name="blogauto-backend",service_version="1.2"'
        assert page.lines() == [f'c_total{{k="v",{constant}}} 1.0']

    def test_the_rest_is_on_target_info_and_the_identity_is_the_scrapes(self) -> None:
        page = Page(resource=RESOURCE)
        page.meter.create_counter("c").add(1)
        info = [line for line in page.render().splitlines() if line.startswith("target_info")]
        rest = 'deployment_environment_name="production",host_name="h",process_pid="7",service_version="1.2"'
        assert info == [f"target_info{{{rest}}} 1.0"]
        assert page.types()["target_info"] == "gauge"

    def test_an_attribute_of_the_same_name_wins(self) -> None:
        page = Page(resource=RESOURCE)
        page.meter.create_counter("c").add(1, {"service.name": "other"})
        assert page.lines()[0].count("service_name=") == 1
        assert 'service_name="other"' in page.lines()[0]

    def test_the_list_is_that_of_the_collectors_exporter(self) -> None:
        config = yaml.safe_load((Path(__file__).parents[3] / "collector" / "export-prometheus-pull.yaml").read_text())
        exporter = config["exporters"]["prometheus"]
        assert tuple(exporter["resource_constant_labels"]["included"]) == CONSTANT
        assert exporter["without_scope_info"] is True
        assert exporter["translation_strategy"] == "UnderscoreEscapingWithSuffixes"


class TestValues:
    @pytest.mark.parametrize(
        ("value", "shown"), [(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (-0.0, "-0.0"), (7, "7.0")]
    )
    def test_numbers_beyond_numbers(self, value: float, shown: str) -> None:
        """The SDK refuses to measure them; a sum may still overflow to one."""
        family = Family("g", "gauge", "", is_additive=False, series={'k="a"': Number(value)})
        rendered = text.render([family], text.CLASSIC).decode()
        assert rendered.splitlines()[-1] == f'g{{k="a"}} {shown}'
        _values(parse_classic(rendered))

    @pytest.mark.needs("opentelemetry-sdk>=1.45")  # gauges, as above
    def test_large_and_small(self, page: Page) -> None:
        gauge = page.meter.create_gauge("g")
        for value in (2**53, 1e300, 5e-324, -0.0):
            gauge.set(value, {"k": str(value)})
        assert set(page.parsed().values()) == {2.0**53, 1e300, 5e-324, -0.0}

    def test_help_is_escaped(self, page: Page) -> None:
        page.meter.create_counter("c", description='a "b"\nc\\d\0').add(1)
        assert '# HELP c_total a "b"\\nc\\\\d\ufffd' in page.render()
        assert '# HELP c a \\"b\\"\\nc\\\\d\ufffd' in page.render(text.OPENMETRICS)
        page.parsed()


def test_nothing_collected_is_an_empty_page() -> None:
    assert text.render(families_of(None), text.CLASSIC) == b""
    assert text.render(families_of(None), text.OPENMETRICS) == b"# EOF\n"


@pytest.mark.quiet_guard
def test_a_metric_that_cannot_be_converted_does_not_affect_the_others(page: Page) -> None:
    page.meter.create_counter("a").add(1)
    page.meter.create_counter("b").add(1)
    data = page.reader.collect_now()
    assert data is not None
    object.__setattr__(data.resource_metrics[0].scope_metrics[0].metrics[0], "data", object())
    assert "b_total 1.0" in text.render(families_of(data), text.CLASSIC).decode()
    assert _guard.swallowed() == {"showing a metric to Prometheus": 1}


NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_./-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ATTRIBUTES = st.dictionaries(NAMES, TEXTS | st.booleans() | st.integers(-5, 5), max_size=3)
POINTS = st.lists(
    st.tuples(NAMES, st.sampled_from(["counter", "gauge", "histogram"]), TEXTS, ATTRIBUTES, st.floats(0, 1e9)),
    max_size=8,
)


@pytest.mark.needs("opentelemetry-sdk>=1.45")  # gauges, as above
@hypothesis_settings(max_examples=60, deadline=None)
@given(POINTS)
@pytest.mark.quiet_guard
def test_whatever_is_recorded_both_parsers_read_the_page(
    points: list[tuple[str, str, str, dict[str, Any], float]],
) -> None:
    page = Page(resource={"service.name": "x"})
    for number, (name, kind, description, attributes, value) in enumerate(points):
        meter = page.provider.get_meter(str(number % 2))
        if kind == "counter":
            meter.create_counter(name, description=description).add(value, attributes)
        elif kind == "gauge":
            meter.create_gauge(name, description=description).set(value, attributes)
        else:
            meter.create_histogram(name, description=description).record(value, attributes)
    classic = page.render()
    _values(parse_classic(classic))
    assert len(re.findall("^# TYPE ", classic, re.MULTILINE)) == len(page.types())
    assert page.render(text.OPENMETRICS).endswith("# EOF\n")
    page.provider.shutdown()


class TestNegotiation:
    PROMETHEUS_3 = (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;"
        "version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )

    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            (PROMETHEUS_3, text.OPENMETRICS),
            ("application/openmetrics-text", text.OPENMETRICS),
            ("Application/OpenMetrics-Text; Version=1.0.0", text.OPENMETRICS),
            ("text/plain;q=0.9,application/openmetrics-text;q=0.5", text.CLASSIC),
            ("text/plain", text.CLASSIC),
            ("*/*", text.CLASSIC),
            ("", text.CLASSIC),
            ("text/html,application/xhtml+xml,*/*;q=0.8", text.CLASSIC),
            ("application/openmetrics-text;q=0", text.CLASSIC),
            ("application/openmetrics-text;q=lots", text.CLASSIC),
            (",;=,;;q=,", text.CLASSIC),
            ("a," * 100_000 + "application/openmetrics-text", text.CLASSIC),
        ],
    )
    def test_format(self, accept: str, expected: str) -> None:
        assert text.chosen_format(accept) == expected

    @pytest.mark.parametrize(
        ("accept_encoding", "expected"),
        [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("", False), ("*", True), ("br", False)],
    )
    def test_compression(self, accept_encoding: str, expected: bool) -> None:
        assert text.accepts_gzip(accept_encoding) is expected
