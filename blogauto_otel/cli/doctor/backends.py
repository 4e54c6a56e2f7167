"""Hops behind the Collector: the request of this command in Jaeger, Prometheus, Loki, Sentry, and Grafana's boards."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from blogauto_otel.cli.common import message
from blogauto_otel.cli.doctor.hop import Result, Run, broken, not_checked, ok, waiting, warning
from blogauto_otel.cli.doctor.server import address, ask, ask_backend, clock, unreachable
from blogauto_otel.cli.doctor.web import fetch

T = TypeVar("T")

WAIT_SECONDS: Final = 10.0  # for what the Collector and the backends pass on in batches
_EVERY: Final = 0.5


def _eventually(run: Run, hop: str, ask: Callable[[], T | None]) -> T | None:
    """The first answer that is not None, within the time to wait."""
    seconds = run.seconds(WAIT_SECONDS)
    until = time.monotonic() + seconds
    found = ask()
    if found is None:
        waiting(hop, seconds)
    while found is None and time.monotonic() < until:
        time.sleep(_EVERY)
        found = ask()
    return found


# --- Jaeger ----------------------------------------------------------------------------------------------------------


def jaeger(run: Run) -> Iterator[Result]:
    """The trace of the request, with its SQL, once."""
    ask_backend(run, "jaeger", "/api/services")
    if not run.traced:
        yield not_checked("jaeger", message("it answers; there is no request to look for"))
        return
    trace = _eventually(run, "jaeger", lambda: _trace(run, address(run, "jaeger")))
    if trace is None:
        yield broken(
            "jaeger",
            message("trace {id} is not there", id=run.trace_id),
            message(
                "the application or the Collector does not pass traces on: check the application's endpoint and"
                " sampling, and the exporters of the Collector's traces pipeline"
            ),
        )
        return
    yield from _examined(run, trace)


def _trace(run: Run, url: str) -> Mapping[str, Any] | None:
    """By trace id; by request id where the application does not trust this client's trace."""
    tags = json.dumps({"request.id": run.request_id})
    search = urlencode({"service": run.settings.service_name, "tags": tags, "limit": 1, "lookback": "1h"})
    for query in (f"{url}/api/traces/{run.trace_id}", f"{url}/api/traces?{search}"):
        document = fetch(query, timeout=run.seconds(3.0)).json()
        if isinstance(document, dict) and document.get("data"):
            found: Mapping[str, Any] = document["data"][0]
            return found
    return None


def _examined(run: Run, trace: Mapping[str, Any]) -> Iterator[Result]:
    spans: list[Mapping[str, Any]] = trace["spans"]
    tags = [{tag["key"]: tag["value"] for tag in span.get("tags", ())} for span in spans]
    servers = [span for span, tag in zip(spans, tags, strict=True) if tag.get("span.kind") == "server"]
    by_process: dict[str, set[str]] = {}
    for span, tag in zip(spans, tags, strict=True):
        if tag.get("span.kind") == "server":
            by_process.setdefault(span["processID"], set()).add(
                str(tag.get("otel.scope.name", tag.get("otel.library.name")))
            )
    doubled = [sorted(scopes) for scopes in by_process.values() if len(scopes) > 1]
    if doubled:
        yield broken(
            "trace",
            message("two instrumentations make a server span each: {scopes}", scopes=", ".join(doubled[0])),
            message("remove the other one, or let it make the spans: BLOGAUTO_OTEL_REQUESTS=off"),
        )
        return
    statements = sum("db.system.name" in tag or "db.system" in tag for tag in tags)
    process = trace["processes"][servers[0]["processID"]] if servers else {"tags": []}
    instance = next((tag["value"] for tag in process["tags"] if tag["key"] == "service.instance.id"), "unknown")
    found = {"id": trace["traceID"], "spans": len(spans), "statements": statements, "instance": instance}
    yield ok("jaeger", message("trace {id}: {spans} spans, {statements} statements, by instance {instance}", **found))
    started = min(span["startTime"] for span in spans) / 1e6
    yield from clock(message("the application"), started, run.answered_at)


