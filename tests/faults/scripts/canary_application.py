"""The application under test, with secrets in everything that it logs, raises and records."""

from __future__ import annotations

import asyncio
import builtins
import gc
import linecache
import logging
import os
import subprocess
import traceback
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI, Request, Response, WebSocket
from opentelemetry import _logs, baggage, metrics, trace
from opentelemetry.context import attach, detach
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

import blogauto_otel
from tests.faults import application
from tests.faults.canaries import SEED, Canaries

app: FastAPI = application.app
canaries = Canaries(os.environ[SEED])
log = logging.getLogger("canaries")
engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
logging.captureWarnings(True)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if os.environ.get("CANARY_START") == "fails":
        raise ConnectionError(canaries.in_text("start"))
    yield


app.router.lifespan_context = lifespan


# --- requests: input that appears in an exception, a header, a response -----------------------------------------------


@app.api_route("/show/{what}", methods=["GET", "POST"])
async def show(request: Request, what: str) -> Response:
    log.warning("showing %s to %s", what, request.headers)
    headers = {
        "location": f"/show?access_token={canaries.secret('header location')}",
        "set-cookie": f"session={canaries.secret('header set-cookie')}; HttpOnly",
    }
    return Response("null", headers=headers, media_type="application/json")


@app.get("/reset/{token}/{what}")
async def reset(token: str, what: str) -> int:
    log.warning("resetting %s", what)
    return len(token)


@app.post("/read")
async def read(request: Request) -> None:
    body = await request.body()
    raise ValueError(f"cannot read {body.decode()}")


@app.websocket("/socket/{what}")
async def socket(websocket: WebSocket, what: str) -> None:
    await websocket.accept()
    log.warning("connected %s %s", what, websocket.url.query)
    await websocket.close()


# --- exceptions ---


class Login(BaseModel):
    user: str
    password: str = Field(max_length=5)


@dataclass
class Credentials:
    user: str
    password: str


class Row(NamedTuple):
    user: str
    password: str


def _plainly() -> None:
    password = canaries.secret("exception local")
    raise ValueError(f"{canaries.in_text('exception')} refused, length {len(password)}")


def _misfit() -> None:
    Login.model_validate({canaries.marker("misfit"): 1, "password": canaries.secret("misfit")})


def _with_a_note() -> None:
    error: Any = ValueError("refused")
    error.__notes__ = [canaries.in_text("exception note")]  # what `add_note` does, which Python 3.10 lacks
    raise error


def _with_a_cause() -> None:
    try:
        try:
            raise KeyError(canaries.in_text("exception context"))
        except KeyError:
            raise ConnectionError(canaries.in_text("exception cause"))  # noqa: B904 - the context is the point
    except ConnectionError as error:
        raise ValueError("refused") from error


def _in_a_group() -> None:
    group: Any = getattr(builtins, "ExceptionGroup", lambda _, errors: errors[0])  # Python 3.10 has none
    raise group("several", [ValueError(canaries.in_text("exception in a group")), ValueError("another")])


def _in_the_source() -> None:
    """The failing line contains the secret, and the traceback shows the line."""
    _run_source(f"raise ValueError('refused')  # {canaries.in_text('exception source line')}")


def _run_source(line: str) -> None:
    name = f"<canaries {len(line)}>"
    linecache.cache[name] = (len(line), None, [line], name)
    exec(compile(line, name, "exec"), {})


def _in_sql_parameters() -> None:
    with engine.connect() as connection:
        statement = f"SELECT * FROM nowhere WHERE mail = :mail AND {canaries.marker('sql parameter')} = 1"
        connection.execute(text(statement), {"mail": canaries.secret("sql parameter")})


def _in_a_sql_literal() -> None:
    with engine.connect() as connection:
        literal, marker = canaries.secret("sql literal"), canaries.marker("sql literal")
        connection.execute(text(f"SELECT '{literal}' AS {marker}"))
        literal, marker = canaries.secret("sql literal in an error"), canaries.marker("sql literal in an error")
        connection.execute(text(f"SELECT {marker} FROM nowhere WHERE password = '{literal}'"))


def _in_a_sql_literal_without_a_name() -> None:
    with engine.connect() as connection:
        literal, marker = canaries.secret("sql literal without a name"), canaries.marker("sql literal without a name")
        connection.execute(text(f"INSERT INTO nowhere SELECT '{literal}' AS {marker}"))


