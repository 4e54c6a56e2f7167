"""Simulators of the external services, an AI provider and WordPress sites, over real HTTP.

Directives in the text make them fail, so that a demo can cause faults without code in the application: `[fail]` makes
them respond with 503, `[limit]` with 429, `[wait 2.5]` takes them 2.5 seconds: an article half of it until it begins.

Standalone: `python -m examples.blog.simulators 8100`. The standard library's server does not affect the event loop and
uvicorn's loggers of the application's process.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

LONGEST_WAIT: Final = 40.0  # seconds
KEY_PREFIX: Final = "key-"  # format of a valid key
REFUSALS: Final = {
    "[fail]": (503, {"error": "overloaded"}),
    "[limit]": (429, {"error": "too many requests"}),
}

PARAGRAPH: Final = """\
{topic}: most people decide by the price, and notice a year later what they overlooked. Write down what you need first,
how often you need it, and what you can do without. Then compare three offers by the same list, and ask somebody who
bought one of them a year ago. Read the reviews with two or three stars: they name the faults that matter, and those
that do not. Whatever you choose, keep the receipt, and compare again before you renew or replace it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive, as real providers have
    wbufsize = -1  # head and body in one packet: two cost 40 ms on a keep-alive connection (RFC 896)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        is_streamed = self.path.endswith("/completions")
        time.sleep(_wait(text) / 2 if is_streamed else _wait(text))
        refusal = next((answer for directive, answer in REFUSALS.items() if directive in text), None)
        if refusal is not None:
            self._answer(*refusal)
        elif is_streamed:
            self._stream(_completion(self.path.split("/")[1], json.loads(text)), pause=_wait(text) / 2)
        elif self.path.endswith("/wp-json/wp/v2/posts"):
            site = self.path.split("/")[1]
            self._answer(201, {"link": f"https://{site}/?p={abs(hash(text)) % 10_000}"})
        elif self.path.endswith("/keys/check"):
            self._answer(200, {"valid": json.loads(text)["key"].startswith(KEY_PREFIX)})
        else:
            self._answer(404, {"error": "no such service"})

    def _answer(self, status: int, body: Mapping[str, object]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, parts: Iterable[Mapping[str, object]], *, pause: float) -> None:
        """Server-sent events: the first at once, the others after the pause."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, part in enumerate(parts):
            if number == 1:
                self.wfile.flush()
                time.sleep(pause)
            event = f"data: {json.dumps(part)}\n\n".encode()
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing: only the application logs."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


def _wait(text: str) -> float:
    direction = re.search(r"\[wait (\d+(?:\.\d+)?)\]", text)
    return min(float(direction[1]), LONGEST_WAIT) if direction else 0.0


def _completion(provider: str, asked: dict[str, str]) -> Iterator[Mapping[str, object]]:
    """The parts of the text, and at the end the usage as the provider states it."""
    prompt, model = asked["prompt"], asked["model"]
    text = article(prompt)
    given, written = tokens(prompt), tokens(text)
    yield from ({"text": paragraph} for paragraph in text.splitlines(keepends=True))
    if provider == "gemini":
        usage = {"promptTokenCount": given, "candidatesTokenCount": written}
        yield {"modelVersion": model, "usageMetadata": usage, "candidates": [{"finishReason": "STOP"}]}
        return
    yield {"model": f"{model}-2026-08-07", "choices": [{"finish_reason": "stop"}]}
    yield {"usage": {"prompt_tokens": given, "completion_tokens": written}}


def article(topic: str) -> str:
    """What the provider writes: three short paragraphs."""
    return "\n\n".join([PARAGRAPH.format(topic=topic)] * 3)


def tokens(text: str) -> int:
    """The tokens of a text: one for each word."""
    return len(text.split())


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """Serve in a thread for the time of the block; yields the base URL."""
    server = _Server(("127.0.0.1", port), _Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), name="simulators", daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    with running(int(sys.argv[1]) if len(sys.argv) > 1 else 8100) as url:
        print(f"AI provider and WordPress simulated at {url}; Ctrl-C ends")
        threading.Event().wait()
