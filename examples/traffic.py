"""Traffic for the blog, normal and faulty: one function for each kind, over HTTP.

    python -m examples.traffic http://localhost:8000 normal slow failing
    python -m examples.traffic http://localhost:8000 wordpress_failures --seconds 300

Each function returns the number of responses by status.
"""

from __future__ import annotations

import argparse
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import httpx

from examples.blog.database import DEMO_USER
from examples.blog.settings import BlogSettings
from examples.blog.simulators import KEY_PREFIX

Statuses = Counter[int]

TIMEOUT: Final = 60.0  # seconds
TLS: Final = ssl.create_default_context()  # built once: it costs more than a hundred requests
TOPICS: Final = ("winter tyres", "sourdough bread", "mortgage rates", "hiking boots", "home batteries")


def summary(statuses: Statuses) -> str:
    """Statuses with their counts, such as `8 x 200, 1 x 502`."""
    return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))


class Visitor:
    """A client with its own address, which can log in and counts its responses by status."""

    def __init__(self, base_url: str) -> None:
        # uvicorn trusts this header from loopback. 198.18.0.0/15 is reserved for benchmarks (RFC 2544).
        address = f"198.{random.randint(18, 19)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        self._client = httpx.Client(
            base_url=base_url, headers={"X-Forwarded-For": address}, verify=TLS, timeout=TIMEOUT
        )
        self.statuses: Statuses = Counter()
        self.token = ""

    def __enter__(self) -> Visitor:  # noqa: PYI034 - Self is not in typing before Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request; the JSON of a successful response, else None."""
        response = self._client.request(method, path, json=body)
        self.statuses[response.status_code] += 1
        return response.json() if response.is_success else None

    def log_in(self) -> Visitor:
        """Log in as the demo user."""
        credentials = {"email": DEMO_USER, "password": BlogSettings.from_env().demo_password}
        answer = self.ask("POST", "/api/auth/login", credentials)
        if answer is not None:
            self.token = answer["token"]
            self._client.headers["Authorization"] = f"Bearer {self.token}"
        return self

    def write(self, topic: str, *, provider: str = "openai") -> Any:
        """Generate an article; the draft, or None."""
        return self.ask("POST", "/api/content/generate", {"topic": topic, "provider": provider})

    def save(self, draft: Mapping[str, str] | None) -> int:
        """Save a draft; its id, or 0 without one."""
        answer = self.ask("POST", "/api/content/saved", draft) if draft else None
        return int(answer["content_id"]) if answer else 0


def subjects(rounds: int) -> Sequence[tuple[str, str]]:
    """Topic and provider of each article of a writer's session."""
    return [(TOPICS[number % len(TOPICS)], ("openai", "gemini")[number % 2]) for number in range(rounds)]


def normal(base_url: str, *, rounds: int = 1) -> Statuses:
    """A writer's session: everything works."""
    with Visitor(base_url).log_in() as writer:
        for number, (topic, provider) in enumerate(subjects(rounds)):
            writer.ask("POST", "/api/keywords/analyze", {"text": f"Everybody talks about {topic} these days"})
            writer.ask("POST", "/api/titles/generate", {"keyword": topic})
            content_id = writer.save(writer.write(topic, provider=provider))
            writer.ask("GET", "/api/content/saved")
            writer.ask("GET", f"/api/content/saved/{content_id}")
            writer.ask("POST", "/api/wordpress/publish", {"content_id": content_id})
            writer.ask("POST", "/api/secure/api-keys", {"service": provider, "key": f"{KEY_PREFIX}{number:08}"})
            writer.ask("GET", "/api/health")
        return writer.statuses


def lost(base_url: str, *, count: int = 3) -> Statuses:
    """404: paths without a route, an article that does not exist."""
    with Visitor(base_url).log_in() as visitor:
        for number in range(count):
            visitor.ask("GET", f"/wp-login-{number}.php")
            visitor.ask("GET", "/api/content/saved/999999")
        return visitor.statuses


def slow_topic(seconds: float = 2.2) -> str:
    """The topic of an article that takes so long."""
    return f"a long story [wait {seconds}]"


def slow(base_url: str, *, count: int = 1, seconds: float = 2.2) -> Statuses:
    """Articles that the AI provider generates slowly."""
    with Visitor(base_url).log_in() as writer:
        for _ in range(count):
            writer.write(slow_topic(seconds))
        return writer.statuses


def failing(base_url: str, *, count: int = 1) -> Statuses:
    """5xx of both kinds: the AI provider is overloaded (502), and the example's bug (500)."""
    return content_failures(base_url, count=count) + bugs(base_url, count=count)


