"""Security rows: log injection, secrets, slow redaction, public pages."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
import socket
import time
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from blogauto_otel.errors import DamagedError
from blogauto_otel.spool import file_format
from testkit import receiver as peer
from testkit.ports import free_port
from testkit.processes import TIMEOUT, Process, python, running
from testkit.receiver import Receiver
from testkit.servers import Command
from tests.export.peers import refusing
from tests.faults.canaries import PLACES, SEED, Canaries
from tests.faults.harness import Harness, ScriptResult, wait_until
from tests.faults.invariants import Tolerance
from tests.faults.service import Service
from tests.redaction.hostile import HOSTILE

LOAD = 100


def _uvicorn(script: str, *options: str) -> Command:
    app = f"tests.faults.scripts.{script}:app"
    return lambda port: python("-m", "uvicorn", app, "--port", str(port), *options)


def _gunicorn(script: str) -> Command:
    options = ("-w", "1", "-k", "uvicorn_worker.UvicornWorker", "--access-logfile", "-")
    return lambda port: python(
        "-m", "gunicorn", f"tests.faults.scripts.{script}:app", "-b", f"127.0.0.1:{port}", *options
    )


# --- log injection ----------------------------------------------------------------------------------------------------

# Characters that end a line, move a cursor or change the writing direction; a tab does none of these.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
RECORD = re.compile(r"\d\d:\d\d:\d\d\.\d{3} \S+ +([\w.]+)")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
TARGETS = (
    "/log/a%0d%1b%5b2J%00%e2%80%ae%c2%85?q=%0aforged%1b",
    "/log/a%0aforged?q=\x1b%0a",
    "/nothing/%0aforged%1b?q=%0a",
    "/log/\x1b[2J?q=\x07",
    "/log/é\x85?\x9b31m",
)
AGENTS = ("curl\tforged", "curl\x85\x9b", "curl\x1b[2J", "curl\x0bforged")
BAD_IDS = (b"a b", b"a\tb", b"a" * 200, b"<b>", b"\xc3\xa9", b"a\x1b[2Jb", b"a\x00b", b'a","level":"ERROR', b"")


def log_injection(harness: Harness) -> None:
    with Receiver() as receiver:
        tolerance = Tolerance(errors=("raised",))
        with harness.service(receiver, tolerance=tolerance, server=_uvicorn("log_injection")) as service:
            logged = _send_hostile(service)
            service.end()
        lines = _lines(service.child)
        records = [json.loads(line) for line in lines]  # every line is a record
        assert sum(record["logger"].startswith("clients") for record in records) == logged
        assert all(record["logger"] != "forged" for record in records)
        ids = [record["request.id"] for record in records if "request.id" in record]
        ids += [item.attributes["request.id"] for item in receiver.logs if "request.id" in item.attributes]
        ids += [span.attributes["request.id"] for span in receiver.spans if "request.id" in span.attributes]
        assert "good-1.a_B" in ids
        assert all(REQUEST_ID.fullmatch(str(given)) for given in ids), ids
    with Receiver() as receiver:
        with harness.unchecked(receiver, server=_uvicorn("log_injection"), BLOGAUTO_OTEL_CONSOLE="text") as service:
            logged = _send_hostile(service)
            service.end()
        lines = _lines(service.child)
        loggers = [found[1] for line in lines if (found := RECORD.match(line))]
        assert sum(logger.startswith("clients") for logger in loggers) == logged
        assert "forged" not in loggers
        strays = [line for line in lines if not RECORD.match(line) and not line.startswith("    ")]
        assert strays == []  # lines of a traceback are indented


def _lines(child: Process) -> list[str]:
    """The lines of its output, after asserting that it has no control characters."""
    output = child.log.read_bytes().decode()
    assert CONTROLS.findall(output) == []
    return output.removesuffix("\n").split("\n")


def _send_hostile(service: Service) -> int:
    """Send hostile requests and let the application log hostile text; the number of log records."""
    port = service.child.port
    answered = 0
    for target in TARGETS:
        for agent in AGENTS:
            for rest in ("Host: a", "Host: a\x7fb", "Host: a\r\nX-\x85: 1"):
                head = f"GET {target} HTTP/1.1\r\nUser-Agent: {agent}\r\n{rest}\r\n"
                answered += _ask(port, head.encode("latin-1")).startswith(b"HTTP/1.1 200")
    for given in BAD_IDS:
        answer = _ask(port, b"GET /log/id HTTP/1.1\r\nHost: a\r\nX-Request-ID: " + given + b"\r\n")
        answered += answer.startswith(b"HTTP/1.1 200")
        for status in re.findall(rb"(?i)x-request-id: (.*)\r\n", answer):
            assert status != given
            assert REQUEST_ID.fullmatch(status.decode("latin-1"))
    answer = _ask(port, b"GET /log/id HTTP/1.1\r\nHost: a\r\nX-Request-ID: good-1.a_B\r\n")
    assert b"x-request-id: good-1.a_B\r\n" in answer.lower().replace(b"a_b", b"a_B")
    assert answered >= 9  # the server rejects the rest itself
    return answered + 1 + int(service.get("/forge"))


def _ask(port: int, head: bytes) -> bytes:
    """The response to a request of arbitrary bytes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while more := connection.recv(65_536):
                answer += more
    return answer


