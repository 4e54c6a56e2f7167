"""Pictures of the inspector's page: `python -m tools.inspector_pictures [NAME...]` writes docs/images/inspector/.

The example blog runs under `blogauto-otel dev` with traffic; a web front end (Node.js) and a service that repeats a
statement are added as OTLP messages. The machine needs Chromium and the fonts Inter, JetBrains Mono and Noto Sans CJK
(Debian: chromium fonts-inter fonts-jetbrains-mono fonts-noto-cjk).
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import httpx
from PIL import Image

from examples import traffic
from testkit import otlp
from testkit.browser import chromium
from testkit.inspector import SCRIPTS, InspectedBlog, inspected_blog
from testkit.otlp import CLIENT, SERVER
from testkit.processes import ROOT

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from playwright.sync_api import Browser, Page

TARGET: Final = ROOT / "docs" / "images" / "inspector"
MAX_BYTES: Final = 150_000
WIDE: Final = (1280, 760)
NARROW: Final = (400, 800)
EXACT: Final = 32
COLOURS: Final = 256  # of a palette

Colour = tuple[int, int, int]

WEB: Final = {"service.name": "web", "service.version": "2.3.0", "telemetry.sdk.language": "nodejs"}
SEARCH: Final = {"service.name": "search", "service.version": "0.9.1", "telemetry.sdk.language": "python"}


@dataclass(frozen=True)
class Picture:
    """One picture: where it goes, and what is done there before it is taken."""

    route: Callable[[Mapping[str, Any]], str]
    act: Callable[[Page], object] = lambda _page: None
    size: tuple[int, int] = WIDE
    options: Mapping[str, Any] = field(default_factory=dict)


DARK: Final = {"color_scheme": "dark"}
KOREAN: Final = {"locale": "ko-KR"}


def _view(route: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _found: f"#/{route}"


def _trace(name: str, *, tab: str = "", span: bool = False) -> Callable[[Mapping[str, Any]], str]:
    def route(found: Mapping[str, Any]) -> str:
        one = found[name]
        chosen = f"/{one['span_id']}" if span else ""
        return f"#/trace/{one['trace_id']}{chosen}{f'?tab={tab}' if tab else ''}"

    return route


def _choose(selector: str) -> Callable[[Page], object]:
    return lambda page: page.locator(selector).first.click()


def _explain(page: Page) -> None:
    page.locator(".wf-row.span", has=page.locator(".wf-name.sql")).nth(1).click()
    page.get_by_role("button", name="EXPLAIN").click()
    page.locator(".explain pre").wait_for()


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("gen")


PICTURES: Final[Mapping[str, Picture]] = {
    "metrics": Picture(_view("metrics?q=request"), options=DARK),
    "requests": Picture(_view("requests")),
    "requests-dark": Picture(_view("requests"), options=DARK),
    "requests.ko": Picture(_view("requests"), options=KOREAN),
    "filter": Picture(_view("requests?q=status>=500")),
    "endpoints": Picture(_view("endpoints")),
    "trace": Picture(_trace("generated")),
    "trace-dark": Picture(_trace("generated"), options=DARK),
    "exception": Picture(_trace("failed", span=True), options=DARK),
    "explain": Picture(_trace("read"), _explain),
    "repeated": Picture(_trace("repeated", tab="issues")),
    "repeated-waterfall": Picture(_trace("repeated"), _choose(".wf-row.run"), options=DARK),
    "errors": Picture(_view("errors"), _choose("tbody tr")),
    "logs": Picture(_view("logs"), options=DARK),
    "database": Picture(_view("database")),
    "services": Picture(_view("services")),
    "status": Picture(_view("status")),
    "palette": Picture(_view("requests"), _palette, options=DARK),
    "narrow-requests": Picture(_view("requests"), size=NARROW),
    "narrow-trace": Picture(_trace("generated"), size=NARROW, options=DARK),
    "narrow-korean": Picture(_trace("generated"), size=NARROW, options=KOREAN),
}


def _get(blog: InspectedBlog, path: str) -> Any:
    token = blog.address.partition("token=")[2]
    return httpx.get(blog.page + path, headers={"Authorization": f"Bearer {token}"}, verify=traffic.TLS).json()


def _child(parent: Span, name: str, *, kind: Any, start: float, seconds: float, **attributes: Any) -> Span:
    """A span that begins `start` seconds after its parent."""
    span = otlp.span(name, kind=kind, attributes=attributes)
    span.trace_id, span.parent_span_id = parent.trace_id, parent.span_id
    span.start_time_unix_nano = parent.start_time_unix_nano + int(start * 1e9)
    span.end_time_unix_nano = span.start_time_unix_nano + int(seconds * 1e9)
    return span


def _through_web(blog: InspectedBlog, endpoint: str, token: str, topic: str) -> None:
    """One article, requested from the blog by the web front end."""
    path = "/api/content/generate"
    page = otlp.span("POST /write", kind=SERVER, attributes={"http.request.method": "POST", "http.route": "/write"})
    call = _child(page, "POST", kind=CLIENT, start=0.002, seconds=0, **{"url.full": f"http://blog:8000{path}"})
    headers = {
        "Authorization": f"Bearer {token}",
        "traceparent": f"00-{page.trace_id.hex()}-{call.span_id.hex()}-01",
    }
    page.start_time_unix_nano = time.time_ns()
    call.start_time_unix_nano = page.start_time_unix_nano + 2_000_000
    httpx.post(blog.url + path, json={"topic": topic, "provider": "openai"}, headers=headers, verify=traffic.TLS)
    call.end_time_unix_nano = time.time_ns()
    page.end_time_unix_nano = call.end_time_unix_nano + 3_000_000
    page.attributes.extend(otlp.pairs({"http.response.status_code": 200}))
    call.attributes.extend(otlp.pairs({"http.request.method": "POST", "http.response.status_code": 200}))
    otlp.post(endpoint, otlp.traces([page, call], WEB))


def _repeating(endpoint: str) -> None:
    """A request of the service `search` that loads the author of each article alone."""
    request = otlp.span(
        "GET /api/search",
        attributes={
            "http.request.method": "GET",
            "http.route": "/api/search",
            "url.path": "/api/search",
            "http.response.status_code": 200,
        },
        seconds=0.094,
    )
    database = {"db.system.name": "postgresql", "db.namespace": "search", "code.file.path": "search/results.py"}
    articles = {
        **database,
        "db.query.text": "SELECT articles.id, articles.author_id FROM articles WHERE articles.title LIKE ?",
        "db.query.summary": "SELECT articles",
        "code.line.number": 31,
    }
    author = {
        **database,
        "db.query.text": "SELECT authors.id, authors.name FROM authors WHERE authors.id = ?",
        "db.query.summary": "SELECT authors",
        "code.line.number": 38,
    }
    spans = [_child(request, "SELECT articles", kind=CLIENT, start=0.004, seconds=0.009, **articles)]
    spans += [
        _child(request, "SELECT authors", kind=CLIENT, start=0.016 + 0.003 * number, seconds=0.002, **author)
        for number in range(24)
    ]
    otlp.post(endpoint, otlp.traces([*spans, request], SEARCH))


def _visit(blog: InspectedBlog) -> None:
    """Traffic of several kinds over some seconds."""
    endpoint = _get(blog, "/api/status")["endpoints"]["http"]
    with traffic.Visitor(blog.url).log_in() as writer:
        token = writer.token
    for number in range(6):
        traffic.normal(blog.url)
        if number % 2:
            traffic.failing(blog.url)
            _repeating(endpoint)
        _through_web(blog, endpoint, token, f"{traffic.TOPICS[number % 5]} [wait 0.{number + 1}]")
        time.sleep(0.7)
    traffic.lost(blog.url, count=1)
    traffic.slow(blog.url, seconds=1.3)
    traffic.wordpress_failures(blog.url, count=2)
    traffic.failed_logins(blog.url, count=1)
    traffic.normal(blog.url)
    _repeating(endpoint)
    traffic.bugs(blog.url)
    _through_web(blog, endpoint, token, f"{traffic.TOPICS[1]} [wait 0.4]")
    time.sleep(2)


def _found(blog: InspectedBlog) -> Mapping[str, Any]:
    """The requests that the pictures show."""
    requests = _get(blog, "/api/requests?limit=500")["requests"]

    def first(matches: Callable[[Mapping[str, Any]], bool]) -> Any:
        return next(filter(matches, requests))

    return {
        "generated": first(lambda one: one["service"] == "web"),
        "failed": first(lambda one: one["error_type"] == "ZeroDivisionError"),
        "read": first(lambda one: one["route"] == "/api/content/saved" and one["status"] == 200),
        "repeated": first(lambda one: one["repeated"] > 0),
    }


def _distance(one: Colour, other: Colour) -> int:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]), abs(one[2] - other[2]))


def _palette_of(colours: Sequence[Colour]) -> list[Colour]:
    """At most 256 of the colours: the commonest, which come first, and none of the others far from one of them."""
    kept: list[Colour] = []
    for distance in (10, 16, 24, 40):
        kept = list(colours[:EXACT])  # surfaces and lines
        for one in colours[EXACT:]:
            if all(_distance(one, other) >= distance for other in kept):
                kept.append(one)
        if len(kept) <= COLOURS:
            break
    return kept[:COLOURS]


def _optimised(shot: bytes) -> bytes:
    """The picture with a palette, small enough for a repository. Pillow's own palettes shift white and the greys."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    counted = sorted(image.getcolors(image.width * image.height) or [], reverse=True, key=lambda found: found[0])
    colours = [cast("Colour", colour) for _count, colour in counted]
    palette = _palette_of(colours)
    nearest = {one: min(range(len(palette)), key=lambda index: _distance(one, palette[index])) for one in colours}
    pixels = image.tobytes()
    indices = bytes(nearest[pixels[at], pixels[at + 1], pixels[at + 2]] for at in range(0, len(pixels), 3))
    drawn = Image.frombytes("P", image.size, indices)
    drawn.putpalette([channel for colour in palette for channel in colour])
    written = io.BytesIO()
    drawn.save(written, "PNG", optimize=True)
    return written.getvalue()