def _in_an_echo() -> None:
    with create_engine("sqlite://", echo=True).connect() as connection:
        connection.execute(
            text(f"SELECT :mail AS {canaries.marker('sql echo')}"), {"mail": canaries.secret("sql echo")}
        )


def _in_a_dsn() -> None:
    address = f"postgresql+asyncpg://blog:{canaries.secret('sql dsn')}@db:5432/{canaries.marker('sql dsn')}"
    raise ConnectionError(f"cannot connect to {address}")


def _in_a_url() -> None:
    secret, marker = canaries.secret("client url"), canaries.marker("client url")
    userinfo, user = canaries.secret("client userinfo"), canaries.marker("client userinfo")
    url = f"http://bob:{userinfo}@127.0.0.1:1/{user}?access_token={secret}&note={marker}"
    log.warning("asking %s", url)
    try:
        httpx.get(url)
    except httpx.HTTPError as error:
        raise ConnectionError(f"{url} does not answer") from error


FAILURES: dict[str, Callable[[], None]] = {
    work.__name__.lstrip("_"): work
    for work in (
        _plainly,
        _misfit,
        _with_a_note,
        _with_a_cause,
        _in_a_group,
        _in_the_source,
        _in_sql_parameters,
        _in_a_sql_literal,
        _in_a_sql_literal_without_a_name,
        _in_an_echo,
        _in_a_dsn,
        _in_a_url,
    )
}


@app.get("/fail/{way}")
async def fail(way: str) -> None:
    FAILURES[way]()


# --- everything else ---


@app.get("/leak")
async def leak(request: Request) -> dict[str, Any]:
    """Log, record, bind and measure; the response is the status of telemetry."""
    _log()
    _log_what_one_has(request)
    async with httpx.AsyncClient() as client:
        query = {"access_token": canaries.secret("log of a client"), "note": canaries.marker("log of a client")}
        await client.get(f"http://127.0.0.1:{request.url.port}/ready", params=query)
    _record()
    _measure()
    await _forget()
    return application.telemetry.status().as_dict()


def _log() -> None:
    given = canaries.in_text
    log.warning(given("log message"))
    log.warning("signing in with password=%s %s", canaries.secret("log argument"), canaries.marker("log argument"))
    named = {"password": canaries.secret("log arguments by name"), "more": canaries.marker("log arguments by name")}
    log.warning("signing in with password=%(password)s %(more)s", named)
    log.warning("extra", extra={"note": given("log extra"), "api_key": canaries.secret("log extra by key")})
    log.warning("name", extra={f"note {given('log extra name')}": 1})
    nested = {"user": {"auth_token": canaries.secret("log extra nested"), "name": canaries.marker("log extra nested")}}
    log.warning("nested", extra={"body": nested})
    log.warning("names", extra={"seen": {"rows": [{f"note {given('log extra nested name')}": 1}]}})
    beside = [
        {"name": "DB_USER", "value": canaries.marker("log extra name beside")},
        {"name": "DB_PASSWORD", "value": canaries.secret("log extra name beside")},
    ]
    log.warning("beside", extra={"environment": beside})
    log.warning("row", extra={"row": Row(canaries.marker("log extra row"), canaries.secret("log extra row"))})
    log.warning("list", extra={"rows": ["first", given("log extra list")]})
    log.warning("bytes", extra={"raw": given("log extra bytes").encode()})
    credentials = Credentials(canaries.marker("log extra object"), canaries.secret("log extra object"))
    log.warning("object", extra={"credentials_of_bob": [credentials], "given": credentials})
    headers = [(b"accept", canaries.marker("log extra headers").encode())]
    headers.append((b"authorization", canaries.secret("log extra headers").encode()))
    log.warning("headers", extra={"headers": headers})
    printed = [(b"accept", canaries.marker("log headers").encode())]
    printed.append((b"authorization", canaries.secret("log headers").encode()))
    log.warning("asked with %s", printed)
    command = ["mysql", "--password", canaries.secret("log command line"), canaries.marker("log command line")]
    log.warning("%s", subprocess.CalledProcessError(1, command))
    user, password = canaries.marker("log element"), canaries.secret("log element")
    log.warning("sent <user>%s</user><wsse:Password Type='text'>%s</wsse:Password>", user, password)
    log.warning("event", extra={"event.name": given("log event name")})
    log.warning("paid with %s %s", canaries.card("log card"), canaries.marker("log card"))
    logging.getLogger(f"client of {given('log logger')}").warning("logger")
    source = f"import logging; logging.getLogger('canaries').warning('stack', stack_info=True)  # {given('log stack')}"
    _run_source(source)
    _log_objects()
    warnings.warn(given("warning"), stacklevel=1)
    scope = {"note": given("log record scope attribute")}
    _logs.get_logger("canaries scope", attributes=scope).emit(body="scoped", severity_text="INFO")