# --- redaction complexity ---------------------------------------------------------------------------------------------

SLOWEST = 0.005  # seconds of processor time for one text
QUERY = "/?&;:=%@+,!$'()*[]-._~"  # not percent-encoded
GROWTH = 2.6**2  # for four times as much text


def redactor_complexity(harness: Harness) -> None:
    for name, took in harness.run_script("redaction_timing").result.items():
        assert took["seconds"] <= SLOWEST, f"{name}: {took['seconds'] * 1e3:.1f} ms"
        assert took["growth"] <= GROWTH, f"{name}: {took['growth']:.1f} times as long for four times as much"
    with Receiver() as receiver, harness.service(receiver, server=_uvicorn("log_injection")) as service:
        for text in HOSTILE.values():  # as much of each as the server accepts
            query = urllib.parse.quote(text[:60_000], safe=QUERY)[:60_000]
            agent = " ".join(text[:8_000].replace("\x1b", "").encode().decode("latin-1").split())
            assert _visit(service, "GET", f"/log/x?{query}", {}) == 200
            assert _visit(service, "GET", "/log/x", {"User-Agent": agent}) == 200
        service.hit(LOAD)
        receiver.wait_for(lambda _: not service.missing())


# --- secrets ----------------------------------------------------------------------------------------------------------

# Errors that the application logs on purpose; one item is rejected on purpose, and so lost.
ON_PURPOSE = Tolerance(
    lossless=False, errors=("Exception in ASGI application", "never retrieved", "Exception in callback")
)
WITH_FULL_STDOUT = ("log when stdout is full", "log of a handler")


def secret_canaries(harness: Harness) -> None:
    canaries = Canaries(secrets.token_hex(16))
    _while_the_collector_answers(harness, canaries)
    _while_the_collector_is_down(harness, canaries)
    _through_console_exporters(harness, canaries)
    _failed_start_and_command_line(harness, canaries)
    _with_redaction_off(harness, canaries)


def _while_the_collector_answers(harness: Harness, canaries: Canaries) -> None:
    with Receiver() as receiver:
        server = _uvicorn("canary_application", "--http", "h11")  # accepts any method
        with harness.service(receiver, tolerance=ON_PURPOSE, server=server, **_settings(canaries)) as service:
            status = _send_canaries(service, canaries)
            receiver.answer(peer.partial_success(1, canaries.in_text("answer of the collector")), times=1)
            service.hit(10)
            wait_until(lambda: service.lines_with(canaries.marker("answer of the collector")))
            status += json.dumps(service.state()).encode()
            page = _scrape(service.child, canaries)
            service.get("/full")
            service.end()
        token = f"Bearer {canaries.secret('otlp header')}"
        assert all(request.headers["authorization"] == token for request in receiver.requests)
        outputs = {**_received(receiver), "console": service.child.log.read_bytes(), "page": page, "status": status}
        _no_secret_is_in(outputs, canaries)
        _markers_are_in(outputs, canaries)


def _while_the_collector_is_down(harness: Harness, canaries: Canaries) -> None:
    """Everything is spooled, and delivered to the next Collector."""
    with refusing() as refused_url:
        endpoint = refused_url.replace("://", f"://bob:{canaries.secret('otlp endpoint')}@")
        server, settings = _gunicorn("canary_application"), _settings(canaries)
        with harness.service(
            endpoint, tolerance=ON_PURPOSE, server=server, with_control=False, keep_alive=False, **settings
        ) as service:
            status = _send_canaries(service, canaries)
            wait_until(lambda: {path.suffix for path in harness.spooled()} >= {".traces", ".logs"})
            kept = _spooled(harness)
            wait_until(lambda: service.lines_with("cannot deliver"))
            status += json.dumps(service.state()).encode()
            service.end()
            kept += _spooled(harness)
            outputs = {"traces": kept, "logs": kept, "console": service.child.log.read_bytes(), "status": status}
            _no_secret_is_in(outputs, canaries)
            _markers_are_in(outputs, canaries, except_for={"method", "answer of the collector", *WITH_FULL_STDOUT})
        [next_receiver] = service.receivers
        _no_secret_is_in(_received(next_receiver), canaries)
        assert canaries.marker("span name").encode() in _received(next_receiver)["traces"]