# --- Prometheus ------------------------------------------------------------------------------------------------------


def prometheus(run: Run) -> Iterator[Result]:
    """Targets, clock, the series of requests with exemplars, and alert rules."""
    targets = ask_backend(run, "prometheus", "/api/v1/targets?state=active")
    url = address(run, "prometheus")
    yield _targets(targets.json()["data"]["activeTargets"])
    now = _query(run, url, "time()")
    yield from clock("Prometheus", None if now is None else float(now[1]), time.time())
    yield from _series(run, url)
    yield _rules(run, url)


def _targets(targets: list[Mapping[str, Any]]) -> Result:
    down = [
        f"{target['scrapePool']} ({target.get('lastError', '')})" for target in targets if target["health"] == "down"
    ]
    if down:
        return broken(
            "prometheus targets",
            message("down: {targets}", targets=", ".join(down)),
            message("start the target, or correct its address in prometheus.yml"),
        )
    return ok("prometheus targets", message("{count} up", count=len(targets)))


def _query(run: Run, url: str, promql: str) -> Any:
    document = fetch(f"{url}/api/v1/query?{urlencode({'query': promql})}", timeout=run.seconds(3.0)).json()
    return document["data"]["result"] if isinstance(document, dict) and document.get("status") == "success" else None


def _series(run: Run, url: str) -> Iterator[Result]:
    name = f"{run.settings.namespace}_api_requests_total"
    selector = f'{name}{{job=~"(.*/)?{run.settings.service_name}"}}'
    found = _eventually(run, "prometheus", lambda: _query(run, url, selector) or None)
    if not found:
        yield broken(
            "prometheus",
            message("it has no {series}", series=selector),
            message(
                "Prometheus scrapes neither the Collector nor the application: add the target, or the exporter of the"
                " Collector's metrics pipeline"
            ),
        )
        return
    yield ok("prometheus", message("{count} series of {name}", count=len(found), name=name))
    bucket = f"{run.settings.namespace}_api_request_duration_seconds_bucket"
    asked = urlencode({"query": bucket, "start": time.time() - 3600, "end": time.time() + 60})
    document = fetch(f"{url}/api/v1/query_exemplars?{asked}", timeout=run.seconds(3.0)).json()
    if isinstance(document, dict) and document.get("data"):
        yield ok("exemplars", message("on {count} series", count=len(document["data"])))
    else:
        yield warning(
            "exemplars",
            message("none within an hour"),
            message("start Prometheus with --enable-feature=exemplar-storage; unsampled requests have none"),
        )


def _rules(run: Run, url: str) -> Result:
    document = fetch(f"{url}/api/v1/rules?type=alert", timeout=run.seconds(3.0)).json()
    groups = document["data"]["groups"] if isinstance(document, dict) and "data" in document else []
    rules = [rule for group in groups for rule in group["rules"]]
    failing = [rule["name"] for rule in rules if rule.get("health") == "err"]
    if failing:
        return broken(
            "alerts",
            message("rules that cannot be evaluated: {rules}", rules=", ".join(failing)),
            message("look at lastError on the page /alerts of Prometheus"),
        )
    if not rules:
        return warning(
            "alerts",
            message("no alert rule is loaded"),
            message("add the files of collector/backends/prometheus/rules/en to rule_files"),
        )
    return ok("alerts", message("{count} rules", count=len(rules)))


# --- Loki, Grafana, Sentry -------------------------------------------------------------------------------------------


