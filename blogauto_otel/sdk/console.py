"""The console exporters: each item as a redacted line of JSON on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from blogauto_otel._guard import guarded
from blogauto_otel.otlp.plain_values import ValueRedactor

# The fields of the SDK's JSON with values of the application, of any shape.
_FREE: Final = frozenset(("attributes", "filtered_attributes", "body"))


def printer(redactor: ValueRedactor) -> Callable[[Any], None]:
    """A function that prints a span, a log record or a collection of metrics."""

    def redact(key: str, value: Any) -> Any:
        if key in _FREE:
            return redactor.value("", value)
        return redactor.value(key, value) if isinstance(value, str) else value

    def redacted(found: dict[str, Any]) -> dict[str, Any]:
        return {key: redact(key, value) for key, value in found.items()}

    @guarded("printing telemetry", None)
    def print_item(item: Any) -> None:
        # From the inside out, because the redactor looks only so deep.
        line = json.dumps(json.loads(item.to_json(indent=None), object_hook=redacted))
        print(line, flush=True)  # noqa: T201 - that is what a console exporter is for

    return print_item