def _log_what_one_has(request: Request) -> None:
    log.warning("asked with %s", dict(request.headers))
    log.warning("running in %s", dict(os.environ))
    log.warning("telemetry is %s", application.telemetry.settings)


def _log_objects() -> None:
    log.warning(ValueError(canaries.in_text("log exception as the message")))
    log.warning(
        {"password": canaries.secret("log map as the message"), "user": canaries.marker("log map as the message")}
    )
    try:
        raise ValueError(canaries.in_text("log traceback as the message"))
    except ValueError:
        log.warning(traceback.format_exc())
    for place in ("log misfit", "log misfit extra"):
        try:
            Login(user=canaries.marker(place), password=canaries.secret(place))
        except ValidationError as error:
            if place == "log misfit":
                log.warning("refused: %s %s", error.errors(), canaries.marker(place))
            else:
                log.warning("refused", extra={"errors": error.errors(), "user": canaries.marker(place)})


def _record() -> None:
    given = canaries.in_text
    attributes = {"note": given("span scope attribute"), "api_key": canaries.secret("span scope attribute by key")}
    tracer = trace.get_tracer(
        f"scope {given('span scope name')}",
        f"1 {given('span scope version')}",
        schema_url=f"https://schemas.test/{given('span scope schema')}",
        attributes=attributes,
    )
    other = trace.SpanContext(1, 1, is_remote=False)
    links = [trace.Link(other, {"note": given("span link attribute")})]
    token = attach(baggage.set_baggage("session_token", canaries.secret("baggage")))
    blogauto_otel.bind(note=given("bound"), api_key=canaries.secret("bound by key"))
    log.warning("bound")
    with tracer.start_as_current_span(given("span name"), links=links) as span:
        span.set_attribute("note", given("span attribute"))
        span.set_attribute("db.password", canaries.secret("span attribute by key"))
        span.set_attribute("notes", ["first", given("span attribute list")])
        span.set_attribute(f"seen {given('span attribute name')}", 1)
        span.add_event(given("span event"), {"note": given("span event attribute")})
        span.set_status(trace.StatusCode.ERROR, given("span status"))
    with blogauto_otel.operation(given("operation"), about=given("operation attribute")):
        pass
    detach(token)


def _measure() -> None:
    given = canaries.in_text
    meter = metrics.get_meter("canaries", attributes={"note": given("metric scope attribute")})
    counter = meter.create_counter("canaries.things", description=given("metric description"))
    counter.add(1, {"note": given("metric attribute"), "api_key": canaries.secret("metric attribute by key")})
    counter.add(1, {f"seen {given('metric attribute name')}": 1})


async def _forget() -> None:
    """A task and a callback that fail; nobody reads their results."""

    async def fails() -> None:
        raise ValueError(canaries.in_text("task never awaited"))

    def called_back(what: str) -> None:
        raise ValueError(what)

    task = asyncio.create_task(fails())
    asyncio.get_running_loop().call_soon(called_back, canaries.in_text("callback"))
    await asyncio.sleep(0.01)
    del task
    gc.collect()


@app.get("/ways")
async def ways() -> list[str]:
    """The names for `/fail/`."""
    return list(FAILURES)


@app.get("/full")
def full() -> None:
    """stdout is full; the standard library would print the arguments in its error message."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    log.warning(
        "password=%s %s", canaries.secret("log when stdout is full"), canaries.marker("log when stdout is full")
    )
    client = logging.getLogger("canaries.client")
    client.addHandler(logging.StreamHandler())
    client.warning("password=%s %s", canaries.secret("log of a handler"), canaries.marker("log of a handler"))