def loki(run: Run) -> Iterator[Result]:
    """Log records of the request's trace."""
    ask_backend(run, "loki", "/loki/api/v1/labels")
    if not run.answered_at:
        yield not_checked("loki", message("it answers; there is no request to look for"))
        return
    query = f'{{service_name="{run.settings.service_name}"}} | trace_id="{run.trace_id}"'
    asked = f"{address(run, 'loki')}/loki/api/v1/query_range?{urlencode({'query': query, 'limit': 1})}"
    found = _eventually(
        run, "loki", lambda: (fetch(asked, timeout=run.seconds(3.0)).json() or {}).get("data", {}).get("result") or None
    )
    if found:
        yield ok("loki", message("a record of trace {id}", id=run.trace_id))
    else:
        yield warning(
            "loki",
            message("no record of trace {id}", id=run.trace_id),
            message("choose --path with a route that logs; else check the exporters of the Collector's logs pipeline"),
        )


def grafana(run: Run) -> Iterator[Result]:
    """The boards; with GRAFANA_TOKEN, where Grafana wants one."""
    token = os.environ.get("GRAFANA_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = ask(run, "grafana", "/api/search?type=dash-db&limit=500", headers=headers)
    url = address(run, "grafana")
    if answer.status in (401, 403):
        yield warning(
            "grafana",
            message("{url} answers {status}", url=url, status=answer.status),
            message("set GRAFANA_TOKEN to a service account token"),
        )
        return
    if answer.status != 200:
        yield unreachable("grafana", url, answer)
        return
    boards = [board["uid"] for board in answer.json() or () if str(board.get("uid", "")).startswith("blogauto-")]
    if boards:
        yield ok("grafana", message("{count} boards", count=len(boards)))
    else:
        yield broken(
            "grafana",
            message("it has no blogauto-* board"),
            message("provision collector/backends/grafana, see collector/README.md"),
        )


def sentry(run: Run) -> Iterator[Result]:
    """An event of this command in the request's trace, by the DSN; read back with SENTRY_AUTH_TOKEN."""
    dsn = run.options.sentry_dsn or os.environ.get("SENTRY_DSN")
    if not dsn:
        yield not_checked("sentry", message("pass --sentry-dsn, or set SENTRY_DSN"))
        return
    parts = urlsplit(dsn)
    base, _, project = parts.path.rpartition("/")
    host = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{base}"
    answer = fetch(
        f"{host}/api/{quote(project)}/envelope/",
        timeout=run.seconds(5.0),
        headers={
            "Content-Type": "application/x-sentry-envelope",
            "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_client=blogauto-otel-doctor/1, sentry_key={parts.username}",
        },
        body=_envelope(run),
    )
    if answer.status != 200:
        yield broken(
            "sentry",
            f"{host}: {answer.error or f'{answer.status} {answer.text}'}",
            message("correct the DSN; 401 and 403 mean that its key or project is wrong"),
        )
        return
    token, organization = os.environ.get("SENTRY_AUTH_TOKEN"), run.options.sentry_org
    if not token or not organization:
        yield ok(
            "sentry",
            message(
                "accepted an event of trace {id}; with SENTRY_AUTH_TOKEN and --sentry-org it is read back",
                id=run.trace_id,
            ),
        )
        return
    read = f"{host}/api/0/projects/{quote(organization)}/{quote(project)}/events/{run.trace_id}/"
    headers = {"Authorization": f"Bearer {token}"}
    stored = _eventually(
        run, "sentry", lambda: fetch(read, timeout=run.seconds(3.0), headers=headers).status == 200 or None
    )
    yield (
        ok("sentry", message("has the event of trace {id}", id=run.trace_id))
        if stored
        else broken(
            "sentry",
            message("it accepted event {id} and does not show it", id=run.trace_id),
            message("check quotas and inbound filters of the project, and the token's scope (event:read)"),
        )
    )


def _envelope(run: Run) -> bytes:
    """An informational event whose id is the trace id."""
    event = {
        "event_id": run.trace_id,
        "timestamp": time.time(),
        "level": "info",
        "platform": "python",
        "message": "blogauto-otel doctor",
        "environment": run.settings.environment,
        "contexts": {"trace": {"trace_id": run.trace_id, "span_id": run.trace_id[:16], "op": "doctor"}},
    }
    lines = ({"event_id": run.trace_id}, {"type": "event"}, event)
    return "\n".join(map(json.dumps, lines)).encode() + b"\n"