def _through_console_exporters(harness: Harness, canaries: Canaries) -> None:
    """Through the console exporters, the text console and OpenTelemetry's own Prometheus exporter."""
    port = str(free_port())
    printed = {f"OTEL_{signal}_EXPORTER": "otlp,console" for signal in ("TRACES", "LOGS")}
    printed |= {"OTEL_METRICS_EXPORTER": "otlp,console,prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": port}
    settings = {**_settings(canaries), **printed, "BLOGAUTO_OTEL_CONSOLE": "text"}
    with Receiver() as receiver:
        with harness.unchecked(receiver, server=_uvicorn("canary_application"), **settings) as service:
            _send_canaries(service, canaries)
            with socket.create_connection(("localhost", int(port)), timeout=TIMEOUT) as connection:
                connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                page = b"".join(iter(lambda: connection.recv(65_536), b""))
            service.end()
        console = service.child.log.read_bytes()
        outputs = {"console": console, "traces": console, "logs": console, "metrics": console, "page": page}
        _no_secret_is_in(outputs, canaries)
        not_printed = {place for place in PLACES if "scope" in place}  # the SDK's JSON has scopes of metrics only
        _markers_are_in(
            outputs, canaries, except_for={*not_printed, "method", "answer of the collector", *WITH_FULL_STDOUT}
        )


def _failed_start_and_command_line(harness: Harness, canaries: Canaries) -> None:
    """An application that fails to start, and the command line."""
    endpoint = f"http://bob:{canaries.secret('otlp endpoint')}@127.0.0.1:1/{canaries.marker('otlp endpoint')}"
    endpoint += f"?api_key={canaries.secret('otlp query')}"
    variables: dict[str, Any] = {
        **_settings(canaries),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "BLOGAUTO_OTEL_SPOOL_DIR": str(harness.spool),
    }
    broken = _uvicorn("canary_application")(free_port())
    commands = {name: python("-m", "blogauto_otel", name) for name in ("settings", "check", "spool")}
    result = {"broken": "start", "spool": "setting that is none"}
    for name, command in {"broken": broken, **commands}.items():
        log = harness.folder / f"{name}.log"
        with running(command, log, CANARY_START="fails", **variables) as child:
            assert (child.wait() == 0) is (name == "spool")
        marker = canaries.marker(result.get(name, "otlp endpoint"))
        assert marker in child.output, child.output
        _no_secret_is_in({name: log.read_bytes()}, canaries)


def _with_redaction_off(harness: Harness, canaries: Canaries) -> None:
    """With redaction off every canary is visible: the search can find each."""
    with Receiver() as receiver:
        settings = {**_settings(canaries), "BLOGAUTO_OTEL_REDACT": "false", "BLOGAUTO_OTEL_METRICS_TOKEN": ""}
        with harness.unchecked(receiver, server=_uvicorn("canary_application", "--http", "h11"), **settings) as service:
            _send_canaries(service, canaries)
            service.get("/full")
            service.end()
        outputs = b"".join((*_received(receiver).values(), service.child.log.read_bytes()))
    seen = {place for place, core in canaries.secrets() if core.encode() in outputs}
    # Messages of the package are redacted nevertheless, and statements are recorded without literals.
    never = {"answer of the collector", "setting that is none", "sql literal"}
    assert {place for place, outputs in PLACES.items() if outputs} - never - seen == set()


def _settings(canaries: Canaries) -> dict[str, Any]:
    secret, marker = canaries.secret, canaries.marker
    note = urllib.parse.quote(canaries.in_text("resource attribute"), safe="")
    return {
        SEED: canaries.seed,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{secret('otlp header')}",
        "OTEL_RESOURCE_ATTRIBUTES": f"note={note},api_key={secret('resource attribute by key')}",
        "BLOGAUTO_OTEL_METRICS_TOKEN": secret("metrics token"),
        "BLOGAUTO_OTEL_SPOOL_BYTES": f"redis://:{secret('setting that is none')}@{marker('setting that is none')}",
        "DATABASE_URL": f"postgresql://blog:{secret('log environment')}@db/{marker('log environment')}",
    }


