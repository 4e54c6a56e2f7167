"""Hops at the application: it answers, it is instrumented, and it serves its metrics."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator

from blogauto_otel.cli.common import message
from blogauto_otel.cli.doctor.hop import Result, Run, broken, not_checked, ok, warning
from blogauto_otel.cli.doctor.server import address, ask, clock
from blogauto_otel.cli.doctor.web import fetch


def answers(run: Run) -> Iterator[Result]:
    """One request, in a trace of this command."""
    headers = {"traceparent": f"00-{run.trace_id}-{secrets.token_hex(8)}-01", "User-Agent": "blogauto-otel doctor"}
    headers.update(run.options.header)
    answer = ask(run, "application", run.options.path, seconds=10.0, headers=headers)
    run.answered_at = time.time()
    url = address(run, "application") + run.options.path
    yield ok("application", message("{url} answers {status}", url=url, status=answer.status))
    yield from clock(message("the application"), answer.date, run.answered_at)
    yield _instrumented(run, answer.headers.get("x-request-id"))


def _instrumented(run: Run, request_id: str | None) -> Result:
    run.request_id = request_id
    if request_id is None:
        return broken(
            "instrumentation",
            message("the answer has no X-Request-ID header: its process is not instrumented"),
            message("call blogauto_otel.configure() in the application, or start it with opentelemetry-instrument"),
        )
    path = run.options.path.partition("?")[0]
    if path in run.settings.untraced_routes:
        return warning(
            "instrumentation",
            message("{path} is never traced (BLOGAUTO_OTEL_UNTRACED_ROUTES)", path=path),
            message("pass --path with another route"),
        )
    run.traced = True
    return ok("instrumentation", message("request {id}", id=request_id))


def metrics(run: Run) -> Iterator[Result]:
    """The page that Prometheus may scrape, and who may read it."""
    path = run.settings.metrics_path
    if not run.answered_at:
        yield not_checked("metrics page", message("the application does not answer"))
        return
    if not path or path == "off":
        yield not_checked("metrics page", message("BLOGAUTO_OTEL_METRICS_PATH is off"))
        return
    url, token = address(run, "application") + path, run.settings.metrics_token
    answer = fetch(url, timeout=run.seconds(5.0), headers={"Authorization": f"Bearer {token}"} if token else {})
    series = set(re.findall(rb"^(\w+)", answer.body, re.MULTILINE))
    name = f"{run.settings.namespace}_api_requests_total"
    if answer.status == 200 and name.encode() in series:
        found = message("{url}: {count} metrics", url=url, count=len(series))
        yield ok("metrics page", f"{found}; {_readers(run)}")
    elif answer.status == 200:
        yield broken(
            "metrics page",
            message("{url} has no {name}", url=url, name=name),
            message("give this command the application's BLOGAUTO_OTEL_NAMESPACE; or the page is another library's"),
        )
    elif answer.status in (401, 403):
        yield warning(
            "metrics page",
            message("{url} answers {status}", url=url, status=answer.status),
            message(
                "set BLOGAUTO_OTEL_METRICS_TOKEN here as in the application; without it production answers private"
                " networks only"
            ),
        )
    else:
        status = answer.status or answer.error
        yield warning(
            "metrics page",
            message("{url} answers {status}", url=url, status=status),
            message("see BLOGAUTO_OTEL_METRICS_PATH"),
        )


def _readers(run: Run) -> str:
    if run.settings.metrics_token is not None:
        return message("for clients with the token")
    return message("for private networks") if run.settings.production else message("for everyone, outside production")
