"""What may not leave in an event: little is collected, and what is goes through the redactor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel.redaction import Redactor

# Every field is given: what is left out, Sentry collects (`data_collection`, since sentry-sdk 2.65).
_NOTHING: Final = {"mode": "off"}
DATA_COLLECTION: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "user_info": False,
        "cookies": _NOTHING,
        "http_headers": {"request": _NOTHING},
        "http_bodies": [],
        "url_query_params": _NOTHING,
        "graphql": {"document": False, "variables": False},
        "gen_ai": {"inputs": False, "outputs": False},
        "database_query_data": False,
        "queues": False,
        "frame_context_lines": 0,  # `source` adds them
    }
)

REQUEST: Final = "[redacted:request]"

# Made by Sentry or by us, and nothing else: ids, names and times.
_AS_IT_IS: Final = frozenset(
    ("contexts", "dist", "environment", "event_id", "level", "modules", "platform", "release", "sdk", "server_name")
) | {"timestamp", "type", "_meta", "start_timestamp", "transaction_info", "exception", "threads"}
_CONTEXTS_AS_THEY_ARE: Final = frozenset({"otel"})
# An id in figures may look like the number of a card.
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id", "profile_id", "profiler_id"})


def redact_event(event: MutableMapping[str, Any], redactor: Redactor) -> MutableMapping[str, Any]:
    """Replace secrets wherever an event may hold them; the event is changed and returned."""
    for key in event.keys() - _AS_IT_IS:
        event[key] = redactor.value(key, event[key])
    contexts = event.get("contexts")
    if isinstance(contexts, MutableMapping):
        for key in contexts.keys() - _CONTEXTS_AS_THEY_ARE:
            contexts[key] = _clean_context(key, contexts[key], redactor)
    for key in ("exception", "threads"):
        for part in _values(event.get(key)):
            _clean_part(part, redactor)
    if "_meta" in event:
        event["_meta"] = _clean_names(event["_meta"], redactor)
    if not event.get("release"):
        event.pop("release", None)
    return event


def _clean_names(node: Any, redactor: Redactor) -> Any:
    """What Sentry remarks on a value stands under the names that lead to it; the remarks are Sentry's own."""
    if not isinstance(node, Mapping):
        return node
    return {redactor.text(str(name)): _clean_names(inner, redactor) for name, inner in node.items()}


def _clean_context(key: str, context: object, redactor: Redactor) -> object:
    cleaned = redactor.value(key, context)
    if cleaned is context or not isinstance(context, Mapping) or not isinstance(cleaned, dict):
        return cleaned
    return cleaned | {name: context[name] for name in context.keys() & _IDS}


def _values(holder: object) -> Iterable[MutableMapping[str, Any]]:
    """Exceptions and threads stand in a list, or in a list under `values`."""
    values = holder.get("values") if isinstance(holder, Mapping) else holder
    return (part for part in values or () if isinstance(part, MutableMapping)) if isinstance(values, list) else ()


def _clean_part(part: MutableMapping[str, Any], redactor: Redactor) -> None:
    """One exception or thread: frame by frame, because the redactor's patience is for one structure."""
    stacktrace = part.pop("stacktrace", None)
    for key, value in part.items():
        part[key] = redactor.value(key, value)
    if not isinstance(stacktrace, MutableMapping):
        return
    frames = stacktrace.get("frames")
    if isinstance(frames, list):
        stacktrace["frames"] = [redactor.value("", _without_requests(frame)) for frame in frames]
    part["stacktrace"] = stacktrace


def _without_requests(frame: Any) -> Any:
    """Variables of a framework's or driver's frame hold whole requests and rows: no key says what is in them."""
    if isinstance(frame, MutableMapping) and "vars" in frame:
        if frame.get("in_app"):
            frame["vars"] = _shortened(frame["vars"])
        else:
            del frame["vars"]
    return frame


def _shortened(value: Any) -> Any:
    """Variables as Sentry has serialised them, without requests: Starlette's are mappings, and so written out."""
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "query_string" in value and "headers" in value:
        return REQUEST
    return {key: _shortened(item) for key, item in value.items()}