def _send_canaries(service: Service, canaries: Canaries) -> bytes:
    """Send every kind of request; the status of telemetry afterwards."""
    for path, headers in _visits(canaries):
        _visit(service, "GET", path, headers)
    for body in (
        f"user={canaries.marker('form')}&password={canaries.secret('form')}",
        json.dumps({"user": canaries.marker("json"), "pin": canaries.secret("json")}),
        f'form-data; name="password"\r\n\r\n{canaries.secret("multipart")}\r\n-- {canaries.marker("multipart")}',
    ):
        _visit(service, "POST", "/read", {}, body)
    _visit(service, f"sk_live_{canaries.secret('method')}.{canaries.marker('method')}", "/show/1", {})
    _open_socket(service, canaries)
    status = service.get("/leak")
    for way in service.get("/ways"):
        _visit(service, "GET", f"/fail/{way}", {})
    return json.dumps(status).encode()


def _visits(canaries: Canaries) -> Iterator[tuple[str, dict[str, str]]]:
    secret, marker = canaries.secret, canaries.marker
    quoted = {place: urllib.parse.quote(canaries.in_text(place), safe="") for place in PLACES}
    yield f"/show/{quoted['path']}", {}
    yield f"/reset/{secret('path parameter')}/1?note={marker('path parameter')}", {}
    yield f"/nobody/{quoted['path that nobody answers']}", {}
    yield f"/show/1?api_key={secret('query by key')}&note={marker('query by key')}", {}
    yield f"/show/1?note=sk_live_{secret('query by shape')}&more={marker('query by shape')}", {}
    inner = urllib.parse.quote(f"https://api.test/?token={secret('query encoded twice')}", safe="")
    yield f"/show/1?next={urllib.parse.quote(inner, safe='')}&note={marker('query encoded twice')}", {}
    yield (
        "/show/1",
        {
            "Authorization": f"Bearer {secret('header authorization')}",
            "Proxy-Authorization": f"Basic {secret('header proxy-authorization')}",
            "Cookie": f"session={secret('header cookie')}",
            "X-Api-Key": secret("header x-api-key"),
            f"X-sk_live_{secret('header of an odd name')}": "1",
            "User-Agent": canaries.in_text("header user-agent"),
            "Referer": f"https://app.test/?access_token={secret('header referer')}",
            "Host": f"sk_live_{secret('header host')}.{marker('header host')}.test",
            "X-Forwarded-For": canaries.in_text("header x-forwarded-for"),
            "X-Request-ID": f"sk_live_{secret('header x-request-id')}.{marker('header x-request-id')}",
        },
    )
    yield (
        "/show/1",
        {
            "Traceparent": f"00-{'1' * 32}-{'2' * 16}-01",
            "Tracestate": f"a=sk_live_{secret('header tracestate')},b={marker('header tracestate')}",
            "Baggage": f"session_token={secret('header baggage')}",
        },
    )


