"""The example blog does what its visitors expect, with telemetry, under the launcher, and without any."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from blogauto_otel.api.catalogue import CATALOGUE
from blogauto_otel.testing import Captured, capture_telemetry
from examples import traffic
from examples.blog.database import DEMO_USER
from examples.blog.protection import BLOCKED_FOR, REJECTIONS_UNTIL_BLOCKED, WINDOW, Protection
from examples.blog.settings import BlogSettings
from examples.blog.simulators import KEY_PREFIX
from examples.blog_process import PRICES
from testkit.example import example
from testkit.ports import free_port
from testkit.processes import running
from testkit.receiver import Receiver

EXPECTED = {
    "normal": {200: 8, 201: 2},
    "lost": {200: 1, 404: 6},
    "slow": {200: 2},
    "failing": {200: 2, 500: 1, 502: 1},
    "content_failures": {200: 1, 502: 5},
    "ai_limits": {200: 1, 502: 8},
    "bugs": {200: 1, 500: 1},
    "repeated_queries": {200: 2, 201: 10},
    "wordpress_failures": {200: 1, 201: 1, 502: 5},
    "api_key_failures": {200: 1, 400: 3, 502: 3},
    "blocking": {200: 1},
    "failed_logins": {401: 5},
    "attacks": {400: 3},
    "rate_limited": {200: 60, 429: 20, 403: 10},
}


@contextlib.contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The blog under uvicorn in a thread of this process; its base URL."""
    from examples.blog.app import app

    monkeypatch.setenv("BLOG_DATABASE_URL", f"sqlite+aiosqlite:///{folder / 'blog.db'}")
    config = uvicorn.Config(app, port=free_port(), log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "uvicorn ended while starting"
        assert time.monotonic() < deadline, "uvicorn did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{config.port}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def telemetry() -> Iterator[Captured]:
    with capture_telemetry(ai_prices=str(PRICES)) as captured:
        yield captured


@pytest.fixture
def blog(telemetry: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(tmp_path, monkeypatch) as url:
        yield url


def test_every_kind_of_traffic_has_its_expectation() -> None:
    assert EXPECTED.keys() == traffic.KINDS.keys()


@pytest.mark.parametrize("kind", traffic.KINDS)
def test_each_kind_of_traffic_is_answered_as_it_says(blog: str, kind: str) -> None:
    assert traffic.KINDS[kind](blog) == Counter(EXPECTED[kind])


# The example has no websockets, and a price for each of its models.
NOT_EMITTED = {"websockets.open", "ai.unpriced_calls"}


def test_the_example_emits_every_domain_metric(blog: str, telemetry: Captured) -> None:
    for kind in ("normal", "repeated_queries", "wordpress_failures", "failed_logins", "attacks", "rate_limited"):
        traffic.KINDS[kind](blog)
    wanted = {metric.otel_name("blogauto") for metric in CATALOGUE if metric.name not in NOT_EMITTED}
    assert {name for name in wanted if not telemetry.points(name)} == set()
    assert telemetry.points("blogauto.wordpress.posts.published") == {
        (("status", "success"),): 1,
        (("status", "failed"),): 5,
    }
    assert telemetry.points("blogauto.rate_limit.rejected") == {(("endpoint", "/api/titles/generate"),): 20}
    assert telemetry.points("blogauto.blocked_ips_total") == {(): 1}
    assert telemetry.points("blogauto.db.repeated_queries") == {(("route", "/api/wordpress/published"),): 11}
    assert telemetry.points("blogauto.security.events") == {
        (("type", "auth_failure"),): 5,
        (("type", "suspicious_pattern"),): 3,
    }


def test_a_failed_generation_is_one_trace_of_server_sql_and_http(blog: str, telemetry: Captured) -> None:
    traffic.content_failures(blog, count=1)
    server = telemetry.span("POST /api/content/generate")
    assert server.context is not None
    trace = [span for span in telemetry.spans if span.context and span.context.trace_id == server.context.trace_id]
    kinds = Counter(span.kind.name for span in trace)
    assert kinds["SERVER"] == 1
    assert kinds["CLIENT"] >= 3  # who asks, how many articles they have, and the provider
    assert "content.generate" in {span.name for span in trace}
    assert (server.attributes or {})["user.id"] == 1


def test_the_log_records_of_a_request_carry_its_trace_id(blog: str, telemetry: Captured) -> None:
    traffic.content_failures(blog, count=1)
    server = telemetry.span("POST /api/content/generate")
    assert server.context is not None
    records = [record.log_record for record in telemetry.logs if record.log_record.trace_id == server.context.trace_id]
    assert any("no article" in str(record.body) for record in records)


def test_no_secret_of_a_visitor_is_in_what_the_example_emits(blog: str, telemetry: Captured) -> None:
    secret = f"{KEY_PREFIX}canary-7f3a91"
    with traffic.Visitor(blog).log_in() as writer:
        writer.ask("POST", "/api/secure/api-keys", {"service": "openai", "key": secret})
        writer.ask("POST", "/api/auth/login", {"email": DEMO_USER, "password": "canary-password-55d1"})
        token = writer.token
    emitted = repr([span.to_json() for span in telemetry.spans]) + repr([r.log_record for r in telemetry.logs])
    assert token
    leaked = {name for name in (secret, "canary-password-55d1", BlogSettings().demo_password, token) if name in emitted}
    assert leaked == set()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [False, True], ids=["configure", "launcher"])
def test_it_sends_traces_metrics_and_logs_both_ways_in(tmp_path: Path, launcher: bool) -> None:
    with Receiver() as receiver, example(tmp_path, receiver.url, port=free_port(), launcher=launcher) as blog:
        assert traffic.normal(blog.url) == Counter(EXPECTED["normal"])
        blog.child.terminate()
        receiver.wait_for(lambda r: r.total("blogauto.content.generated") == 1, 30.0)
        assert any(span.name == "POST /api/content/generate" for span in receiver.spans)
        assert any("saved article" in str(record.body) for record in receiver.logs)


@pytest.mark.slow
def test_it_runs_without_any_telemetry(tmp_path: Path) -> None:
    port = free_port()
    uvicorn_ = str(Path(sys.executable).with_name("uvicorn"))
    command = [uvicorn_, "examples.blog.app:app", "--port", str(port)]
    database = f"sqlite+aiosqlite:///{tmp_path / 'blog.db'}"
    with (
        Receiver() as receiver,
        running(
            command,
            tmp_path / "log",
            port=port,
            BLOG_DATABASE_URL=database,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        ) as child,
    ):
        child.wait_until_it_answers("/api/health")
        assert traffic.normal(f"http://127.0.0.1:{port}") == Counter(EXPECTED["normal"])
        assert child.get("/metrics")[0] == 404
        child.terminate()
    assert receiver.requests == []


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_visitor_may_ask_again_when_the_window_is_over() -> None:
    clock = Clock()
    protection = Protection(requests_per_minute=2, clock=clock)
    assert [protection.may_ask("a", "/x") for _ in range(3)] == [True, True, False]
    assert protection.may_ask("b", "/x")
    assert protection.may_ask("a", "/y")
    clock.now += WINDOW + 1
    assert protection.may_ask("a", "/x")


def test_a_visitor_who_does_not_stop_is_blocked_for_a_while() -> None:
    clock = Clock()
    protection = Protection(requests_per_minute=0, clock=clock)
    for _ in range(REJECTIONS_UNTIL_BLOCKED - 1):
        protection.may_ask("robot", "/x")
    assert not protection.is_blocked("robot")
    protection.may_ask("robot", "/x")
    assert protection.is_blocked("robot")
    assert not protection.is_blocked("another visitor")
    clock.now += BLOCKED_FOR + 1
    assert not protection.is_blocked("robot")


def test_visitors_who_went_away_are_forgotten() -> None:
    clock = Clock()
    protection = Protection(requests_per_minute=1, clock=clock)
    for number in range(1000):
        protection.may_ask(f"visitor {number}", "/x")
    clock.now += WINDOW + 1
    protection.may_ask("the next", "/x")
    assert len(protection._seen) == 1
