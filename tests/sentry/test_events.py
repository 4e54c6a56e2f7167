"""The contents of an event: request, release, user, tags and breadcrumbs; nothing of other requests."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import sentry_sdk
from fastapi import FastAPI
from opentelemetry import trace

from blogauto_otel import bind, operation
from testkit.requests import ask
from tests.sentry.conftest import Link, Linked


def span(name: str) -> Any:
    """A current span of a new tracer, because each test has its own provider."""
    return trace.get_tracer("tests").start_as_current_span(name)


def tags(event: Any) -> dict[str, str]:
    found: dict[str, str] = event.data["tags"]
    return found


def breadcrumbs_of(event: Any) -> list[str]:
    return [crumb["message"] for crumb in event.data["breadcrumbs"]["values"]]


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/users/{name}/posts")
    async def posts(name: str) -> None:
        bind(user_id="42", tenant=name)
        logging.getLogger("shop").info("reading posts of %s", name)
        raise ValueError("no posts")

    return app


async def test_a_request_is_named_by_its_route_not_by_its_path(linked: Linked) -> None:
    await ask(application(), "/users/alice/posts?q=alice", headers={"cookie": "alice"})
    event = linked.event
    assert event.data["transaction"] == "GET /users/{name}/posts"
    assert event.data["request"] == {"method": "GET", "url": "/users/{name}/posts"}


async def test_what_was_bound_is_on_it(linked: Linked) -> None:
    answer = await ask(application(), "/users/alice/posts")
    event = linked.event
    assert event.data["user"] == {"id": "42"}
    assert tags(event)["tenant"] == "alice"
    assert tags(event)["request.id"] == answer.headers["x-request-id"]


def test_release_environment_and_host_are_those_of_the_resource(link: Link, log: logging.Logger) -> None:
    with link(service_version="1.2.3", environment="staging") as linked:
        log.error("x")
        event = linked.event
        resource = linked.telemetry.logs[-1].resource.attributes
    assert event.data["release"] == resource["service.version"] == "1.2.3"
    assert event.data["environment"] == resource["deployment.environment.name"] == "staging"
    assert event.data["server_name"] == resource["host.name"]
    for key in ("service.name", "service.instance.id"):
        assert tags(event)[key] == resource[key]
    assert event.data["contexts"]["otel"]["resource"]["service.name"] == "blogauto-backend"


def test_without_a_version_there_is_no_release_and_git_is_not_asked(linked: Linked, log: logging.Logger) -> None:
    log.error("x")
    assert "release" not in linked.event.data


def test_breadcrumbs_are_the_lines_of_its_own_trace(linked: Linked, log: logging.Logger) -> None:
    with span("another"):
        log.info("of another trace")
    with span("this"):
        log.info("first of %s", "this")
        sentry_sdk.add_breadcrumb(message="left with Sentry")
        log.warning("second")
        log.debug("too little to say")
        log.error("the event itself")
    assert breadcrumbs_of(linked.event) == ["first of this", "left with Sentry", "second"]


def test_outside_any_trace_they_are_the_lines_of_its_thread(linked: Linked, log: logging.Logger) -> None:
    with span("another"):
        log.info("of a trace")
    log.info("of this thread")
    log.error("the event itself")
    assert "of this thread" in breadcrumbs_of(linked.event)
    assert "of a trace" not in breadcrumbs_of(linked.event)


def test_a_message_by_hand_is_linked(linked: Linked) -> None:
    with span("work") as current:
        sentry_sdk.capture_message("Test message")
    event = linked.event
    assert event.data["message"] == "Test message"
    assert int(event.span_id, 16) == current.get_span_context().span_id
    assert linked.telemetry.span("work").attributes == {"sentry.event_id": event.id}


def test_outside_any_span_an_event_has_a_trace_of_its_own_and_no_links(link: Link) -> None:
    with link(sentry_trace_url="http://jaeger/trace/{trace_id}") as linked:
        sentry_sdk.capture_message("Test message")
        event = linked.event
    assert len(event.trace_id) == 32
    assert "trace_url" not in event.data["contexts"]["otel"]
    assert "sampled" not in event.data["contexts"]["otel"]


def test_addresses_lead_from_the_event_to_the_trace_and_back(link: Link, log: logging.Logger) -> None:
    urls = {
        "sentry_trace_url": "http://jaeger/trace/{trace_id}?uiFind={span_id}",
        "sentry_event_url": "https://acme.sentry.io/issues/?query={event_id}",
    }
    with link(**urls) as linked:
        with operation("publish"):
            log.error("it failed")
        event = linked.event
        published = linked.telemetry.span("publish")
        (record,) = (log.log_record for log in linked.telemetry.logs if log.log_record.body == "it failed")
    assert event.data["contexts"]["otel"]["trace_url"] == f"http://jaeger/trace/{event.trace_id}?uiFind={event.span_id}"
    expected = f"https://acme.sentry.io/issues/?query={event.id}"
    assert published.attributes is not None
    assert published.attributes["sentry.event_url"] == expected
    assert record.attributes is not None
    assert record.attributes["sentry.event_url"] == expected


@pytest.mark.parametrize(("rate", "is_exported"), [(1.0, True), (0.0, False)])
def test_it_has_whether_the_trace_is_sampled(link: Link, log: logging.Logger, rate: float, is_exported: bool) -> None:
    with link(sample_rate=rate) as linked:
        with span("work"):
            log.error("it failed")
        assert linked.event.data["contexts"]["otel"]["sampled"] is is_exported


def test_a_log_record_is_grouped_by_its_template(linked: Linked, log: logging.Logger) -> None:
    log.error("order %s failed", 17, extra={"basket": {"items": 3}})
    event = linked.event
    assert event.data["logentry"] == {"message": "order %s failed", "formatted": "order 17 failed"}
    assert event.data["extra"]["basket"] == {"items": 3}
    assert event.data["level"] == "error"
    assert event.data["logger"] == "shop.orders"


def test_a_critical_record_is_fatal(linked: Linked, log: logging.Logger) -> None:
    log.critical("down")
    assert linked.event.data["level"] == "fatal"


def test_loggers_that_the_application_has_sentry_ignore_are_ignored(linked: Linked) -> None:
    from sentry_sdk.integrations.logging import _IGNORED_LOGGERS, ignore_logger

    ignore_logger("noisy.*")
    try:
        logging.getLogger("noisy.one").error("x")
    finally:
        _IGNORED_LOGGERS.discard("noisy.*")
    assert linked.events == []


async def test_a_tag_of_one_request_is_not_on_the_event_of_the_next(linked: Linked) -> None:
    app = FastAPI()

    @app.get("/tagged")
    def tagged() -> None:
        sentry_sdk.set_tag("of", "the first")
        sentry_sdk.set_user({"id": "alice"})
        raise ValueError("first")

    @app.get("/plain")
    async def plain() -> None:
        raise ValueError("second")

    sentry_sdk.set_tag("region", "eu")
    for path in ("/tagged", "/plain"):
        await ask(app, path)
    first, second = linked.events
    assert (tags(first)["of"], first.data["user"]["id"]) == ("the first", "alice")
    assert "of" not in tags(second)
    assert "user" not in second.data
    assert tags(first)["region"] == tags(second)["region"] == "eu", "what was set before requests is on all"


async def test_a_tag_that_is_set_in_a_pool_stays_with_its_request(linked: Linked) -> None:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    app, pool = FastAPI(), ThreadPoolExecutor(1)
    pool.submit(int).result()

    @app.get("/{name}")
    async def named(name: str) -> None:
        if name == "first":
            await asyncio.get_running_loop().run_in_executor(pool, sentry_sdk.set_tag, "of", name)
        await asyncio.get_running_loop().run_in_executor(pool, logging.getLogger("shop").error, "failed")

    for path in ("/first", "/second"):
        await ask(app, path)
    first, second = linked.events
    assert tags(first)["of"] == "first"
    assert "of" not in tags(second)


def frames(event: Any) -> dict[str, Any]:
    """The frames of the exception, by function."""
    return {frame["function"]: frame for frame in event.exceptions[-1]["stacktrace"]["frames"]}


async def test_source_is_added_for_the_application_and_not_for_libraries(linked: Linked) -> None:
    await ask(application(), "/users/alice/posts")
    found = frames(linked.event)
    assert found["posts"]["context_line"] == '        raise ValueError("no posts")'
    assert found["posts"]["pre_context"][-1].startswith('        logging.getLogger("shop").info(')
    assert len(found["posts"]["post_context"]) == 5
    assert [name for name, frame in found.items() if "context_line" in frame] == ["posts"]


def test_code_without_source_is_reported_without_it(linked: Linked, log: logging.Logger) -> None:
    code = compile("def nowhere():\n    raise ValueError('x')\n", "/nowhere.py", "exec")
    scope: dict[str, Any] = {"__name__": "shop.nowhere"}
    exec(code, scope)
    try:
        scope["nowhere"]()
    except ValueError:
        log.exception("it failed")
    assert "context_line" not in frames(linked.event)["nowhere"]