def _visit(service: Service, method: str, path: str, headers: Mapping[str, str], body: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", service.child.port, timeout=TIMEOUT)
    connection.request(method, path, body=body.encode() or None, headers=dict(headers))
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def _open_socket(service: Service, canaries: Canaries) -> None:
    what = urllib.parse.quote(canaries.in_text("websocket path"), safe="")
    query = f"token={canaries.secret('websocket query')}&note={canaries.marker('websocket query')}"
    url = f"ws://127.0.0.1:{service.child.port}/socket/{what}?{query}"
    protocol: Any = f"bearer-{canaries.secret('websocket protocol')}"
    with contextlib.suppress(WebSocketException), connect(url, subprotocols=[protocol]) as websocket:
        websocket.recv()


def _scrape(child: Process, canaries: Canaries) -> bytes:
    token = {"Authorization": f"Bearer {canaries.secret('metrics token')}"}
    kinds = ("text/plain", "application/openmetrics-text")
    answers = [child.get("/metrics", {**token, "Accept": kind}) for kind in kinds]
    assert {status for status, _ in answers} == {200}
    return b"".join(page for _, page in answers)


def _received(receiver: Receiver) -> dict[str, bytes]:
    """The bodies of export requests by signal; not the headers, which carry the Collector's token."""
    signals = ("traces", "logs", "metrics")
    return {signal: b"".join(r.payload for r in receiver.requests if signal in r.path) for signal in signals}


def _spooled(harness: Harness) -> bytes:
    """Every byte of every spool file in any state, raw and unpacked."""
    found = []
    for path in harness.spool.rglob("*"):
        with contextlib.suppress(OSError, DamagedError):  # it may be deleted or incomplete
            found.append(path.read_bytes())
            found.append(file_format.decode(found[-1], max_content=2**30).content)
    return b"".join(found)


def _no_secret_is_in(outputs: Mapping[str, bytes], canaries: Canaries) -> None:
    cores = [(place, core.encode()) for place, core in canaries.secrets()]
    found = [(place, where) for where, content in outputs.items() for place, core in cores if core in content]
    assert found == [], found


def _markers_are_in(outputs: Mapping[str, bytes], canaries: Canaries, *, except_for: Collection[str] = ()) -> None:
    """Otherwise the absence of secrets would prove nothing."""
    expected = [(place, where) for place, outputs in PLACES.items() for where in outputs if place not in except_for]
    missing = [
        (p, where) for p, where in expected if where in outputs and canaries.marker(p).encode() not in outputs[where]
    ]
    assert missing == [], missing


# --- public pages -----------------------------------------------------------------------------------------------------

SETS = 2_000
SCRAPE = 0.1  # seconds for a page with this many series
# Common paths of status pages.
OTHER_PATHS = ("/", "/health", "/healthz", "/status", "/debug", "/debug/pprof", "/info", "/env", "/spool", "/metrics/")


def public_pages(harness: Harness) -> None:
    _open_by_default(harness)
    _closed_by_settings(harness)


def _open_by_default(harness: Harness) -> None:
    """`/metrics` answers any client, and no other page of the package exists."""
    with Receiver() as receiver, harness.service(receiver) as service:
        assert _ports(service.child) == {service.child.port}
        assert [path for path in OTHER_PATHS if service.child.get(path)[0] != 404] == []
        service.run_action("many_attribute_sets", sets=SETS)
        status, page = service.child.get("/metrics")
        assert status == 200
        assert page.count(b"faults_labels_total{") == SETS
        _scraped_continuously(harness, service)


def _scraped_continuously(harness: Harness, service: Service) -> None:
    """One client scrapes continuously while others send requests."""
    command = python("-m", "tests.faults.scripts.scraper", str(service.child.port), "4")
    log = harness.folder / "scraper.log"
    with running(command, log) as scraper:
        time.sleep(0.5)
        while scraper.alive:
            service.hit(20)
        result = ScriptResult(scraper.wait(), 0.0, scraper.output).result
    assert result["scrapes"] >= 4, result  # a burst of three, then rate limited
    assert result["quickest"] <= SCRAPE, result
    assert result["slowest"] <= 6.0, result  # Prometheus times out after 10 s


def _closed_by_settings(harness: Harness) -> None:
    token = secrets.token_hex(16)
    with Receiver() as receiver, harness.service(receiver, BLOGAUTO_OTEL_METRICS_TOKEN=token) as service:
        for wrong in (
            "",
            token,
            f"Basic {token}",
            f"Bearer {token[:-1]}",
            f"Bearer {token}x",
            "Bearer",
            f"bearer:{token}",
        ):
            status, page = service.child.get(f"/metrics?token={token}", {"Authorization": wrong} if wrong else {})
            assert (status, page) == (401, b"bearer token required\n")
        status, page = service.child.get("/metrics", {"Authorization": f"Bearer {token}"})
        assert status == 200
        assert b"blogauto_api_requests_total" in page
        assert token.encode() not in page + service.child.log.read_bytes() + json.dumps(service.state()).encode()
    with Receiver() as receiver, harness.service(receiver, BLOGAUTO_OTEL_METRICS_PATH="off") as service:
        assert service.child.get("/metrics")[0] == 404
        assert _ports(service.child) == {service.child.port}
    port = str(free_port())
    asked: dict[str, Any] = {"OTEL_METRICS_EXPORTER": "otlp,prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": port}
    with Receiver() as receiver, harness.service(receiver, **asked) as service:
        assert _ports(service.child) == {service.child.port, int(port)}  # both on loopback


def _ports(child: Process) -> set[int]:
    """The ports on which the process listens, after asserting that all are on loopback."""
    listening = [c for c in psutil.Process(child.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::1"}, listening
    return {connection.laddr.port for connection in listening}
