"""A local server that speaks the APIs of OpenAI, Gemini and Anthropic, with usage in every answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

IN, OUT = 100, 20  # tokens of every call
USAGE: Final = {"prompt_tokens": IN, "completion_tokens": OUT, "total_tokens": IN + OUT}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/openai/"):
            self._openai(asked)
        elif self.path.startswith("/gemini/"):
            self._answer(200, _GEMINI)
        else:
            self._answer(200, {**_ANTHROPIC, "model": asked["model"]})

    def _openai(self, asked: dict[str, Any]) -> None:
        model = asked["model"]
        if model == "limited":
            self._answer(429, {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit"}})
        elif model == "refused":
            self._answer(400, {"error": {"message": "no", "type": "invalid_request_error"}})
        elif asked.get("stream"):
            self._stream(model)
        else:
            message = {"role": "assistant", "content": "an answer that must not leave"}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self._answer(200, {**_completion("chat.completion", model), "choices": [choice], "usage": USAGE})

    def _stream(self, model: str) -> None:
        head = _completion("chat.completion.chunk", model)
        delta = {"role": "assistant", "content": "an answer that must not leave"}
        chunks = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**head, "choices": [], "usage": USAGE},
        ]
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
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


_GEMINI: Final = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "an answer that must not leave"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": IN, "candidatesTokenCount": OUT, "totalTokenCount": IN + OUT},
    "modelVersion": "gemini-3-flash",
    "responseId": "r1",
}

_ANTHROPIC: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "an answer that must not leave"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": IN, "output_tokens": OUT},
}


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
