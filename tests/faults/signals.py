"""Rows of signals of the operating system, and of what the garbage collector runs in the middle of ours."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import blogauto_otel
from testkit.receiver import Receiver
from tests.export.peers import GrpcReceiver, hanging_up, refusing
from tests.faults.environment import ended_well
from tests.faults.harness import Harness, ScriptResult

PACKAGE = Path(blogauto_otel.__file__).parent
QUIET: dict[str, Any] = {"BLOGAUTO_OTEL_CONSOLE": "off", "OTEL_TRACES_SAMPLER": "always_on"}

NOT_ENTERED = {
    "blogauto_otel.export.signal_exporter"
}  # taken when something goes to disk, for one addition and no call


def reentrant_locks(harness: Harness) -> None:
    with Receiver() as receiver:
        program = harness.run_script("reentrant_locks", receiver, **QUIET, BLOGAUTO_OTEL_SYSTEM_METRICS="true")
        said = program.result
        assert program.code == 0, program.output
        assert not said["swallowed"], said
        assert said["ended"]
        assert not modules_with_locks() - set(said["entered"]) - NOT_ENTERED, said["entered"]
        assert said["abandoned"] > 500
        _all_requests_arrive(receiver, "/answers", said["answered"])
        _all_requests_arrive(receiver, "/waits", said["abandoned"])


def modules_with_locks() -> set[str]:
    """The modules that create a lock, by name."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        if names & {"Lock", "RLock"}:
            found.add(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    return found


def abandoned_requests(harness: Harness, *, requests: int = 800) -> None:
    """`asyncio.create_task(app(...))` without a reference: the garbage collector closes the request."""
    for threshold in "1", "20":
        with Receiver() as receiver:
            program = harness.run_script("abandoned_requests", receiver, str(requests), threshold, **QUIET)
            assert program.code == 0, program.output
            assert not program.result["swallowed"], program.output
            receiver.wait_for(lambda r: r.total("blogauto.api.requests") == requests)
            receiver.wait_for(lambda r: sum(span.name.startswith("GET /waits/") for span in r.spans) == requests)


def _all_requests_arrive(receiver: Receiver, path: str, count: int) -> None:
    receiver.wait_for(lambda r: r.total("blogauto.api.requests", {"endpoint": path}) == count)
    receiver.wait_for(lambda r: sum(span.name == f"GET {path}" for span in r.spans) == count)


def sigpipe(harness: Harness) -> None:
    with hanging_up() as url:
        for words in ("sigpipe",), ("without_threads", "sigpipe"):
            _all_is_counted(ended_well(harness.run_script("default_signals", url, *words, **QUIET)), at_least=10)


def sigxfsz(harness: Harness) -> None:
    with refusing() as url:
        for words in ("sigxfsz",), ("without_threads", "sigxfsz"):
            program = ended_well(harness.run_script("default_signals", url, *words, **QUIET))
            _all_is_counted(program, at_least=200)
            assert not [path for path in harness.spooled("tmp") if path.stat().st_size], "half a file is left"


def blocked_sigterm(harness: Harness) -> None:
    for receiver, protocol in ((Receiver(), "http/protobuf"), (GrpcReceiver(), "grpc")):
        with receiver:
            how = {**QUIET, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
            _all_is_counted(
                ended_well(harness.run_script("default_signals", receiver, "blocked_sigterm", **how)), at_least=21
            )
            receiver.wait_for(lambda r: sum(str(record.body).startswith("hit") for record in r.logs) == 20)


def _all_is_counted(program: ScriptResult, *, at_least: int) -> None:
    said = program.result
    assert said["accepted"]["logs"] >= at_least
    assert not any(said["balance"].values()), said
