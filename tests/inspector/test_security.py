"""Only a request to this host, of this page, with the token is answered; and no text becomes markup."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from blogauto_otel.inspector.security import POLICY
from testkit.otlp import logs, record, traces
from tests.inspector.server import Page, get, page

HOSTILE = "<img src=x onerror=alert(1)>"
PATHS = ("/", "/assets/app.js", "/api/requests", "/api/status", "/api/stream", "/api/traces/" + "0" * 32, "/mcp")


@pytest.fixture(scope="module")
def served() -> Iterator[Page]:
    with page() as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_answered(served: Page, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"blogauto_otel_{served.running.port}=wrong"}):
        answer = httpx.get(served.url + path, headers=headers)
        assert answer.status_code == 401
        assert "printed" in answer.text
    assert httpx.post(f"{served.url}/api/clear").status_code == 401
    assert httpx.get(f"{served.url}/?token=wrong").status_code == 401
    assert httpx.get(f"{served.url}/?token=%F0%9F%92%A9").status_code == 401


def test_the_address_sets_a_cookie_that_is_enough_from_then_on(served: Page) -> None:
    with httpx.Client(follow_redirects=True) as browser:
        answer = browser.get(served.running.address)
        assert (answer.status_code, str(answer.url)) == (200, f"{served.url}/")  # the token is gone from the address
        assert "<html" in answer.text
        assert browser.get(f"{served.url}/api/requests").status_code == 200
        cookie = answer.history[0].headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "localhost.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://localhost"},
    ],
    ids=str,
)
def test_another_host_or_origin_is_refused_even_with_the_token(served: Page, headers: dict[str, str]) -> None:
    for path in PATHS:
        assert served.client.get(path, headers=headers).status_code == 403
    assert served.client.post("/api/clear", headers=headers).status_code == 403
    assert httpx.get(served.running.address, headers=headers).status_code == 403


def test_the_page_itself_may_ask(served: Page) -> None:
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{served.running.port}"
        answer = served.client.get("/api/requests", headers={"Host": host, "Origin": f"http://{host}"})
        assert answer.status_code == 200


def test_every_answer_carries_the_policy(served: Page) -> None:
    answers = [served.client.get(path) for path in ("/", "/api/requests", "/api/nothing", "/assets/none.js")]
    answers.append(httpx.get(served.url))
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
    assert "unsafe" not in POLICY


def test_hostile_texts_are_data_and_never_markup(served: Page) -> None:
    request = get(f"/{HOSTILE}")
    request.name = HOSTILE
    served.send(traces([request], {"service.name": HOSTILE}), logs([record(HOSTILE)]))
    for path in ("/api/requests", "/api/logs", "/api/services", f"/api/traces/{request.trace_id.hex()}"):
        answer = served.client.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert HOSTILE in answer.text
    assert HOSTILE not in served.client.get("/").text


@pytest.mark.parametrize("path", ["/assets/../server.py", "/assets/..%2f..%2fserver.py", "/assets/%2e%2e/index.html"])
def test_only_files_of_the_bundle_are_served(served: Page, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.running.port, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {served.running.token}"})
    assert connection.getresponse().status == 404


def test_it_listens_on_loopback_only(served: Page) -> None:
    ports = {f"{served.running.port:04X}", f"{int(served.endpoint.rpartition(':')[2]):04X}"}
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    bound = {address.split(":")[0] for address in listening if address.split(":")[1] in ports}
    assert bound == {"0100007F"}
    assert not any(
        line.split()[1].split(":")[1] in ports for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
    )


def test_each_run_has_another_token_unless_it_is_kept(tmp_path: Path) -> None:
    with page() as first, page() as second:
        assert first.running.token != second.running.token
        assert len(first.running.token) >= 32
    with page(folder=tmp_path) as kept:
        token = kept.running.token
    with page(folder=tmp_path) as again:
        assert again.running.token == token
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0
