"""Hops at the application: it answers, it is instrumented, and it serves its metrics."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator

from blogauto_otel.cli.doctor.hop import Result, Run, broken, clock_difference, not_checked, ok, warning
from blogauto_otel.cli.doctor.web import fetch


def answers(run: Run) -> Iterator[Result]:
    """One request, in a trace of this command."""
    base = run.options.app
    if base is None:
        run.traced = False
        yield not_checked("application", "pass --app http://localhost:8000")
        return
    url = base + run.options.path
    headers = {"traceparent": f"00-{run.trace_id}-{secrets.token_hex(8)}-01", "User-Agent": "blogauto-otel doctor"}
    headers.update(run.options.header)
    answer = fetch(url, timeout=run.seconds(10.0), headers=headers)
    if answer.status == 0:
        run.traced = False
        yield broken("application", f"{url}: {answer.error}", "start the application, or correct --app")
        return
    run.answered_at = time.time()
    yield ok("application", f"{url} answers {answer.status}")
    difference = (
        None if answer.date is None else clock_difference("clock", "the application", answer.date - time.time())
    )
    if difference is not None:
        yield difference
    yield _instrumented(run, answer.headers.get("x-request-id"))


def _instrumented(run: Run, request_id: str | None) -> Result:
    run.request_id = request_id
    if request_id is None:
        run.traced = False
        return broken(
            "instrumentation",
            "the answer has no X-Request-ID header: its process is not instrumented",
            "call blogauto_otel.configure() in the application, or start it with opentelemetry-instrument",
        )
    path = run.options.path.partition("?")[0]
    if path in run.settings.untraced_routes:
        run.traced = False
        return warning(
            "instrumentation",
            f"{path} is never traced (BLOGAUTO_OTEL_UNTRACED_ROUTES)",
            "pass --path with another route",
        )
    return ok("instrumentation", f"request {request_id}")


def metrics(run: Run) -> Iterator[Result]:
    """The page that Prometheus may scrape."""
    path, base = run.settings.metrics_path, run.options.app
    if not base or not run.answered_at or not path or path == "off":
        yield not_checked("metrics page", "off" if base and run.answered_at else "the application does not answer")
        return
    token = run.settings.metrics_token
    answer = fetch(base + path, timeout=run.seconds(5.0), headers={"Authorization": f"Bearer {token}"} if token else {})
    series = re.findall(rb"^(\w+)", answer.body, re.MULTILINE)
    name = f"{run.settings.namespace}_api_requests_total"
    if answer.status == 200 and name.encode() in series:
        yield ok("metrics page", f"{base}{path}: {len(set(series))} metrics")
    elif answer.status == 200:
        yield broken(
            "metrics page",
            f"{base}{path} has no {name}",
            "give this command the application's BLOGAUTO_OTEL_NAMESPACE; or the page is another library's",
        )
    elif answer.status in (401, 403):
        yield warning(
            "metrics page",
            f"{base}{path} answers {answer.status}",
            "set BLOGAUTO_OTEL_METRICS_TOKEN here as in the application; without it production answers private networks only",
        )
    else:
        yield warning(
            "metrics page", f"{base}{path} answers {answer.status or answer.error}", "see BLOGAUTO_OTEL_METRICS_PATH"
        )
