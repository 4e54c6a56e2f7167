"""A local server that speaks the APIs of OpenAI, Gemini and Anthropic, with usage in every answer.

with running() as server:
    ...  # point the SDK at f"{server.url}/openai/v1", f"{server.url}/gemini" or f"{server.url}/anthropic"
    assert sum(answer.input for answer in server.answered) == 100
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

IN, OUT = 100, 20  # tokens of every call, unless `running` is given others
STARTING = 3  # of the output tokens are in the first event of Gemini's and Anthropic's streams already
TEXT: Final = "an answer that must not leave"
REFUSALS: Final = {"limited": (429, "rate_limit_error"), "refused": (400, "invalid_request_error")}


@dataclass(frozen=True)
class Answer:
    """The usage that a successful answer stated; `provider` as the semantic conventions name it."""

    provider: str
    model: str
    input: int
    output: int
    is_streamed: bool


class ProviderServer:
    """A running server.

    Attributes:
        url: its base URL.
        answered: the usage of every successful answer, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered: list[Answer] = []


class _Server(ThreadingHTTPServer):
    def __init__(self, given: int, written: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = ProviderServer(f"http://127.0.0.1:{self.server_port}")
        self.given, self.written = given, written


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = asked.get("model") or self.path.rsplit("/", 1)[1].split(":")[0]
        is_streamed = bool(asked.get("stream") or ":streamGenerateContent" in self.path)
        given, written = self.server.given, self.server.written
        if model in REFUSALS:
            status, kind = REFUSALS[model]
            self._answer(status, {"type": "error", "error": {"type": kind, "message": "no", "code": status}})
            return
        if self.path.startswith("/openai/"):
            provider, end = "openai", "[DONE]"
            whole, events = _openai(model, given, written), _openai_events(model, given, written)
        elif self.path.startswith("/gemini/"):
            provider, end = "gcp.gemini", ""
            whole, events = _gemini(model, given, written), _gemini_parts(model, given, written)
        else:
            provider, end = "anthropic", ""
            whole, events = _anthropic(model, given, written), _anthropic_events(model, given, written)
        # Before the last byte: who has read the answer finds it here.
        self.server.provider.answered.append(Answer(provider, model, given, written, is_streamed))
        self._stream(events, end=end) if is_streamed else self._answer(200, whole)

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


def _openai_usage(given: int, written: int) -> Mapping[str, int]:
    return {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written}


def _openai(model: str, given: int, written: int) -> Mapping[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
    return {**_completion("chat.completion", model), "choices": [choice], "usage": _openai_usage(given, written)}


def _openai_events(model: str, given: int, written: int) -> Iterator[Mapping[str, Any]]:
    head = _completion("chat.completion.chunk", model)
    delta = {"role": "assistant", "content": TEXT}
    yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {**head, "choices": [], "usage": _openai_usage(given, written)}


def _gemini(model: str, given: int, written: int) -> Mapping[str, Any]:
    usage = {"promptTokenCount": given, "candidatesTokenCount": written, "totalTokenCount": given + written}
    candidate = {"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP"}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "r1"}


def _gemini_parts(model: str, given: int, written: int) -> Iterator[Mapping[str, Any]]:
    """Each usage counts the output tokens from the beginning."""
    yield {
        **_gemini(model, given, written),
        "usageMetadata": {"promptTokenCount": given, "candidatesTokenCount": STARTING},
    }
    yield _gemini(model, given, written)


def _anthropic(model: str, given: int, written: int) -> Mapping[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": given, "output_tokens": written},
    }


def _anthropic_events(model: str, given: int, written: int) -> Iterator[Mapping[str, Any]]:
    """Each usage counts the output tokens from the beginning."""
    started: dict[str, Any] = {
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": given, "output_tokens": STARTING},
    }
    yield {"type": "message_start", "message": {**_anthropic(model, given, written), **started}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}}
    yield {"type": "content_block_stop", "index": 0}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": written}}
    yield {"type": "message_stop"}


@contextmanager
def running(*, given: int = IN, written: int = OUT) -> Iterator[ProviderServer]:
    """Serve in a thread for the time of the block; every answer states `given` input and `written` output tokens."""
    server = _Server(given, written)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.provider
    finally:
        server.shutdown()
        server.server_close()