def content_failures(base_url: str, *, count: int = 5) -> Statuses:
    """Articles for which the AI provider fails: 502 from `/api/content/generate`."""
    with Visitor(base_url).log_in() as writer:
        for _ in range(count):
            writer.write("an unlucky subject [fail]")
        return writer.statuses


def ai_limits(base_url: str, *, count: int = 8) -> Statuses:
    """Articles that the AI provider refuses for the rate of calls: it answers 429, and the blog 502."""
    with Visitor(base_url).log_in() as writer:
        for _ in range(count):
            writer.write("a popular subject [limit]")
        return writer.statuses


def bugs(base_url: str, *, count: int = 1) -> Statuses:
    """A page of zero articles, which the example divides by: 500 from `/api/content/saved`."""
    with Visitor(base_url).log_in() as writer:
        for _ in range(count):
            writer.ask("GET", "/api/content/saved?per_page=0")
        return writer.statuses


def repeated_queries(base_url: str, *, articles: int = 10) -> Statuses:
    """The page of what is published: one SQL statement for each article (N+1 queries)."""
    with Visitor(base_url).log_in() as writer:
        for number in range(articles):
            writer.save({"title": f"Note {number}", "body": "It is not published."})
        writer.ask("GET", "/api/wordpress/published")
        return writer.statuses


def wordpress_failures(base_url: str, *, count: int = 5) -> Statuses:
    """Articles that the WordPress site rejects."""
    with Visitor(base_url).log_in() as writer:
        content_id = writer.save({"title": "Unwanted [fail]", "body": "Nobody takes it."})
        for _ in range(count):
            writer.ask("POST", "/api/wordpress/publish", {"content_id": content_id})
        return writer.statuses


def api_key_failures(base_url: str, *, count: int = 6) -> Statuses:
    """API keys that cannot be stored: invalid (400), or impossible to check (502)."""
    with Visitor(base_url).log_in() as writer:
        for number in range(count):
            key = "unknown-key" if number % 2 else f"{KEY_PREFIX}[fail]"
            writer.ask("POST", "/api/secure/api-keys", {"service": "openai", "key": key})
        return writer.statuses


def blocking(base_url: str, *, count: int = 1, seconds: float = 0.5) -> Statuses:
    """Texts whose analysis blocks the event loop: every other request waits."""
    with Visitor(base_url) as writer:
        for _ in range(count):
            writer.ask("POST", "/api/keywords/analyze", {"text": f"a difficult text [block {seconds}]"})
        return writer.statuses


def failed_logins(base_url: str, *, count: int = 5) -> Statuses:
    """A password guessing attack."""
    with Visitor(base_url) as attacker:
        for number in range(count):
            attacker.ask("POST", "/api/auth/login", {"email": DEMO_USER, "password": f"guess {number}"})
        return attacker.statuses


def attacks(base_url: str, *, count: int = 3) -> Statuses:
    """A SQL injection attack."""
    with Visitor(base_url) as attacker:
        for _ in range(count):
            attacker.ask("GET", "/api/content/saved?page=1+UNION+SELECT+password_hash+FROM+users")
        return attacker.statuses


def rate_limited(base_url: str, *, requests: int = 90) -> Statuses:
    """Requests above the rate limit (429) until the client is blocked (403)."""
    with Visitor(base_url) as robot:
        for _ in range(requests):
            robot.ask("POST", "/api/titles/generate", {"keyword": "anything"})
        return robot.statuses


KINDS: Final[Mapping[str, Callable[[str], Statuses]]] = {
    function.__name__: function
    for function in (
        normal,
        lost,
        slow,
        failing,
        content_failures,
        ai_limits,
        bugs,
        repeated_queries,
        wordpress_failures,
        api_key_failures,
        blocking,
        failed_logins,
        attacks,
        rate_limited,
    )
}


def main() -> None:
    """Send the named kinds of traffic once, or repeatedly for some seconds."""
    parser = argparse.ArgumentParser(prog="python -m examples.traffic", description="Traffic for the example blog.")
    parser.add_argument("base_url", help="where the blog answers, such as http://localhost:8000")
    parser.add_argument("kinds", nargs="+", choices=KINDS, metavar="kind", help=", ".join(KINDS))
    parser.add_argument("--seconds", type=float, default=0.0, help="repeat for so long")
    chosen = parser.parse_args()
    deadline = time.monotonic() + chosen.seconds
    while True:
        for kind in chosen.kinds:
            print(f"{kind}: {summary(KINDS[kind](chosen.base_url))}")
        if time.monotonic() >= deadline:
            break


if __name__ == "__main__":
    main()
