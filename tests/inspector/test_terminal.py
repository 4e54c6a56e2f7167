"""`--terminal`: requests as trees."""

from __future__ import annotations

from blogauto_otel.inspector.explain import Explainer
from blogauto_otel.inspector.ingest import Ingest
from blogauto_otel.inspector.state import Inspector
from blogauto_otel.inspector.store import Store
from blogauto_otel.inspector.terminal import Printer
from testkit.otlp import CLIENT, span, traces
from tests.inspector.server import below, get, select


def test_each_request_is_printed_once_as_a_tree() -> None:
    store = Store()
    inspector = Inspector(store, Ingest(store), Explainer())
    printed: list[str] = []
    printer = Printer(inspector, printed.append, colors=False)
    request = get("/posts", status=500)
    call = below(request, span("POST", kind=CLIENT, seconds=0.05))
    for message in (traces([request, call, *[select(request) for _ in range(11)]]), traces([get("/second")])):
        assert inspector.ingest.put("traces", message, 1)
    assert inspector.ingest.drain(10)
    printer.print_new()
    printer.print_new()
    text = "".join(printed)
    assert text.count("GET /posts") == text.count("GET /second") == 1
    assert "\n  SELECT id FROM posts WHERE id = ? x11" in text
    assert "\n  POST 50" in text
    assert "selectinload" in text
    assert "\x1b" not in text
    inspector.ingest.stop(5)


def test_a_request_waits_for_what_arrives_after_it() -> None:
    store = Store()
    inspector = Inspector(store, Ingest(store), Explainer())
    printed: list[str] = []
    printer = Printer(inspector, printed.append, colors=True)
    assert inspector.ingest.put("traces", traces([get("/posts")]), 1)
    assert inspector.ingest.drain(10)
    printer.print_new(settle=60)
    assert printed == []
    printer.print_new()
    assert "\x1b[1mGET /posts" in "".join(printed)
    inspector.ingest.stop(5)


def test_requests_are_printed_after_the_store_was_cleared() -> None:
    store = Store()
    inspector = Inspector(store, Ingest(store), Explainer())
    printed: list[str] = []
    printer = Printer(inspector, printed.append, colors=False)
    for path in ("/before", "/after"):
        assert inspector.ingest.put("traces", traces([get(path)]), 1)
        assert inspector.ingest.drain(10)
        printer.print_new()
        store.clear()
    assert [line.split()[1] for line in printed if line.startswith("GET")] == ["/before", "/after"]
    inspector.ingest.stop(5)
