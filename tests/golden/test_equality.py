"""The call and the launcher emit the same telemetry, which is that of the golden file, whatever the SDK renames."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.sdk import self_test
from testkit.example import example
from testkit.ports import free_port
from testkit.receiver import Receiver

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).with_name("blog.json")

WAYS_IN = {"call": False, "launcher": True}
# Metrics are those at the end, however long the traffic takes: pools of connections are closed by then. Nothing is
# reported as slow, as it would be on a slow machine.
VARIABLES = {
    "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
    "BLOGAUTO_OTEL_SLOW_QUERY_SECONDS": "0",
    "BLOGAUTO_OTEL_SLOW_REQUEST_SECONDS": "0",
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_the_example_emits_exactly_the_golden_telemetry(way: str, tmp_path: Path, update_golden: bool) -> None:
    with Receiver() as receiver:
        with example(tmp_path, receiver.url, launcher=WAYS_IN[way], port=free_port(), **VARIABLES) as blog:
            blog.traffic()
            blog.child.terminate()
        emitted = shape(receiver)
    if update_golden:
        GOLDEN.write_text(json.dumps(emitted, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert emitted == json.loads(GOLDEN.read_text())


def test_without_any_private_member_of_the_sdk_it_is_the_same(tmp_path: Path) -> None:
    members = sorted({member for feature in self_test.FEATURES.values() for member in feature.members})
    app = "tests.golden.renamed_members:app"
    with Receiver() as receiver:
        variables = {"RENAMED_MEMBERS": " ".join(members), **VARIABLES}
        with example(tmp_path, receiver.url, launcher=False, app=app, port=free_port(), **variables) as blog:
            blog.traffic()
            blog.child.terminate()
        assert shape(receiver) == json.loads(GOLDEN.read_text())


# Spans of a connect or commit that takes 0.1 s.
SLOW = {("blogauto_otel.sql", "connect"), ("blogauto_otel.sql", "COMMIT")}


def shape(receiver: Receiver) -> dict[str, Any]:
    """What is promised to stay: names, kinds, units, attribute keys and value types; no ids, times or values."""
    spans = [span for span in receiver.spans if (span.scope, span.name) not in SLOW]
    return {
        "spans": _merged(spans, _span, lambda span: span.attributes),
        "metrics": _merged(receiver.metrics, _metric, lambda point: point.attributes),
        "logs": _merged(receiver.logs, _log, lambda record: record.attributes),
        "resource": _types(attributes for attributes in receiver.resources),
    }


def _span(span: Any) -> str:
    events = ",".join(sorted({event.name for event in span.events}))
    return f"{span.scope} | {span.kind} | {span.name}" + (f" | events: {events}" if events else "")


def _metric(point: Any) -> str:
    kind = point.kind + (" monotonic" if point.monotonic else "")
    bounds = f" | {list(point.bounds)}" if point.bounds else ""
    return f"{point.scope} | {point.name} | {kind} | {point.unit} | {point.temporality}{bounds}"


def _log(record: Any) -> str:
    return f"{record.scope} | {record.severity} | {'in a trace' if record.trace_id else 'outside any trace'}"


def _merged(
    items: Iterable[Any], key: Callable[[Any], str], attributes: Callable[[Any], Mapping[str, Any]]
) -> dict[str, dict[str, str]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(attributes(item))
    return {name: _types(found) for name, found in groups.items()}


def _types(found: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Value types by attribute key; a key that is not on every item is marked with a question mark."""
    all_of_them = list(found)
    keys = {key for attributes in all_of_them for key in attributes}
    return {
        key + ("" if all(key in attributes for attributes in all_of_them) else "?"): " | ".join(
            sorted({type(attributes[key]).__name__ for attributes in all_of_them if key in attributes})
        )
        for key in keys
    }
