"""The OTLP/HTTP receiver: protobuf and JSON at `/v1/traces`, `/v1/metrics` and `/v1/logs`."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from blogauto_otel.errors import BadRequestError
from blogauto_otel.inspector import decoding
from blogauto_otel.inspector.ingest import Ingest
from blogauto_otel.inspector.security import HOSTS

PATHS: Final = {f"/v1/{signal}": signal for signal in decoding.REQUESTS}
RETRY_SECONDS: Final = 1


class Receiver:
    """An ASGI application without a token: any local process may send, a page of the browser may not."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            response = await self._response(Request(scope, receive))
            await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        refusal = _refusal(request)
        if refusal is not None:
            return refusal
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return PlainTextResponse(f"the request is larger than {decoding.MAX_REQUEST} bytes\n", 413)
        return self._accept(PATHS[request.url.path], body, request.headers)

    def _accept(self, signal: str, body: bytes, headers: Headers) -> Response:
        media_type = _media_type(headers)
        try:
            message = decoding.decode(
                signal, body, media_type=media_type, encoding=headers.get("content-encoding", "").strip().lower()
            )
        except BadRequestError as error:
            return PlainTextResponse(f"{error}\n", 400)
        if not self._ingest.put(signal, message, len(body)):
            return PlainTextResponse("the queue is full\n", 503, headers={"Retry-After": str(RETRY_SECONDS)})
        return Response(decoding.answer(signal, media_type), media_type=media_type)


def _refusal(request: Request) -> Response | None:
    if request.url.path not in PATHS:
        return PlainTextResponse(f"OTLP is received at {', '.join(PATHS)}\n", 404)
    if request.method != "POST":
        return PlainTextResponse("OTLP is sent by POST\n", 405, headers={"Allow": "POST"})
    host = request.headers.get("host", "")
    if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
        return PlainTextResponse("Host is not allowed\n", 403)
    if "origin" in request.headers:
        return PlainTextResponse("requests of a browser are not allowed\n", 403)
    if _media_type(request.headers) not in (decoding.PROTOBUF, decoding.JSON):
        return PlainTextResponse(f"Content-Type: expected {decoding.PROTOBUF} or {decoding.JSON}\n", 415)
    return None


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request) -> bytes | None:
    """The body; None when it is too large."""
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > decoding.MAX_REQUEST:
            return None
    return bytes(chunks)
