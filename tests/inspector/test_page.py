"""The inspector's page in a real Chromium: what it shows of an application, and that it stays inside its bounds."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from examples import traffic
from testkit import otlp
from testkit.browser import chromium
from testkit.inspector import InspectedBlog, inspected_blog
from testkit.otlp import event, histogram, logs, metrics, pairs, record, traces
from testkit.processes import ROOT, get
from tests.inspector import server
from tests.inspector.server import below, select

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Locator, Page, Route

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chromium")]

VIEWS = ("requests", "endpoints", "errors", "logs", "database", "metrics", "services", "status")
TIMEOUT_MS = 20_000  # milliseconds; a loaded machine
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectedBlog]:
    """The example after some traffic: successful, failing, slow."""
    with inspected_blog(tmp_path_factory.mktemp("blog")) as started:
        traffic.normal(started.url)
        traffic.failing(started.url)
        traffic.slow(started.url, seconds=1.2)
        yield started


@contextlib.contextmanager
def visit(
    browser: Browser, address: str, *, width: int = 1360, height: int = 820, expected: str = "nothing", **options: Any
) -> Iterator[Page]:
    """Open an address with a fresh profile; at the end nothing may have gone wrong in the browser.

    No error in the console (the Content-Security-Policy reports there) other than the expected one, no dialog, no
    request to elsewhere.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **{"locale": "en-GB", **options})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    wrong: list[str] = []
    origin = address.partition("?")[0]

    def elsewhere(url: str) -> list[str]:
        return [] if url.startswith((origin, "data:")) else [f"request to {url}"]

    def dismiss(dialog: Dialog) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", lambda message: wrong.extend([message.text] if message.type in {"error", "warning"} else []))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", dismiss)
    page.on("request", lambda request: wrong.extend(elsewhere(request.url)))
    try:
        page.goto(address)
        page.wait_for_selector("main")
        yield page
        assert [text for text in wrong if expected not in text] == []
    finally:
        context.close()


def go(page: Page, route: str) -> None:
    page.evaluate("route => { location.hash = route }", route)


def row(page: Page, text: str) -> Locator:
    return page.locator(".request-row:not(.head)", has_text=text).first


def shows(locator: Locator, *, seconds: float = TIMEOUT_MS / 1000) -> None:
    locator.first.wait_for(state="visible", timeout=seconds * 1000)


# --- a running application --------------------------------------------------------------------------------------------


def test_a_request_appears_within_a_second(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address) as page:
        shows(row(page, "/api/content/saved"))
        waits = []
        for number in range(3):
            assert get(f"{blog.url}/nowhere-{number}")[0] == 404
            began = time.monotonic()
            shows(row(page, f"/nowhere-{number}"))
            waits.append(time.monotonic() - began)
        assert min(waits) < 1.0, waits


def test_a_failed_request_shows_its_statements_log_records_and_exception(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address) as page:
        failed = row(page, "ZeroDivisionError")
        shows(failed.locator(".status.error", has_text="500"))
        failed.click()
        waterfall = page.locator(".waterfall")
        shows(waterfall.locator(".wf-name.sql", has_text="SELECT"))
        shows(waterfall.locator(".wf-row.log", has_text="Exception in ASGI application"))
        shows(page.locator(".failure", has_text="ZeroDivisionError"))
        shows(page.locator(".stack", has_text="examples/blog/writing.py"))
        page.get_by_role("tab", name="Issues").click()
        shows(page.locator(".issue.exception", has_text="ZeroDivisionError"))
        page.get_by_role("tab", name="Logs").click()
        shows(page.locator("td", has_text="Exception in ASGI application"))


def test_a_slow_request_shows_the_outgoing_call_that_took_the_time(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address) as page:
        page.locator(".chip", has_text="Slow").click()
        shows(page.locator(".result-count", has_text="found"))
        slow = row(page, "/api/content/generate")
        shows(slow.locator(".duration.slow"))
        assert "is:slow" in page.url
        slow.click()
        shows(page.locator(".wf-row.span", has_text="content.generate"))
        shows(page.locator(".wf-peer", has_text="127.0.0.1"))


