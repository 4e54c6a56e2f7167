"""The store stays within its limits, keeps what it was asked to keep, and says what it lost."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.inspector import decoding, metrics, queries, rows, schema
from blogauto_otel.inspector import requests as requests_module
from blogauto_otel.inspector import store as store_module
from blogauto_otel.inspector.explain import Explainer
from blogauto_otel.inspector.store import Limits, Store
from testkit import otlp
from testkit.otlp import logs, record, traces
from tests.inspector.server import get, select, stored


def paths(store: Store) -> list[str]:
    return [one["path"] for one in queries.requests(store, limit=500)["requests"]]


def add(store: Store, *spans: Any) -> None:
    store.add_spans(rows.spans(traces(spans)))
    store.refresh()


def test_the_oldest_traces_go_as_a_whole() -> None:
    store = Store(limits=Limits(max_spans=100))
    for number in range(60):
        request = get(f"/{number}")
        add(store, request, select(request))
    counts = store.counts()
    assert counts["spans"] <= 100
    assert counts["spans"] == 2 * counts["requests"]  # no request without its statement
    assert paths(store)[0] == "/59"
    assert "/0" not in paths(store)
    assert store.evicted_spans == 120 - counts["spans"]


def test_the_database_does_not_grow_beyond_its_bytes() -> None:
    limit = 2 * 2**20
    store = Store(limits=Limits(max_bytes=limit))
    for number in range(100):
        add(store, get(f"/{number}", {"large": "x" * 50_000}))
        store.add_logs(rows.logs(logs([record("y" * 20_000)])))
        assert store.used_bytes() <= limit
    assert paths(store)[0] == "/99"
    assert store.evicted_spans > 0


def test_one_endless_trace_does_not_take_the_place_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_MAX_TRACE_SPANS", 50)
    store = Store(limits=Limits(max_spans=100))
    endless = get("/endless")
    add(store, get("/other"), endless, *[select(endless) for _ in range(200)])
    assert set(paths(store)) == {"/endless", "/other"}
    assert store.dropped == 151


def test_log_records_and_points_have_limits_of_their_own() -> None:
    store = Store(limits=Limits(max_spans=50))
    for number in range(120):
        store.add_logs(rows.logs(logs([record(f"line {number}")])))
        decoding.store(store, "metrics", otlp.metrics([otlp.gauge("depth", number)]))
    counts = store.counts()
    assert counts["logs"] <= 50
    assert counts["points"] <= 100
    assert queries.logs(store)["logs"][0]["body"] == "line 119"


def test_series_and_resources_that_nothing_refers_to_are_deleted() -> None:
    """However many attributes a sender invents, the tables of names do not grow."""
    store = Store(limits=Limits(max_spans=50))
    for number in range(400):
        store.add_spans(rows.spans(traces([get()], {"service.name": "shop", "unique": str(number)})))
        gauge = otlp.gauge(f"depth_{number % 7}", number, {"unique": str(number)})
        decoding.store(store, "metrics", otlp.metrics([gauge]))
    assert store.read("SELECT COUNT(*) FROM resources")[0][0] <= 60
    assert store.read("SELECT COUNT(*) FROM series")[0][0] <= 100
    newest = [one for one in metrics.metrics(store)["metrics"] if one["name"] == f"depth_{399 % 7}"]
    found = metrics.metric(store, newest[0]["id"])
    assert found is not None
    assert found["series"][-1]["points"][-1]["value"] == 399


def test_log_records_outlive_their_trace() -> None:
    store = Store(limits=Limits(max_spans=10))
    first = get("/first")
    line = record("kept")
    line.trace_id = first.trace_id
    add(store, first)
    store.add_logs(rows.logs(logs([line])))
    for number in range(30):
        add(store, get(f"/{number}"))
    assert queries.trace(store, first.trace_id.hex(), Explainer()) is None
    assert queries.logs(store, f"trace:{first.trace_id.hex()}")["total"] == 1


def test_a_trace_comes_back_after_it_was_evicted() -> None:
    """Ids are remembered; those of deleted rows must not be."""
    store = Store(limits=Limits(max_spans=10))
    first = get("/first")
    add(store, first)
    for number in range(30):
        add(store, get(f"/{number}"))
    add(store, select(first), first)
    assert paths(store).count("/first") == 1
    found = queries.trace(store, first.trace_id.hex(), Explainer())
    assert found is not None
    assert len(found["spans"]) == 2


def test_clear_deletes_everything_and_goes_on() -> None:
    store = stored(traces([get()]), logs([record("line")]), otlp.metrics([otlp.gauge("depth", 1)]))
    store.clear()
    assert not any(store.counts().values())
    for table in schema.NAMES:
        assert store.read(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    add(store, get("/again"))
    assert paths(store) == ["/again"]


def test_what_is_kept_is_there_after_a_restart_and_for_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    store = Store(folder)
    add(store, get("/before"))
    store.close()
    again = Store(folder)
    assert paths(again) == ["/before"]
    assert again.counts()["spans"] == 1
    add(again, get("/after"))
    assert set(paths(again)) == {"/before", "/after"}
    again.close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}


def test_a_kept_file_is_used_by_one_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Store(tmp_path)
    store.close()


def test_a_kept_file_of_another_version_is_put_aside(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / store_module.FILE) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    store = Store(tmp_path)
    add(store, get("/new"))
    assert paths(store) == ["/new"]
    store.close()
    assert (tmp_path / "inspector-99.db").exists()


def test_a_batch_that_cannot_be_stored_leaves_the_store_as_it_was() -> None:
    store = stored(traces([get("/before")]))

    def broken() -> Any:
        yield from rows.spans(traces([get("/half")]))
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        store.add_spans(broken())
    add(store, get("/after"))
    assert set(paths(store)) == {"/before", "/after"}
    assert store.counts()["spans"] == 2


def test_a_span_whose_parent_never_arrives_is_shown_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = select(get())
    store = stored(traces([orphan]))
    assert paths(store) == []
    later = time.time_ns() + 11_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    store.refresh()
    (found,) = queries.requests(store)["requests"]
    assert (found["kind"], found["statements"]) == ("other", 1)


def test_what_arrives_is_stored_between_the_parts_of_a_long_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_PART", 1)
    store = Store()
    add(store, get("/1"), get("/2"))
    parts = store.read_spans("SELECT name FROM spans WHERE spans.id >= ? AND spans.id < ?")
    assert next(parts) == ("GET /1",)
    thread = threading.Thread(target=add, args=(store, get("/3")))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert list(parts) == [("GET /2",)]
    assert "/3" in paths(store)


def test_readers_that_ask_again_and_again_let_what_arrives_in_between() -> None:
    store = Store()
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            with store.reading():
                time.sleep(0.02)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    began = time.monotonic()
    for number in range(10):
        add(store, get(f"/{number}"))
    took = time.monotonic() - began
    is_done.set()
    for thread in readers:
        thread.join()
    assert took < 10, took  # twenty turns, each after at most three readers; without turns it takes minutes


def test_a_long_trace_is_summarised_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "LONG_TRACE", 5)
    monkeypatch.setattr(requests_module, "LONG_SECONDS", 3600.0)
    store = Store()
    root = get("/long")
    add(store, root, *[select(root) for _ in range(9)])
    add(store, select(root), get("/short"))
    spans = {one["path"]: one["spans"] for one in queries.requests(store)["requests"]}
    assert spans == {"/long": 10, "/short": 1}
    monkeypatch.setattr(requests_module, "LONG_SECONDS", 0.0)
    store.refresh()
    assert queries.requests(store, "route:/long")["requests"][0]["spans"] == 11


def test_spans_that_are_their_own_parents_do_no_harm() -> None:
    one, two = get("/one"), select(get())
    one.parent_span_id = one.span_id
    two.parent_span_id = two.span_id
    store = stored(traces([one, two]))
    assert paths(store) == ["/one"]
    assert queries.trace(store, two.trace_id.hex(), Explainer()) is not None


def test_times_beyond_any_calendar_are_stored() -> None:
    odd = get("/odd")
    odd.start_time_unix_nano, odd.end_time_unix_nano = 2**64 - 1, 5
    (found,) = queries.requests(stored(traces([odd])))["requests"]
    assert found["duration"] == 0
