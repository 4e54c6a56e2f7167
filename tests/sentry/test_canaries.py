"""Nothing private is sent: a canary anywhere in a failing request is in none of the bytes that Sentry receives."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from fastapi import FastAPI, Request
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from blogauto_otel import bind
from testkit.requests import ask
from tests.sentry.conftest import Link, Linked


def canary(place: str) -> str:
    """A unique value of letters and digits, so that no encoding changes it."""
    return f"c4n4ry{place.title().replace(' ', '')}9"


PLACES = (
    "header",
    "authorization",
    "cookie",
    "query",
    "path",
    "json",
    "nested json",
    "form",
    "bound",
    "sql parameter",
    "frame variable",
    "nested variable",
    "exception",
    "exception url",
    "cause",
    "log argument",
    "log extra",
    "earlier log",
    "breadcrumb",
    "sentry extra",
    "sentry extra name",
    "sentry context",
    "own context of sentry",
    "tag",
    "user",
    "environment",
    "argument of the process",
    "dsn secret",
)


class Settings:
    def __repr__(self) -> str:
        return f"Settings(password={canary('nested variable')!r})"


def application() -> FastAPI:
    app = FastAPI()
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    log = logging.getLogger("shop")

    async def leave_traces(request: Request) -> None:
        await request.body()
        bind(api_key=canary("bound"))
        log.info("signing in with password=%s", canary("earlier log"))
        sentry_sdk.add_breadcrumb(message="x", data={"token": canary("breadcrumb")})
        sentry_sdk.get_isolation_scope().set_extra("client_secret", canary("sentry extra"))
        sentry_sdk.get_isolation_scope().set_extra("x", {"y": [{f"password={canary('sentry extra name')}": {"z": 1}}]})
        sentry_sdk.set_context("os", {"name": f"token={canary('own context of sentry')}"})
        sentry_sdk.set_context("payment", {"card": {"cvv": canary("sentry context")}})
        sentry_sdk.set_tag("session_token", canary("tag"))
        sentry_sdk.set_user({"id": "1", "password": canary("user")})

    @app.post("/reset/{token}")
    async def reset(request: Request, token: str) -> None:
        await leave_traces(request)
        password, settings = canary("frame variable"), Settings()
        try:
            raise KeyError(f"secret: {canary('cause')}, {len(password)} {type(settings)}")
        except KeyError as error:
            url = f"https://api.test/?access_token={canary('exception url')}"
            raise ValueError(f"api_key={canary('exception')} refused by {url}") from error

    @app.post("/database/{token}")
    async def database(request: Request, token: str) -> None:
        await leave_traces(request)
        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM nowhere WHERE mail = :mail"), {"mail": canary("sql parameter")})

    @app.post("/log/{token}")
    async def logged(request: Request, token: str) -> None:
        await leave_traces(request)
        log.error("password=%s is wrong", canary("log argument"), extra={"authorization": canary("log extra")})

    return app


async def fail_everywhere() -> None:
    """Each of the three failures, by JSON and by form."""
    bodies: tuple[dict[str, Any], ...] = (
        {"json": {"password": canary("json"), "user": {"pin": canary("nested json")}}},
        {"data": {"password": canary("form")}},
    )
    headers = {
        "x-internal-token": canary("header"),
        "authorization": f"Bearer {canary('authorization')}",
        "cookie": f"sid={canary('cookie')}",
    }
    app = application()
    for body in bodies:
        for route in ("reset", "database", "log"):
            await ask(app, f"/{route}/{canary('path')}?q={canary('query')}", "POST", headers=headers, **body)


SETTINGS = {"as by default": {}, "with frame variables": {"sentry_frame_variables": True}}


@pytest.fixture(params=[*SETTINGS.values()], ids=[*SETTINGS])
def linked(link: Link, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Linked]:
    monkeypatch.setenv("WORDPRESS_PASSWORD", canary("environment"))
    monkeypatch.setattr("sys.argv", ["shop", "--password", canary("argument of the process")])
    with link(**request.param) as linked:
        yield linked


async def test_no_canary_leaves(linked: Linked, capsys: pytest.CaptureFixture[str]) -> None:
    await fail_everywhere()
    assert len(linked.events) == 6
    left = linked.sink.bytes
    found = [place for place in PLACES if canary(place).encode() in left or canary(place).lower().encode() in left]
    with capsys.disabled():
        print(f"\ncanaries = {len(PLACES)} sent, {len(found)} found in {len(left)} bytes")
    assert found == []


def test_every_canary_would_be_seen(linked: Linked) -> None:
    """With redaction and strict options off, the search finds the canaries that are collected."""
    assert os.environ["WORDPRESS_PASSWORD"] == canary("environment")
    sentry_sdk.capture_message(f"harmless {canary('harmless')}")
    assert linked.event.data["message"].endswith(canary("harmless"))
    assert canary("harmless").encode() in linked.sink.bytes


def test_frame_variables_leave_only_when_asked_for_and_then_redacted(linked: Linked, log: logging.Logger) -> None:
    is_asked_for = linked.telemetry.handle.settings.sentry_frame_variables

    def fail() -> None:
        password, city = canary("frame variable"), "Seoul"
        raise ValueError(len(password + city))

    try:
        fail()
    except ValueError:
        log.exception("it failed")
    frame = linked.event.exceptions[-1]["stacktrace"]["frames"][-1]
    if not is_asked_for:
        assert "vars" not in frame
        return
    assert frame["vars"]["city"] == "'Seoul'"
    assert frame["vars"]["password"] in ("[redacted:password]", "[Filtered]")  # the second by Sentry's own scrubber


@pytest.mark.quiet_guard
def test_an_event_that_cannot_be_cleaned_does_not_leave(
    linked: Linked, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blogauto_otel.integrations.sentry import privacy

    def broken(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(privacy, "redact_event", broken)
    log.error("x")
    assert linked.events == []
