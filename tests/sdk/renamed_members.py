"""A program: OpenTelemetry with private members renamed, as its next release may; what the application sees.

For itself OpenTelemetry has the members; for `blogauto_otel` they do not exist. Prints a JSON object for each round:
the members that are renamed, the status's problems, and what arrived.

    python -m tests.sdk.renamed_members one MEMBER...    a round for each member
    python -m tests.sdk.renamed_members all MEMBER...    one round, all of them renamed
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import types
from abc import abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

OURS = "blogauto_otel"
_ABSENT = object()


def rename(member: str) -> Callable[[], None]:
    """Rename `module:name` or `module:Class.name`; returns a function that restores it."""
    module_name, _, path = member.partition(":")
    module: Any = importlib.import_module(module_name)
    owner, _, name = path.rpartition(".")
    if not owner:
        return _rename_in_module(module, name)
    if name == "_receive_metrics":
        return _rename_abstract(getattr(module, owner))
    return _rename_in_class(getattr(module, owner), name)


def _rename_in_module(module: Any, name: str) -> Callable[[], None]:
    """Our imports find a copy of the module without the name."""
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update({key: value for key, value in vars(module).items() if key != name})
    sys.modules[module.__name__] = copy

    def undo() -> None:
        sys.modules[module.__name__] = module

    return undo


def _rename_abstract(owner: Any) -> Callable[[], None]:
    """A subclass that implements the method under its old name stays abstract."""
    owner._receive_collected_metrics = abstractmethod(lambda self, data: None)
    owner.__abstractmethods__ |= {"_receive_collected_metrics"}
    return lambda: None


def _rename_in_class(owner: Any, name: str) -> Callable[[], None]:
    get = owner.__getattribute__
    own = "__getattribute__" in vars(owner)
    original = vars(owner).get(name, _ABSENT)

    def lookup(self: Any, wanted: str) -> Any:
        if wanted != name:
            return get(self, wanted)
        if _asks().startswith(OURS):
            raise AttributeError(f"{owner.__name__}.{name}")
        for kind in type(self).__mro__:  # skip our override, which the SDK does not call any more
            found = original if kind is owner else vars(kind).get(name, _ABSENT)
            if found is not _ABSENT and not kind.__module__.startswith(OURS):
                return found.__get__(self, type(self)) if hasattr(found, "__get__") else found
        return get(self, wanted)

    if original is not _ABSENT:
        delattr(owner, name)
    owner.__getattribute__ = lookup

    def undo() -> None:
        if own:
            owner.__getattribute__ = get
        else:
            del owner.__getattribute__
        if original is not _ABSENT:
            setattr(owner, name, original)

    return undo


def _asks() -> str:
    """The module whose code looks the name up."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


def observe() -> dict[str, Any]:
    """Configure, serve a request, flush: what the status says and what arrived."""
    from fastapi import FastAPI
    from opentelemetry import metrics, trace
    from starlette.testclient import TestClient

    from blogauto_otel import _configure, operation
    from blogauto_otel.sdk import private
    from testkit.receiver import Receiver

    private.results.clear()
    with Receiver() as receiver:
        telemetry = _configure.configure(
            service_name="shop",
            endpoint=receiver.url,
            sample_rate=1.0,
            series_limit=10,
            console="off",
            metric_interval=3600.0,
        )
        app = FastAPI()

        @app.get("/items/{item}")
        def item(item: str) -> dict[str, str]:
            counter = metrics.get_meter("shop").create_counter("shop.items")
            for number in range(12):
                counter.add(1, {"number": number, "password": "hunter2"})
            with operation("shop.find"), trace.get_tracer("shop").start_as_current_span("find") as span:
                span.set_attributes({"item": item, "broken": Unreadable()})  # type: ignore[dict-item]
                span.add_event("found", {"how": "fast"})
            logging.getLogger("shop").warning("found %s", item)
            return {"item": item}

        with TestClient(app) as client:
            answers = [client.get("/items/7").status_code, client.get("/metrics").status_code]
            exposed = client.get("/metrics").text
        flushed = telemetry.force_flush(10.0)
        problems = telemetry.status().problems
        _configure.reset()
        sold = {str(point.attributes): point.value for point in receiver.metrics if point.name == "shop.items"}
        return {
            "problems": problems,
            "swallowed": dict(telemetry.status().swallowed),
            "answers": answers,
            "exposed": "blogauto_api_requests_total" in exposed and "shop_items_total" in exposed,
            "flushed": flushed,
            "spans": sorted(span.name for span in receiver.spans),
            "logs": sorted({str(record.body) for record in receiver.logs if record.scope == "shop"}),
            "items": sum(sold.values()),
            "series": len(sold),
            "leaked": "hunter2" in exposed or any(b"hunter2" in request.body for request in receiver.requests),
        }


class Unreadable:
    """A value whose text raises."""

    def __str__(self) -> str:
        raise ValueError


def main() -> None:
    how, *members = sys.argv[1:]
    for round_ in [members] if how == "all" else [[member] for member in members]:
        with ExitStack() as stack:
            for member in sorted(round_, key=lambda member: "." not in member.partition(":")[2]):  # classes first
                stack.callback(rename(member))
            print(json.dumps({"members": round_, **observe()}), flush=True)


if __name__ == "__main__":
    main()