# Replaces folders of this machine in what is shown.
NEUTRAL: Final = """folders => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) for (const folder of folders) {
        const text = walk.currentNode.data;
        if (text.includes(folder)) walk.currentNode.data = text.replaceAll(folder, "/srv/blog");
    }
}"""


def _taken(browser: Browser, blog: InspectedBlog, picture: Picture, found: Mapping[str, Any]) -> bytes:
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=1.5, **{"locale": "en-GB", **picture.options}
    )
    try:
        page = context.new_page()
        page.goto(blog.address)
        page.wait_for_selector("main")
        page.evaluate("route => { location.hash = route }", picture.route(found))
        page.wait_for_timeout(1500)
        picture.act(page)
        page.wait_for_timeout(600)
        folders = [str(SCRIPTS), str(SCRIPTS.parents[1]), str(ROOT), str(blog.process.log.parent)]
        page.evaluate(NEUTRAL, folders)
        return _optimised(page.screenshot(animations="disabled"))
    finally:
        context.close()


def pictures(names: tuple[str, ...] = tuple(PICTURES)) -> Iterator[tuple[str, bytes]]:
    """Each picture by its name, as a PNG file."""
    with (
        tempfile.TemporaryDirectory(prefix="inspector-") as folder,
        inspected_blog(Path(folder), OTEL_METRIC_EXPORT_INTERVAL="1000") as blog,
        chromium() as browser,
    ):
        _visit(blog)
        found = _found(blog)
        for name in names:
            yield name, _taken(browser, blog, PICTURES[name], found)


def main() -> None:
    """Write the pictures; those that are too large end the run."""
    os.environ.setdefault("TZ", "Asia/Seoul")
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in pictures(tuple(sys.argv[1:]) or tuple(PICTURES)):
        if len(content) > MAX_BYTES:
            raise SystemExit(f"{name}: {len(content)} bytes, above {MAX_BYTES}")
        (TARGET / f"{name}.png").write_bytes(content)
        print(f"{name}.png  {len(content) // 1000} kB")


if __name__ == "__main__":
    main()