def test_a_statement_is_formatted_and_explained(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address) as page:
        row(page, "/api/content/saved").click()
        page.locator(".wf-row.span", has=page.locator(".wf-name.sql")).first.click()
        shows(page.locator(".detail pre.code .sql-keyword", has_text="SELECT"))
        assert "\n" in page.locator(".detail pre.code").first.inner_text().strip()
        page.get_by_role("button", name="EXPLAIN").click()
        shows(page.locator(".explain pre", has_text=re.compile("SEARCH|SCAN")))


def test_an_address_of_a_trace_can_be_shared(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address) as page:
        row(page, "ZeroDivisionError").click()
        shows(page.locator(".failure"))
        page.get_by_role("tab", name="Request").click()
        shows(page.locator("dd", has_text="/api/content/saved"))
        shared = page.url
        page.reload()
        shows(page.locator("dd", has_text="/api/content/saved"))
    with visit(browser, blog.address) as page:
        page.goto(shared)
        shows(page.locator("dd", has_text="/api/content/saved"))


def test_every_view_shows_what_it_is_for(browser: Browser, blog: InspectedBlog) -> None:
    wanted = {
        "endpoints": ("td", "/api/content/generate"),
        "errors": ("td", "ZeroDivisionError"),
        "logs": (".log-row", "saved article"),
        "database": ("td", "SELECT"),
        "metrics": (".metric", "blogauto.api.request.duration"),
        "services": (".node-name", "blog"),
        "status": (".process", "blog"),
    }
    with visit(browser, blog.address) as page:
        for view, (selector, text) in wanted.items():
            page.locator(f".nav-group a[href='#/{view}']").click()
            shows(page.locator(selector, has_text=text))


def test_the_page_says_that_the_server_is_gone(browser: Browser) -> None:
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(server.page())
        with visit(browser, served.running.address, expected="ERR_") as page:
            shows(page.locator(".side-bar .live.live", has_text="Live"))
            stack.close()
            shows(page.locator(".offline", has_text="connection"))
            shows(page.locator(".side-bar .live.lost"))


# --- keyboard, language, size -----------------------------------------------------------------------------------------


def test_everything_is_reached_by_keyboard(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address) as page:
        shows(row(page, "/api/"))
        page.keyboard.press("/")
        page.keyboard.insert_text("status>=5")  # in one piece: a part of it may be wrong
        shows(page.locator(".suggestions code", has_text="status>=500"))
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        shows(page.locator(".result-count", has_text="found"))
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        shows(page.locator(".request-row.selected"))
        page.keyboard.press("Enter")
        shows(page.locator(".waterfall .wf-row.span"))
        page.keyboard.press("]")
        shows(page.get_by_role("tab", name="Statements", selected=True))
        page.keyboard.press("Escape")  # the details
        page.keyboard.press("Escape")
        shows(page.locator(".request-list"))
        assert "status" in page.url
        page.keyboard.press("?")
        shows(page.locator("dialog.help"))
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        page.keyboard.type("metr")
        page.keyboard.press("Enter")
        page.wait_for_url("**/#/metrics*")


def test_the_palette_opens_a_trace_by_its_id(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address) as page:
        link = row(page, "ZeroDivisionError").get_attribute("href") or ""
        trace_id = link.split("/")[2]
        page.keyboard.press("Control+k")
        page.keyboard.type(trace_id)
        page.keyboard.press("Enter")
        shows(page.locator(".waterfall .wf-row.span"))
        assert trace_id in page.url


def test_a_wrong_word_of_the_filter_is_explained(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address, expected="400 (Bad Request)") as page:
        page.locator(".filter input").fill("status>=abc")
        shows(page.locator(".filter-error", has_text="status"))
        shows(row(page, "/api/"))  # the list stays


