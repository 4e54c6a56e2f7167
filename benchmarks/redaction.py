"""Cost of the redactor: microseconds for typical texts and attributes, milliseconds for the worst known texts.

    python -m benchmarks.redaction

The first table shows typical items, the second the bound on any text (fault matrix, row 63), each with a new
redactor that has cached nothing. Each figure is the best of several rounds, to exclude noise of the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from blogauto_otel.redaction import Redactor

ORDINARY = {
    "method": "GET",
    "route": "/api/content/saved/{content_id}",
    "short message": "user 42 logged in from 10.0.0.1",
    "message with figures": "keyword analysis finished: keyword=python count=12 took=0.3s",
    "message of 130 characters": "The quick brown fox jumps over the lazy dog. " * 3,
    "SQL statement": "SELECT posts.id, posts.title FROM posts WHERE posts.author_id = ? ORDER BY posts.id",
    "URL with a query": "http://localhost:8000/api/posts?page=2&size=10",
    "message with a password": "login failed: password=hunter2 for user=bob",
    "address with credentials": "postgresql+asyncpg://app:hunter2@db:5432/blog",
    "stack trace of 2 KB": "Traceback (most recent call last):\n"
    + '  File "/usr/lib/python3.11/asyncio/runners.py", line 190, in run\n    return runner.run(main)\n' * 20,
}

HOSTILE = {
    "100 KB of one letter": "a" * 100_000,
    "a URL of 1 MB": "https://x/" + "a" * 1_000_000,
    "1 MB of parameters": "https://x/?" + "a=1&" * 250_000,
    "1 MB of further parameters": "https://x/?" + "".join(f"a{number}=1&" for number in range(110_000)),
    "1 MB of encoded parameters": "https://x/?" + "".join(f"p%77{number}=%25{number}&" for number in range(70_000)),
    "1 MB of digits": "4111 1112 " * 100_000,
    "1 MB of passwords": "pass=1;" * 140_000,
    "1 MB of names": "".join(f"key{number}=;" for number in range(90_000)),
    "1 MB of quotes": 'pwd="\\"' * 140_000,
    "1 MB of bearers": "bearer " * 140_000,
    "1 MB of percent signs": "?a=" + "%25" * 300_000,
    "1 MB of credentials": "://a@" * 200_000,
    "1 MB of cards": "4111111111111111 " * 60_000,
}

SPAN = {
    "http.request.method": "GET",
    "url.path": "/api/content/saved/17",
    "url.query": "page=2",
    "url.scheme": "http",
    "http.route": "/api/content/saved/{content_id}",
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
    "server.address": "localhost",
    "server.port": 8000,
    "client.address": "127.0.0.1",
    "user_agent.original": "python-httpx/0.28.1",
    "user.id": "42",
}


def best_of(call: Callable[[], object], *, seconds: float = 0.2) -> float:
    """The shortest time of one call, in seconds."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        for _ in range(10):
            call()
        best = min(best, (time.perf_counter() - began) / 10)
    return best


def main() -> None:
    redactor = Redactor()
    print(f"{'what':<28}{'characters':>12}{'µs':>10}{'MB/s':>10}")
    for name, text in ORDINARY.items():
        took = best_of(partial(redactor.text, text))
        print(f"{name:<28}{len(text):>12}{took * 1e6:>10.2f}{len(text) / took / 1e6:>10.1f}")
    took = best_of(lambda: [redactor.value(key, value) for key, value in SPAN.items()])
    print(f"{'12 attributes of a span':<28}{'':>12}{took * 1e6:>10.2f}")
    print(f"\n{'hostile':<28}{'characters':>12}{'ms text':>10}{'ms url':>10}")
    for name, text in HOSTILE.items():
        as_text = best_of(lambda text=text: Redactor().text(text))  # type: ignore[misc]
        as_url = best_of(lambda text=text: Redactor().url(text))  # type: ignore[misc]
        print(f"{name:<28}{len(text):>12}{as_text * 1e3:>10.2f}{as_url * 1e3:>10.2f}")


if __name__ == "__main__":
    main()
