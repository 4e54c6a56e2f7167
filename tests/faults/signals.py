"""Signal and finalizer rows: default actions, blocked signals, requests closed by the garbage collector."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import blogauto_otel
from testkit.receiver import Receiver
from tests.export.peers import GrpcReceiver, hanging_up, refusing
from tests.faults.harness import Harness, ScriptResult, succeeded

PACKAGE = Path(blogauto_otel.__file__).parent
QUIET: dict[str, Any] = {"BLOGAUTO_OTEL_CONSOLE": "off", "OTEL_TRACES_SAMPLER": "always_on"}

NOT_ENTERED = {
    "blogauto_otel.export.stats",  # locked during spooling for one addition, without a call
    "blogauto_otel.api.context",  # for the values of a request, which the finalizer's own log record asks for first
    "blogauto_otel.instrumentation.import_hooks",  # while a hook is added, which `configure()` does
    "blogauto_otel.sdk.span_processors",  # while a processor is added, which the first `configure()` does
}


def reentrant_locks(harness: Harness) -> None:
    with Receiver() as receiver:
        wanted = modules_with_locks() - NOT_ENTERED
        script = harness.run_script("reentrant_locks", receiver, *wanted, **QUIET, BLOGAUTO_OTEL_SYSTEM_METRICS="true")
        result = script.result
        assert script.code == 0, script.output
        assert not result["swallowed"], result
        assert result["ended"]
        assert wanted <= set(result["entered"]), wanted - set(result["entered"])
        assert result["abandoned"] > 500
        _all_requests_arrive(receiver, "/answers", result["answered"])
        _all_requests_arrive(receiver, "/waits", result["abandoned"])


def modules_with_locks() -> set[str]:
    """The names of the modules that create a lock; the inspector runs in a process of its own."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if "inspector" in path.parts:
            continue
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        if names & {"Lock", "RLock"}:
            found.add(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    return found


def abandoned_requests(harness: Harness, *, requests: int = 800) -> None:
    """`asyncio.create_task(app(...))` without a reference: the garbage collector closes the request."""
    for threshold in "1", "20":
        with Receiver() as receiver:
            script = harness.run_script("abandoned_requests", receiver, str(requests), threshold, **QUIET)
            assert script.code == 0, script.output
            assert not script.result["swallowed"], script.output
            receiver.wait_for(lambda r: r.total("blogauto.api.requests") == requests)
            receiver.wait_for(lambda r: sum(span.name.startswith("GET /waits/") for span in r.spans) == requests)


def _all_requests_arrive(receiver: Receiver, path: str, count: int) -> None:
    receiver.wait_for(lambda r: r.total("blogauto.api.requests", {"endpoint": path}) == count, timeout=60.0)
    receiver.wait_for(lambda r: sum(span.name == f"GET {path}" for span in r.spans) == count, timeout=60.0)


def sigpipe(harness: Harness) -> None:
    with hanging_up() as url:
        for words in ("sigpipe",), ("without_threads", "sigpipe"):
            _all_is_counted(succeeded(harness.run_script("default_signals", url, *words, **QUIET)), at_least=10)


def sigxfsz(harness: Harness) -> None:
    with refusing() as url:
        for words in ("sigxfsz",), ("without_threads", "sigxfsz"):
            script = succeeded(harness.run_script("default_signals", url, *words, **QUIET))
            _all_is_counted(script, at_least=200)
            assert not [path for path in harness.spooled("tmp") if path.stat().st_size], "half a file is outputs"


def blocked_sigterm(harness: Harness) -> None:
    for receiver, protocol in ((Receiver(), "http/protobuf"), (GrpcReceiver(), "grpc")):
        with receiver:
            how = {**QUIET, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
            _all_is_counted(
                succeeded(harness.run_script("default_signals", receiver, "blocked_sigterm", **how)), at_least=21
            )
            receiver.wait_for(lambda r: sum(str(record.body).startswith("hit") for record in r.logs) == 20)


def _all_is_counted(script: ScriptResult, *, at_least: int) -> None:
    result = script.result
    assert result["accepted"]["logs"] >= at_least
    assert not any(result["balance"].values()), result