def test_korean_leaves_no_english_text(browser: Browser, blog: InspectedBlog) -> None:
    table = (ROOT / "inspector-page" / "src" / "texts.ts").read_text(encoding="utf-8")
    pairs = re.findall(r'^  \w+: \["(.*?)", "(.*?)"\],$', table, re.MULTILINE)
    english = {one for one, other in pairs if one != other and "{" not in one}
    assert len(english) > 100
    with visit(browser, blog.address, locale="ko-KR") as page:
        for view in VIEWS:
            go(page, f"#/{view}")
            page.wait_for_timeout(700)
            shown = page.evaluate(
                "[...document.querySelectorAll('.side-bar a span, button, th, h1, h2, h3, dt, option, label, .badge')]"
                ".map(one => one.textContent.trim())"
            )
            data = {"database", "logs", "status", "system", "on", "off", "error"}  # also names in the telemetry
            assert english.intersection(shown) - data == set(), view
        page.get_by_role("button", name="언어").click()
        shows(page.locator(".side-bar a", has_text="Requests"))
        page.reload()
        shows(page.locator(".side-bar a", has_text="Requests"))


def test_no_view_scrolls_sideways_at_400_pixels(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address, width=400, height=800) as page:
        link = page.locator("a.request-card", has_text="ZeroDivisionError").first.get_attribute("href") or ""
        routes = [f"#/{view}" for view in VIEWS] + [link, f"{link}?tab=statements", f"{link}?tab=issues"]
        for route in routes:
            go(page, route)
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, route
            cut = page.evaluate(
                "[...document.querySelectorAll('main .view, main .split, .detail, .filter, .trace-head')]"
                ".filter(one => one.getBoundingClientRect().right > 401).map(one => one.className)"
            )
            assert cut == [], route


def test_views_use_the_room_of_2000_pixels(browser: Browser, blog: InspectedBlog) -> None:
    with visit(browser, blog.address, width=2000, height=1200) as page:
        for view in VIEWS:
            go(page, f"#/{view}")
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= 2000, view
            right = page.locator("main").evaluate("one => one.getBoundingClientRect().right")
            assert right >= 1990, view


def test_the_theme_follows_the_system_and_can_be_chosen(browser: Browser, blog: InspectedBlog) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with visit(browser, blog.address, color_scheme="dark") as page:
        dark = page.evaluate(background)
        page.keyboard.press("t")
        page.wait_for_function("document.documentElement.dataset.theme === 'light'")
        assert page.evaluate(background) == "rgb(255, 255, 255)" != dark
        page.reload()
        page.wait_for_selector("main")
        assert page.evaluate(background) == "rgb(255, 255, 255)"


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_hostile_telemetry_is_text(browser: Browser) -> None:
    request = server.get(f"/{HOSTILE}", status=500)
    request.attributes.extend(pairs({HOSTILE: HOSTILE, "exception.note": [HOSTILE]}))
    request.name = HOSTILE
    request.status.code, request.status.message = otlp.ERROR, HOSTILE
    failure = {"exception.type": HOSTILE, "exception.message": HOSTILE, "exception.stacktrace": HOSTILE}
    request.events.append(event("exception", failure))
    statement = select(request, f"SELECT '{HOSTILE}' FROM \"{HOSTILE}\"")
    line = record(HOSTILE, severity=17, text=HOSTILE, attributes={HOSTILE: HOSTILE})
    line.trace_id, line.span_id = request.trace_id, request.span_id
    resource = {"service.name": HOSTILE, "service.version": HOSTILE, "telemetry.sdk.language": HOSTILE}
    with server.page() as served:
        served.send(
            traces([request, statement], resource),
            logs([line], resource),
            metrics([histogram(HOSTILE, [0.1], [0.05, 1], {HOSTILE: HOSTILE}, unit=HOSTILE)], resource),
        )
        with visit(browser, served.running.address) as page:
            trace = f"#/trace/{request.trace_id.hex()}"
            tabs = [f"{trace}?tab={tab}" for tab in ("statements", "logs", "issues", "request")]
            for route in [*(f"#/{view}" for view in VIEWS), f"{trace}/{request.span_id.hex()}", *tabs]:
                go(page, route)
                shows(page.locator("main", has_text="onerror=alert"))
                for one in page.locator("tbody tr, button.log-row").all()[:1]:
                    one.click()
                    shows(page.locator(".detail"))
            assert page.locator("img, main script, iframe, object").count() == 0
            go(page, f"#/requests?q={HOSTILE.replace(' ', '%20')}")
            page.wait_for_timeout(500)


