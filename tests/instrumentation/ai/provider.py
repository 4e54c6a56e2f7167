"""A local server that speaks the APIs of OpenAI, Gemini and Anthropic, with usage in every answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

IN, OUT = 100, 20  # tokens of every call
STARTING = 3  # of the output tokens are in the first event of Anthropic's streams already
USAGE: Final = {"prompt_tokens": IN, "completion_tokens": OUT, "total_tokens": IN + OUT}
TEXT: Final = "an answer that must not leave"
REFUSALS: Final = {"limited": (429, "rate_limit_error"), "refused": (400, "invalid_request_error")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = asked.get("model") or self.path.rsplit("/", 1)[1].split(":")[0]
        is_streamed = asked.get("stream") or ":streamGenerateContent" in self.path
        if model in REFUSALS:
            status, kind = REFUSALS[model]
            self._answer(status, {"type": "error", "error": {"type": kind, "message": "no", "code": status}})
        elif self.path.startswith("/openai/"):
            self._stream(_openai_events(model), end="[DONE]") if is_streamed else self._answer(200, _openai(model))
        elif self.path.startswith("/gemini/"):
            self._stream(_GEMINI_PARTS) if is_streamed else self._answer(200, _GEMINI)
        else:
            message = {**_ANTHROPIC, "model": model}
            self._stream(_anthropic_events(message)) if is_streamed else self._answer(200, message)

    def _stream(self, events: Iterable[Mapping[str, Any]], *, end: str = "") -> None:
        """Server-sent events; those with a type are named after it, as Anthropic's are."""
        lines = [
            (f"event: {one['type']}\n" if "type" in one else "") + f"data: {json.dumps(one)}\n\n" for one in events
        ]
        body = "".join(lines) + (f"data: {end}\n\n" if end else "")
        self._send(200, body.encode(), "text/event-stream")

    def _answer(self, status: int, document: object) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class names it so


def _completion(kind: str, model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": f"{model}-2026-08-07"}


def _openai(model: str) -> Mapping[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
    return {**_completion("chat.completion", model), "choices": [choice], "usage": USAGE}


def _openai_events(model: str) -> Iterator[Mapping[str, Any]]:
    head = _completion("chat.completion.chunk", model)
    delta = {"role": "assistant", "content": TEXT}
    yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {**head, "choices": [], "usage": USAGE}


_GEMINI: Final[Mapping[str, Any]] = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": IN, "candidatesTokenCount": OUT, "totalTokenCount": IN + OUT},
    "modelVersion": "gemini-3-flash",
    "responseId": "r1",
}
_GEMINI_PARTS: Final = (
    {**_GEMINI, "usageMetadata": {"promptTokenCount": IN, "candidatesTokenCount": STARTING}},
    _GEMINI,
)

_ANTHROPIC: Final[Mapping[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": IN, "output_tokens": OUT},
}


def _anthropic_events(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Each usage counts the output tokens from the beginning."""
    started: dict[str, Any] = {
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": IN, "output_tokens": STARTING},
    }
    yield {"type": "message_start", "message": {**message, **started}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}}
    yield {"type": "content_block_stop", "index": 0}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": OUT}}
    yield {"type": "message_stop"}


@contextmanager
def running() -> Iterator[str]:
    """Serve in a thread for the time of the block; yields the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
