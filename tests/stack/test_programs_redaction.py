"""Secrets put everywhere a sender can put them: none comes out of the real Collector, and what is no secret does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from blogauto_otel import semconv
from blogauto_otel.config import load
from blogauto_otel.resource import build_resource
from stack.processes import Collector, eventually, start_collector
from testkit import otlp
from tests.redaction.corpus.collector import cost_in, redacted_in
from tests.redaction.corpus.rates import CORPUS, HELD_OUT, MOST_CUT, MOST_MISSED, measure_each, of_the_package

pytestmark = pytest.mark.stack

# Made for this test; nothing here is shared with the expressions of the configuration.
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6.eyJzdWIiOiJjYW5hcnktMDEifQ.c2lnbmF0dXJlLWNhbmFyeS0wMQ"
BEARER = "canary02-abcdefghijklmnop"
OPENAI = "sk-canary03ABCDEFGHIJKLMNOP"
GOOGLE = "AIzacanary04ABCDEFGHIJKLMNOPQRSTUVWXYZ1"
CARD = "4111111111111111"
PASSWORD = "canary05-hunter2"
COOKIE = "canary06-session"
DSN_PASSWORD = "canary07-dsn"
QUERY = "canary08-query"
PLAIN = "canary09-plain"
EMAIL = "canary10@example.org"

SECRETS = (JWT, BEARER, OPENAI, GOOGLE, CARD, PASSWORD, COOKIE, DSN_PASSWORD, QUERY, PLAIN, EMAIL)

# key -> value, as attributes of anything
ATTRIBUTES: dict[str, Any] = {
    "note": f"called with Bearer {BEARER} today",
    "jwt.in.text": f"got {JWT} back",
    "openai.in.text": f"key {OPENAI} refused",
    "google.in.text": f"key {GOOGLE} refused",
    "card.in.text": f"paid with {CARD}",
    "db.url": f"postgresql://blog:{DSN_PASSWORD}@db:5432/blog",
    "password": PASSWORD,
    "user_password_hash": PLAIN,
    "http.request.header.cookie": COOKIE,
    "http.request.header.authorization": f"Bearer {BEARER}",
    "X-Api-Key": PLAIN,
    "nested": {"deeper": {"note": f"Bearer {BEARER}"}},
    "listed": [f"Bearer {BEARER}", "harmless"],
}

EXCEPTION = {
    "exception.message": f"bad api_key={PLAIN}",
    "exception.stacktrace": f"...\nValueError: token={QUERY}\n",
}

KEPT: dict[str, Any] = {
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 80,
    "http.route": "/api/content/{content_id}",
    "keyword": "winter tyres",
    "retries": 3,
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with start_collector(("process-redact", "export-file"), tmp=tmp_path_factory.mktemp("redaction")) as collector:
        yield collector


def assert_no_secret(path: Path) -> None:
    text = path.read_text()
    assert [secret for secret in SECRETS if secret in text] == []


def test_no_secret_leaves_on_a_span(collector: Collector) -> None:
    status = Status(code=otlp.ERROR, message=f"login failed: password={PASSWORD}, Bearer {BEARER}, {JWT}, {OPENAI}")
    attributes = {
        **ATTRIBUTES,
        **KEPT,
        "url.full": f"https://example.org/x?page=2&token={QUERY}&sig={QUERY}#top",
        "url.query": f"api_key={QUERY}&page=2",
        "user.email": EMAIL,
    }
    span = otlp.span(
        f"GET /reset Bearer {BEARER}",
        attributes=attributes,
        status=status,
        events=[otlp.event("exception", {**EXCEPTION, **ATTRIBUTES})],
    )
    resource = {**otlp.BLOG, **ATTRIBUTES}
    assert otlp.post(collector.endpoint, otlp.traces([span], resource)) == 200
    arrived = eventually(collector.spans)[-1]
    assert_no_secret(collector.files / "traces.jsonl")
    assert arrived.attributes.items() >= KEPT.items()
    assert arrived.attributes["url.full"] == "https://example.org/x?page=2&token=***&sig=***#top"
    assert arrived.attributes["url.query"] == "api_key=***&page=2"
    assert arrived.status_message.startswith("login failed: password=***")
    assert arrived.name == "GET /reset Bearer ***"
    assert len(arrived.attributes["user.hash"]) == 64
    assert arrived.resource["service.name"] == "blogauto-backend"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (f"redis-cli -a {PASSWORD}", "redis-cli"),
        (f"POST login password={PASSWORD}", "POST login password=***"),
        (f'Invalid password "{PASSWORD}"', "Invalid"),
        (f"GET redis://:{DSN_PASSWORD}@cache", "GET redis"),
        (f"call {OPENAI}", "call"),
        ("GET /api/content/saved/{content_id}", "GET /api/content/saved/{content_id}"),
    ],
)
def test_no_secret_leaves_in_the_name_of_a_span(collector: Collector, name: str, kept: str) -> None:
    before = len(collector.spans())
    assert otlp.post(collector.endpoint, otlp.traces([otlp.span(name)])) == 200
    arrived = eventually(collector.spans, lambda found: len(found) == before + 1)[-1].name
    assert arrived.startswith(kept)
    assert not any(secret in arrived for secret in SECRETS)


def test_no_secret_leaves_on_a_log_record(collector: Collector) -> None:
    records = [
        otlp.record(f"password={PASSWORD} and 'secret': '{PLAIN}'", attributes={**ATTRIBUTES, **KEPT, **EXCEPTION}),
        otlp.record(f"Authorization: Bearer {BEARER}", attributes={"user.email": EMAIL}),
        otlp.record({"event": "login", "password": PASSWORD, "inner": {"token": PLAIN, "note": f"with {JWT}"}}),
    ]
    assert otlp.post(collector.endpoint, otlp.logs(records, {**otlp.BLOG, **ATTRIBUTES})) == 200
    arrived = eventually(collector.logs, lambda found: len(found) == 3)
    assert_no_secret(collector.files / "logs.jsonl")
    assert arrived[0].body == "password=*** and 'secret': '***'"
    assert arrived[0].attributes.items() >= KEPT.items()
    assert arrived[2].body["event"] == "login"


@pytest.mark.parametrize("value", ["4096", "hunter", "/run/x", "db.example.org", "python-httpx/0.28.1", "page=2"])
def test_a_name_of_a_secret_is_enough_whatever_its_value_looks_like(collector: Collector, value: str) -> None:
    """Values that look ordinary skip the expressions for values, and not those for names."""
    before = len(collector.spans())
    sent = otlp.span("named", attributes={"password": value, "note": value, "body": {"pin": value}})
    assert otlp.post(collector.endpoint, otlp.traces([sent])) == 200
    arrived = eventually(collector.spans, lambda found: len(found) == before + 1)[-1]
    assert arrived.attributes["note"] == value
    assert len(arrived.attributes["password"]) == 64


def test_no_secret_leaves_on_a_metric(collector: Collector) -> None:
    metric = otlp.counter("blogauto_things", 1, {**ATTRIBUTES, "endpoint": "/api/keywords"})
    assert otlp.post(collector.endpoint, otlp.metrics([metric], {**otlp.BLOG, **ATTRIBUTES})) == 200
    eventually(lambda: collector.documents("metrics"))
    assert_no_secret(collector.files / "metrics.jsonl")
    assert "/api/keywords" in (collector.files / "metrics.jsonl").read_text()


OURS = {**otlp.BLOG, "telemetry.distro.name": semconv.DISTRO_NAME}


def send_each_signal(collector: Collector, resource: otlp.Attributes) -> str:
    """Send a password in each signal; what arrives of the three."""
    attributes = {"password": PASSWORD, "user.email": EMAIL}
    for message in (
        otlp.traces([otlp.span("own", attributes=attributes)], resource),
        otlp.logs([otlp.record("own", attributes=attributes)], resource),
        otlp.metrics([otlp.counter("blogauto_own", 1, {"password": PASSWORD})], resource),
    ):
        assert otlp.post(collector.endpoint, message) == 200
    signals = ("traces", "logs", "metrics")
    eventually(lambda: all(len(collector.documents(signal)) == 1 for signal in signals))
    return "".join((collector.files / f"{signal}.jsonl").read_text() for signal in signals)


def test_what_our_sdk_sends_is_passed_on_as_it_is(tmp_path: Path) -> None:
    """It is redacted already; only the address of the user becomes a hash, which our SDK leaves to the Collector."""
    with start_collector(("process-redact", "export-file"), tmp=tmp_path) as collector:
        arrived = send_each_signal(collector, OURS)
    assert arrived.count(PASSWORD) == 3
    assert EMAIL not in arrived
    assert arrived.count("user.hash") == 2


def test_what_our_sdk_sends_with_redaction_off_is_redacted(tmp_path: Path) -> None:
    resource = build_resource(load(redact=False).settings).attributes
    with start_collector(("process-redact", "export-file"), tmp=tmp_path) as collector:
        arrived = send_each_signal(collector, {**resource, **OURS})
    assert PASSWORD not in arrived


def test_data_of_ours_costs_the_collector_little(tmp_path: Path) -> None:
    """Relative to a Collector without the stage, on a machine that is busy."""
    cost = cost_in(tmp_path, spans=4000)
    print(f"Collector: {cost}")
    assert cost.ours <= 3 * cost.without + 20e-6
    assert cost.other <= 12 * cost.without + 20e-6


def test_equal_secrets_stay_equal_and_cannot_be_guessed(collector: Collector, tmp_path: Path) -> None:
    """The hash has a key: the same secret is recognised again, but another Collector's key gives another hash."""

    def hashed(of: Collector) -> list[str]:
        before = len(of.spans())
        sent = [otlp.span(attributes={"password": PASSWORD}) for _ in range(2)]
        assert otlp.post(of.endpoint, otlp.traces(sent)) == 200
        found = eventually(of.spans, lambda found: len(found) == before + 2)
        return [span.attributes["password"] for span in found[before:]]

    first, second = hashed(collector)
    assert first == second
    environment = {"REDACTION_HMAC_KEY": "another-key-of-at-least-thirty-two-bytes"}
    with start_collector(("process-redact", "export-file"), tmp=tmp_path, env=environment) as other:
        assert hashed(other)[0] != first


def test_the_collector_catches_what_the_package_catches(tmp_path: Path) -> None:
    """The same texts through both, within the same bounds."""
    found = measure_each(lambda texts: redacted_in(tmp_path, texts), CORPUS, HELD_OUT)
    for corpus, rates in zip((CORPUS, HELD_OUT), found, strict=True):
        print(f"package:   {of_the_package(corpus)}\nCollector: {rates}")
        assert rates.miss_rate <= MOST_MISSED, rates.missed
        assert rates.false_positive_rate <= MOST_CUT, rates.cut