def test_five_thousand_spans_in_one_trace_stay_usable(browser: Browser) -> None:
    request = server.get("/many", seconds=5.0)
    spans = [
        below(request, otlp.span(f"step {number}", kind=Span.SPAN_KIND_INTERNAL, seconds=4.0)) for number in range(5000)
    ]
    for number, span in enumerate(spans):
        span.start_time_unix_nano += number * 100_000
    with server.page() as served:
        served.send(*(traces(spans[at : at + 500]) for at in range(0, 5000, 500)), traces([request]))
        with visit(browser, served.running.address) as page:
            row(page, "/many").click()
            shows(page.locator(".tab-count", has_text="5001"))
            began = time.monotonic()
            page.locator(".waterfall").evaluate("one => { one.scrollTop = one.scrollHeight }")
            shows(page.locator(".wf-row", has_text="step 4999"))
            assert time.monotonic() - began < 2.0
            assert page.locator(".wf-row").count() < 100
            page.keyboard.press("j")
            shows(page.locator(".wf-row.selected"))


def test_a_list_of_five_thousand_requests_is_loaded_in_pages(browser: Browser) -> None:
    requests = [server.get(f"/item-{number}", seconds=0.01) for number in range(5000)]
    for number, one in enumerate(requests):
        one.start_time_unix_nano += number * 1_000_000 - 6_000_000_000
        one.end_time_unix_nano = one.start_time_unix_nano + 5_000_000
    with server.page() as served:
        served.send(*(traces(requests[at : at + 500]) for at in range(0, 5000, 500)))
        with visit(browser, served.running.address) as page:
            shows(row(page, "/item-4999"))
            first = page.locator(".request-row .main", has_text=re.compile(r"^/item-0$"))
            deadline = time.monotonic() + 60
            while not first.count() and time.monotonic() < deadline:
                page.locator(".request-list").evaluate("one => { one.scrollTop = one.scrollHeight }")
                page.wait_for_timeout(50)
            shows(first)
            assert page.locator(".request-row").count() < 100


def test_new_requests_wait_while_the_reader_looks_at_older_ones(browser: Browser) -> None:
    with server.page() as served:
        served.send(traces([server.get(f"/old-{number}") for number in range(60)]))
        with visit(browser, served.running.address) as page:
            shows(row(page, "/old-"))
            page.locator(".request-list").evaluate("one => { one.scrollTop = 400 }")
            page.wait_for_timeout(200)
            served.send(traces([server.get("/new")]))
            fresh = page.locator(".fresh")
            shows(fresh)
            assert row(page, "/new").count() == 0
            fresh.click()
            shows(row(page, "/new"))


