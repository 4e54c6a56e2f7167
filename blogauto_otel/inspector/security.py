"""Who may read the page: requests to this host with the token, and from no other site."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")


def is_local_host(headers: Headers, port: int) -> bool:
    """Whether `Host` names this machine: a page of another site that resolves to loopback has its own name there."""
    return headers.get("host", "") in {f"{name}:{port}" for name in HOSTS}


def is_local_origin(headers: Headers, port: int) -> bool:
    """Whether a browser sent the request for a page of this server, or no browser did."""
    origin = headers.get("origin")
    return origin is None or origin in {f"http://{name}:{port}" for name in HOSTS}


class Guard:
    """Lets requests with the token through: as `?token=` once, then in a cookie, or as a bearer token.

    Args:
        app: the page.
        token: of this run.
        port: of the page; browsers share cookies between ports, so its name contains it.
    """

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._port = port
        self.cookie = f"blogauto_otel_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(scope, Headers(scope=scope)) or self._app
        await answer(scope, receive, send_protected)

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        if not is_local_host(headers, self._port):
            return PlainTextResponse("Host is not allowed\n", 403)
        if not is_local_origin(headers, self._port):
            return PlainTextResponse("Origin is not allowed\n", 403)
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
        if given and scope["path"] == "/" and scope["method"] == "GET" and self._is_token(given[0]):
            return self._redirect()
        if self._has_token(headers):
            return None
        return PlainTextResponse("Open the address that `blogauto-otel dev` printed: it holds the token\n", 401)

    def _redirect(self) -> Response:
        response = RedirectResponse("/", 303)
        response.set_cookie(self.cookie, self._token, httponly=True, samesite="strict", path="/")
        return response

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(bearer.strip())
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return self.cookie in cookies and self._is_token(cookies[self.cookie].value)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode())
