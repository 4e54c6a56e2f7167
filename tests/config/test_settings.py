"""Settings: every variable is read, every mistake is one message with the remedy, no secret is shown."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blogauto_otel import config
from blogauto_otel.config import Settings, default_of, load, option_of, parsers
from blogauto_otel.errors import ConfigurationError

MINIMAL_FILE = str(Path(__file__).with_name("minimal.json"))
FIELDS = tuple(field.name for field in dataclasses.fields(Settings))

# What stands in the variable, and what becomes of it. A field without a line here is read with a value that fits.
READ: dict[str, tuple[str, object]] = {
    "service_name": (" shop ", "shop"),
    "service_version": ("1.2.3", "1.2.3"),
    "environment": ("staging", "staging"),
    "namespace": ("shop", "shop"),
    "resource_attributes": ("team=a%20b,x=1", {"team": "a b", "x": "1"}),
    "internal_log_level": ("WARN", "warn"),
    "config_file": (MINIMAL_FILE, MINIMAL_FILE),
    "sdk_disabled": ("true", True),
    "under_test": ("export", "export"),
    "language": ("KO", "ko"),
    "strict": ("TRUE", True),
    "traces_exporter": ("console,otlp,console", ("console", "otlp")),
    "metrics_exporter": ("none", ()),
    "logs_exporter": ("Console", ("console",)),
    "protocol": ("GRPC", "grpc"),
    "traces_protocol": ("grpc", "grpc"),
    "metrics_protocol": ("grpc", "grpc"),
    "logs_protocol": ("http/protobuf", "http/protobuf"),
    "endpoint": ("https://collector:4318/base", "https://collector:4318/base"),
    "traces_endpoint": ("http://t:1/v1/traces", "http://t:1/v1/traces"),
    "metrics_endpoint": ("http://m:1/x", "http://m:1/x"),
    "logs_endpoint": ("http://l:1/x", "http://l:1/x"),
    "headers": ("X-Api-Key=a%3Db,Tenant=7", {"x-api-key": "a=b", "tenant": "7"}),
    "traces_headers": ("a=1", {"a": "1"}),
    "metrics_headers": ("a=2", {"a": "2"}),
    "logs_headers": ("a=3", {"a": "3"}),
    "timeout": ("2500", 2.5),
    "traces_timeout": ("10", 10.0),
    "metrics_timeout": ("99.5", 99.5),
    "logs_timeout": ("100", 0.1),
    "compression": ("gzip", "gzip"),
    "traces_compression": ("none", "none"),
    "metrics_compression": ("gzip", "gzip"),
    "logs_compression": ("gzip", "gzip"),
    "certificate": ("/ca.pem", "/ca.pem"),
    "client_certificate": ("/c.pem", "/c.pem"),
    "client_key": ("/k.pem", "/k.pem"),
    "propagators": ("b3, tracecontext", ("b3", "tracecontext")),
    "sampler": ("always_off", "always_off"),
    "sampler_arg": ("0.5", "0.5"),
    "sample_rate": ("0.25", 0.25),
    "sample_routes": ("/api/content/*=1.0,/api/posts/{id}=0.01", {"/api/content/*": 1.0, "/api/posts/{id}": 0.01}),
    "untraced_routes": ("/health, /internal/*", ("/health", "/internal/*")),
    "slow_request_seconds": ("0", 0.0),
    "trust_incoming": ("Private,unix,10.0.0.0/8,::1", ("private", "unix", "10.0.0.0/8", "::1/128")),
    "baggage_keys": ("tenant, user", ("tenant", "user")),
    "incoming_request_id": ("false", False),
    "max_attributes": ("64", 64),
    "max_attribute_length": ("100", 100),
    "max_span_attributes": ("65", 65),
    "max_span_attribute_length": ("101", 101),
    "max_events": ("1", 1),
    "max_links": ("2", 2),
    "max_event_attributes": ("0", 0),
    "max_link_attributes": ("3", 3),
    "metric_interval": ("1000", 1.0),
    "metric_timeout": ("500", 0.5),
    "metrics_temporality": ("Delta", "delta"),
    "histogram_aggregation": ("BASE2_exponential_bucket_histogram", "base2_exponential_bucket_histogram"),
    "exemplar_filter": ("always_off", "always_off"),
    "prometheus_port": ("9465", 9465),
    "series_limit": ("100", 100),
    "metrics_path": ("/internal/metrics", "/internal/metrics"),
    "metrics_token": ("t-1", "t-1"),
    "http_semconv_metrics": ("yes", True),
    "console": ("json", "json"),
    "console_stream": ("stderr", "stderr"),
    "log_level": ("WARNING", "warning"),
    "max_log_attributes": ("66", 66),
    "max_log_attribute_length": ("102", 102),
    "requests": ("contrib", "contrib"),
    "sqlalchemy": ("off", "off"),
    "sql_root_spans": ("1", True),
    "spool_dir": ("/var/spool/shop", "/var/spool/shop"),
    "spool_bytes": ("1000000", 1_000_000),
    "logging": ("false", False),
    "system_metrics": ("off", False),
    "clients": ("0", False),
    "threads": ("false", False),
    "disabled_instrumentations": ("redis,*", ("redis", "*")),
    "excluded_urls": ("healthz,client/.*/info", ("healthz", "client/.*/info")),
    "capture_request_headers": ("Accept.*,X-Tenant", ("Accept.*", "X-Tenant")),
    "known_methods": ("GET,QUERY", ("GET", "QUERY")),
    "span_delay": ("200", 0.2),
    "span_export_timeout": ("2500", 2.5),
    "log_export_timeout": ("3000", 3.0),
    "log_delay": ("300", 0.3),
    "span_queue_items": ("10", 10),
    "log_queue_items": ("11", 11),
    "span_batch_items": ("12", 12),
    "log_batch_items": ("13", 13),
    "queue_bytes": ("65536", 65_536),
    "max_request_bytes": ("16384", 16_384),
    "shutdown_timeout": ("1.5", 1.5),
    "redact": ("no", False),
    "redact_keys": ("iban, order id", ("iban", "order id")),
    "redact_patterns": (r"ORD-\d{4,6}  x{1,3}", (r"ORD-\d{4,6}", "x{1,3}")),
    "redact_personal": ("email,RRN", ("email", "rrn")),
    "sentry_dsn": ("https://k@sentry.test/1", "https://k@sentry.test/1"),
}

# What each parser does not accept. Text, paths of files and lists of names accept anything.
WRONG: dict[str, list[str]] = {
    "namespace": ["Shop", "1st", "a-b", "a" * 64],
    "resource_attributes": ["team", "=x", "a=1,b"],
    "sdk_disabled": ["maybe", "2"],
    "strict": ["maybe"],
    "traces_exporter": ["jaeger", "otlp,zipkin", ","],
    "metrics_exporter": ["statsd"],
    "logs_exporter": ["file"],
    "protocol": ["http/json", "udp"],
    "endpoint": [
        "collector",
        "collector:port",
        "collector:4317",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:port",
        "http://a b",
        "http://[::1",
    ],
    "traces_endpoint": ["x"],
    "metrics_endpoint": ["x"],
    "logs_endpoint": ["x"],
    "excluded_urls": ["(", "a.*b.*c"],
    "capture_request_headers": ["["],
    "capture_response_headers": ["["],
    "sanitize_headers": ["["],
    "prometheus_port": ["70000", "x"],
    "headers": ["a", "a b=c", "a=x%0d%0ainjected:1"],
    "traces_headers": ["a"],
    "metrics_headers": ["a"],
    "logs_headers": ["a"],
    "timeout": ["soon", "0", "-1", "nan", "inf", "1e99"],
    "traces_timeout": ["x"],
    "metrics_timeout": ["x"],
    "logs_timeout": ["x"],
    "compression": ["deflate"],
    "traces_compression": ["zstd"],
    "metrics_compression": ["x"],
    "logs_compression": ["x"],
    "sample_rate": ["1.5", "-0.1", "10%", "nan"],
    "sample_routes": ["/a", "a=1", "/a=2", "/a=x"],
    "untraced_routes": ["health", "/a b"],
    "slow_request_seconds": ["-1", "fast"],
    "trust_incoming": ["10.0.0.0/99", "everybody", "private,always", "10.0.0.1/8"],
    "max_attributes": ["-1", "many", "1.5"],
    "max_attribute_length": ["-1", "9999999"],
    "max_span_attributes": ["x"],
    "max_span_attribute_length": ["x"],
    "max_events": ["x"],
    "max_links": ["x"],
    "metric_interval": ["0", "x", "1"],
    "metric_timeout": ["0"],
    "exemplar_filter": ["sometimes"],
    "series_limit": ["1", "x"],
    "metrics_path": ["metrics", "/a b"],
    "http_semconv_metrics": ["x"],
    "console": ["xml"],
    "console_stream": ["file"],
    "log_level": ["loud"],
    "max_log_attributes": ["x"],
    "max_log_attribute_length": ["x"],
    "requests": ["theirs"],
    "sqlalchemy": ["on"],
    "sql_root_spans": ["x"],
    "logging": ["x"],
    "system_metrics": ["x"],
    "clients": ["x"],
    "threads": ["x"],
    "span_delay": ["x"],
    "log_delay": ["x"],
    "span_queue_items": ["0"],
    "log_queue_items": ["x"],
    "span_batch_items": ["x"],
    "log_batch_items": ["x"],
    "queue_bytes": ["1"],
    "max_request_bytes": ["1"],
    "shutdown_timeout": ["-1", "x"],
    "redact": ["maybe"],
    "redact_patterns": ["(a+)+", "("],
    "redact_personal": ["address"],
    "sentry_dsn": ["x", "https://host/1", "https://key@host/x", "ftp://key@host/1", "https://key@host/1?x=1"],
    "sentry_event_url": ["https://host/{id}", "/{event_id}", "https://host/", "https://host/{event_id}/{"],
    "sentry_trace_url": ["https://host/{event_id}", "x"],
}
FITTING = (
    *(
        "true",
        "1",
        "0.5",
        "100",
        "20000",
        "a",
        "/a",
        "http://a/1",
        "http://k@a/1",
        "off",
        "own",
        "otlp",
        "a=1",
        "trace",
    ),
    *("http://a/{event_id}", "http://a/{trace_id}"),
)
NO_FIT = "~!?~"


def read_of(field: str) -> tuple[str, object]:
    """A value of the variable and what it means; without a line in the table, the first that is accepted."""
    if field in READ:
        return READ[field]
    for raw in FITTING:
        loaded = load({option_of(field).variable: raw})
        if not loaded.problems and getattr(loaded.settings, field) != default_of(field):
            return raw, getattr(loaded.settings, field)
    raise AssertionError(f"{field} needs a line in READ")


def mistakes() -> Iterator[tuple[str, str]]:
    accept_anything = {parsers.text, parsers.words}
    for field in FIELDS:
        if option_of(field).parse not in accept_anything:
            yield from ((field, raw) for raw in WRONG.get(field, [NO_FIT]))


MISTAKES = list(mistakes())


def test_the_tables_name_settings_that_exist() -> None:
    assert set(READ) <= set(FIELDS)
    assert set(WRONG) <= set(FIELDS)


@pytest.mark.parametrize("field", FIELDS)
class TestEachSetting:
    def test_it_is_read_from_its_variable(self, field: str) -> None:
        raw, expected = read_of(field)
        loaded = load({option_of(field).variable: raw})
        assert getattr(loaded.settings, field) == expected
        assert loaded.problems == ()

    def test_nothing_and_blanks_are_the_default(self, field: str) -> None:
        for environ in ({}, {option_of(field).variable: ""}, {option_of(field).variable: "  "}):
            assert getattr(load(environ).settings, field) == default_of(field)

    def test_an_argument_wins_over_the_environment_and_takes_the_value_as_it_is_in_python(self, field: str) -> None:
        raw, expected = read_of(field)
        given = list(expected) if isinstance(expected, tuple) else expected
        loaded = load({option_of(field).variable: raw}, **{field: given})
        assert getattr(loaded.settings, field) == expected
        assert loaded.problems == ()

    def test_an_argument_that_is_none_is_not_given(self, field: str) -> None:
        raw, expected = read_of(field)
        assert getattr(load({option_of(field).variable: raw}, **{field: None}).settings, field) == expected

    def test_it_is_documented(self, field: str) -> None:
        option = option_of(field)
        assert option.help[0].isupper() or option.help[0] == "`"
        assert option.help.endswith(".")
        assert option.section
        page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
        assert f"`{option.variable}`" in page, "write the page again: python tools/generate_docs.py"

    def test_its_value_is_valid_as_text_of_its_own_variable(self, field: str) -> None:
        """Also the default: what is printed can be typed."""
        default = default_of(field)
        if isinstance(default, (str, int, float)) and option_of(field).unit != "ms" and default != "":
            text = str(default).lower() if isinstance(default, bool) else str(default)
            assert getattr(load({option_of(field).variable: text}).settings, field) == default


@pytest.mark.parametrize(("field", "raw"), MISTAKES)
class TestMistakes:
    def test_each_is_one_message_with_variable_value_and_way_out_and_the_default_is_used(
        self, field: str, raw: str
    ) -> None:
        option = option_of(field)
        loaded = load({option.variable: raw})
        [problem] = loaded.problems
        assert problem.startswith(f"{option.variable}=")
        assert "expected" in problem
        if not option.secret and option.parse is not parsers.pairs:
            assert repr(raw[:80])[:-1] in problem
        assert getattr(loaded.settings, field) == default_of(field)
        assert "\n" not in problem
        assert len(problem) < 300

    def test_all_else_is_read_all_the_same(self, field: str, raw: str) -> None:
        other = "service_version" if field != "service_version" else "sampler"
        loaded = load({option_of(field).variable: raw, option_of(other).variable: "kept"})
        assert getattr(loaded.settings, other) == "kept"

    def test_strict_raises(self, field: str, raw: str) -> None:
        if field != "strict":
            with pytest.raises(ConfigurationError, match=re.escape(option_of(field).variable)):
                load({option_of(field).variable: raw}, strict=True)

    def test_as_an_argument_it_is_one_message_too(self, field: str, raw: str) -> None:
        if option_of(field).unit != "ms" and not isinstance(default_of(field), bool):
            loaded = load({}, **{field: raw})
            [problem] = loaded.problems
            assert problem.startswith(f"{field}=")
            assert getattr(loaded.settings, field) == default_of(field)


def test_strict_lists_everything_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"BLOGAUTO_OTEL_STRICT": "true", "OTEL_SDK_DISABLED": "maybe", "BLOGAUTO_OTEL_SAMPLE_RATE": "2"})
    assert "OTEL_SDK_DISABLED" in str(caught.value)
    assert "BLOGAUTO_OTEL_SAMPLE_RATE" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_all_variables_wrong_at_once_are_one_message_each() -> None:
    loaded = load({option_of(field).variable: raws[0] for field, raws in WRONG.items()})
    assert len(loaded.problems) == len(WRONG)
    assert loaded.settings == Settings()


class TestDurations:
    def test_milliseconds_in_the_environment_are_seconds_in_python(self) -> None:
        assert load({"OTEL_METRIC_EXPORT_INTERVAL": "15000"}).settings.metric_interval == 15.0
        assert load({}, metric_interval=15).settings.metric_interval == 15.0

    @pytest.mark.parametrize("given", ["soon", 0, -1, float("nan")])
    def test_a_wrong_one_is_reported(self, given: object) -> None:
        loaded = load({}, metric_interval=given)
        assert loaded.settings.metric_interval == 15.0
        assert "seconds" in loaded.problems[0]


class TestNamesOfTheService:
    def test_environment_has_a_second_variable(self) -> None:
        assert load({"ENVIRONMENT": "staging"}).settings.environment == "staging"
        both = {"ENVIRONMENT": "staging", "BLOGAUTO_OTEL_ENVIRONMENT": "production"}
        assert load(both).settings.environment == "production"

    def test_resource_attributes_fill_in_settings_that_are_not_given(self) -> None:
        environ = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,service.version=2,deployment.environment=production"}
        settings = load(environ).settings
        assert (settings.service_name, settings.service_version, settings.environment) == ("a", "2", "production")
        assert settings.production
        assert load({**environ, "OTEL_SERVICE_NAME": "b"}).settings.service_name == "b"

    @pytest.mark.parametrize(
        ("environment", "rate"), [("production", 0.1), ("Prod", 0.1), ("development", 1.0), ("staging", 1.0)]
    )
    def test_production_samples_a_tenth(self, environment: str, rate: float) -> None:
        assert Settings(environment=environment).effective_sample_rate == rate
        assert Settings(environment=environment, sample_rate=0.5).effective_sample_rate == 0.5


class TestMisspelt:
    @pytest.mark.parametrize(
        ("variable", "meant"),
        [
            ("BLOGAUTO_OTEL_SAMPLERATE", "BLOGAUTO_OTEL_SAMPLE_RATE"),
            ("BLOGAUTO_OTEL_METRIC_PATH", "BLOGAUTO_OTEL_METRICS_PATH"),
            ("BLOGAUTO_OTEL_REDACTED", "BLOGAUTO_OTEL_REDACT"),
        ],
    )
    def test_a_variable_of_ours_gets_the_nearest_name(self, variable: str, meant: str) -> None:
        [problem] = load({variable: "secret-value"}).problems
        assert problem == f"{variable} is not a setting; did you mean {meant}?"

    def test_one_that_resembles_nothing_is_reported_without_a_guess(self) -> None:
        [problem] = load({"BLOGAUTO_OTEL_ZZZZZZZZZZ": "1"}).problems
        assert problem == "BLOGAUTO_OTEL_ZZZZZZZZZZ is not a setting"

    @pytest.mark.parametrize(
        ("variable", "meant"),
        [
            ("OTEL_EXPORTER_OLTP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
            ("OTEL_TRACE_SAMPLER", "OTEL_TRACES_SAMPLER"),
            ("OTEL_PYTHON_FASTAPI_EXCLUDED_URL", "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS"),
        ],
    )
    def test_a_variable_of_opentelemetry_gets_the_nearest_name_too(self, variable: str, meant: str) -> None:
        [problem] = load({variable: "secret-value"}).problems
        assert problem == f"{variable} is not a variable of OpenTelemetry; did you mean {meant}?"

    def test_variables_of_other_packages_are_ignored(self) -> None:
        theirs = {"OTEL_SOMETHING_NEW": "1", "BLOGAUTO_DATABASE": "x", "PATH": "/bin"}
        of_packages = {
            "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "x",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "x",
        }
        of_kubernetes = {
            "OTEL_COLLECTOR_SERVICE_HOST": "10.0.0.1",
            "OTEL_COLLECTOR_PORT_4317_TCP": "tcp://10.0.0.1:4317",
        }
        assert load(theirs | of_packages | of_kubernetes).problems == ()
        assert load(dict.fromkeys(config.OTHER_VARIABLES, "x")).problems == ()

    def test_an_argument_gets_the_nearest_name(self) -> None:
        [problem] = load({}, service="x").problems
        assert problem == "configure() has no setting 'service'; did you mean service_name?"


SECRET = "hunter2-c4n4ry"
WITH_SECRETS: list[Mapping[str, str]] = [
    {"OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET}"},
    {"OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key {SECRET}"},
    {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"authorization=Bearer%20{SECRET}"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": f"https://user:{SECRET}@collector:4318"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": f"https://user:p@ss{SECRET}@collector:4318"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": f"htps://user:{SECRET}@collector:4318"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": f"user:{SECRET}@collector:4318"},
    {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"https://{SECRET}@collector:4318"},
    {"OTEL_RESOURCE_ATTRIBUTES": f"db.password={SECRET},team=a"},
    {"OTEL_RESOURCE_ATTRIBUTES": f"backend=postgres://u:{SECRET}@db/x"},
    {"OTEL_RESOURCE_ATTRIBUTES": f"api_key={SECRET},oops"},
    {"BLOGAUTO_OTEL_METRICS_TOKEN": SECRET},
    {"SENTRY_DSN": f"https://{SECRET}@sentry.test/1"},
    {"BLOGAUTO_OTEL_METRICS_TOKENS": SECRET},
]


@pytest.mark.parametrize("environ", WITH_SECRETS)
class TestSecrets:
    def test_secrets_are_in_no_repr_and_no_message(self, environ: Mapping[str, str]) -> None:
        loaded = load(environ)
        assert SECRET not in repr(loaded)
        assert SECRET not in str(loaded.settings)
        assert SECRET not in repr(loaded.settings.printable())
        assert SECRET not in repr(loaded.problems)

    def test_they_are_in_no_exception(self, environ: Mapping[str, str]) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load({**environ, "BLOGAUTO_OTEL_SAMPLE_RATE": "2"}, strict=True)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_masked_values_still_say_what_is_set() -> None:
    settings = load({"OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=abc", "SENTRY_DSN": "https://a@b/1"}).settings
    assert settings.printable()["headers"] == {"x-api-key": "****"}
    assert settings.printable()["sentry_dsn"] == "****"
    assert repr(settings) == "Settings(headers={'x-api-key': '****'}, sentry_dsn='****')"


def test_only_what_differs_from_the_default_is_shown() -> None:
    assert repr(Settings()) == "Settings()"
    assert repr(Settings(service_name="x")) == "Settings(service_name='x')"


def test_settings_cannot_be_changed() -> None:
    settings = load({"OTEL_RESOURCE_ATTRIBUTES": "a=1", "OTEL_EXPORTER_OTLP_HEADERS": "b=2"}).settings
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.service_name = "x"  # type: ignore[misc]
    for mapping in (settings.resource_attributes, settings.headers, Settings().headers, Settings().sample_routes):
        with pytest.raises(TypeError):
            mapping["x"] = "y"  # type: ignore[index]


class Unreadable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [Unreadable(), [Unreadable()], {"a": Unreadable()}, object(), b"\xff", 1e999, {1: 2}])
def test_no_argument_makes_loading_fail(field: str, value: Any) -> None:
    loaded = load({}, **{field: value})
    assert len(loaded.problems) <= 1


@given(st.sampled_from(FIELDS), st.text(max_size=200))
def test_no_text_makes_loading_fail(field: str, raw: str) -> None:
    loaded = load({option_of(field).variable: raw})
    assert len(loaded.problems) <= 1
    repr(loaded)


def test_no_two_settings_share_a_variable() -> None:
    variables = [
        variable for name in FIELDS for variable in (option_of(name).variable, option_of(name).fallback) if variable
    ]
    assert len(variables) == len(set(variables))
    assert all(variable.startswith(("OTEL_", "BLOGAUTO_OTEL_", "SENTRY_", "ENVIRONMENT")) for variable in variables)


def test_the_process_environment_is_the_default_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-the-process")
    assert load().settings.service_name == "from-the-process"


def test_warn_or_raise_logs_once_and_raises_when_strict(caplog: pytest.LogCaptureFixture) -> None:
    config.warn_or_raise(Settings(), "X='y': expected z")
    config.warn_or_raise(Settings(), "X='y': expected z")
    assert [record.getMessage() for record in caplog.records] == ["X='y': expected z"]
    with pytest.raises(ConfigurationError, match="expected z"):
        config.warn_or_raise(Settings(strict=True), "X='y': expected z")


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://c:4318/v1/traces", "http://c:4318"),
        ("http://c:4318/otlp/v1/logs/", "http://c:4318/otlp"),
        ("http://c:4318/v1/metrics", "http://c:4318"),
    ],
)
def test_a_base_endpoint_with_the_path_of_a_signal_is_reported(given: str, base: str) -> None:
    loaded = config.read({"OTEL_EXPORTER_OTLP_ENDPOINT": given})
    assert loaded.settings.endpoint == base
    [problem] = loaded.problems
    assert problem.startswith(f"OTEL_EXPORTER_OTLP_ENDPOINT={given!r}: the base URL must not end in /v1/")
    assert problem.endswith(f"using {base}")


def test_a_base_endpoint_with_another_path_stays() -> None:
    loaded = config.read({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/v1/traces/of/tenant"})
    assert (loaded.settings.endpoint, loaded.problems) == ("http://c:4318/v1/traces/of/tenant", ())