def test_a_choice_made_before_the_filtered_list_is_there_is_one_of_that_list(browser: Browser) -> None:
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    bad = server.get("/bad", status=500)
    bad.start_time_unix_nano -= 1_000_000_000  # the second of the list
    with server.page() as served:
        served.send(traces([server.get("/good"), bad]))
        with visit(browser, served.running.address) as page:
            shows(row(page, "/good"))
            page.route(re.compile(r"/api/requests\?.*status.*500"), hold, times=1)
            page.locator(".filter input").fill("status:500")
            page.keyboard.press("Escape")
            page.keyboard.press("j")
            shows(page.locator(".request-row.selected", has_text="/good"))
            deadline = time.monotonic() + 20
            while not waiting and time.monotonic() < deadline:
                page.wait_for_timeout(20)
            waiting[0].continue_()
            shows(page.locator(".request-row.selected", has_text="/bad"))
            page.keyboard.press("Enter")
            shows(page.locator(".trace-title", has_text="/bad"))


def test_a_filter_that_excludes_what_was_chosen_ends_the_choice(browser: Browser) -> None:
    with server.page() as served:
        served.send(traces([server.get("/good"), server.get("/bad", status=500)]))
        with visit(browser, served.running.address) as page:
            shows(row(page, "/good"))
            while not page.locator(".request-row.selected", has_text="/good").count():
                page.keyboard.press("j")
            page.get_by_role("button", name="5xx").click()
            row(page, "/good").wait_for(state="detached")
            page.keyboard.press("Enter")
            page.keyboard.press("Escape")  # nothing is chosen: the first one clears the filter
            shows(row(page, "/good"))
            assert page.locator(".request-row.selected").count() == 0


def test_what_is_chosen_can_be_opened_after_a_burst_has_pushed_it_out_of_the_list(browser: Browser) -> None:
    with server.page() as served:
        served.send(traces([server.get("/chosen")]))
        with visit(browser, served.running.address) as page:
            shows(row(page, "/chosen"))
            page.keyboard.press("j")
            shows(page.locator(".request-row.selected", has_text="/chosen"))
            served.send(traces([server.get(f"/new-{number}") for number in range(300)]))
            shows(row(page, "/new-"))
            assert row(page, "/chosen").count() == 0
            page.keyboard.press("Enter")
            shows(page.locator(".trace-title", has_text="/chosen"))


def test_an_exemplar_opens_its_trace(browser: Browser) -> None:
    request = server.get("/measured")
    point = histogram("http.server.request.duration", [0.4], [0.1, 0.5, 1], trace_id=request.trace_id)
    with server.page() as served:
        served.send(traces([request]), metrics([point]))
        time.sleep(1.1)
        served.send(metrics([histogram("http.server.request.duration", [0.4, 0.3], [0.1, 0.5, 1])]))
        with visit(browser, served.running.address) as page:
            go(page, "#/metrics")
            plot = page.locator(".plot .u-over").first
            shows(plot)
            page.wait_for_timeout(500)
            box = plot.bounding_box()
            assert box is not None
            for x in range(0, int(box["width"]), 6):
                for y in range(0, int(box["height"]), 8):
                    page.mouse.move(box["x"] + x, box["y"] + y)
                    if "Exemplar" in (page.locator(".plot .tip").first.text_content() or ""):
                        page.mouse.click(box["x"] + x, box["y"] + y)
                        shows(page.locator(".trace-title", has_text="/measured"))
                        return
            pytest.fail("no exemplar in the chart")


def test_the_store_is_cleared_after_a_second_click(browser: Browser) -> None:
    with server.page() as served:
        served.send(traces([server.get("/here")]))
        with visit(browser, served.running.address) as page:
            go(page, "#/status")
            page.get_by_role("button", name="Clear the store").click()
            assert served.get("/api/requests")["total"] == 1
            page.get_by_role("button", name="Remove everything?").click()
            go(page, "#/requests")
            shows(page.locator(".empty-title", has_text="Waiting for the first request"))


def test_the_static_files_are_those_that_the_page_names(tmp_path: Path) -> None:
    folder = ROOT / "blogauto_otel" / "inspector" / "static"
    page = (folder / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert (folder / name.lstrip("/")).is_file(), name
    assert re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page) is None  # the Content-Security-Policy
