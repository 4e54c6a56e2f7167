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
_CONTEXTS_AS_THEY_ARE: Final = frozenset({"trace", "otel", "runtime", "os", "profile"})


def clean(event: MutableMapping[str, Any], redactor: Redactor) -> MutableMapping[str, Any]:
    """Replace secrets wherever an event may hold them; the event is changed and returned."""
    for key in event.keys() - _AS_IT_IS:
        event[key] = redactor.value(key, event[key])
    contexts = event.get("contexts")
    if isinstance(contexts, MutableMapping):
        for key in contexts.keys() - _CONTEXTS_AS_THEY_ARE:
            contexts[key] = redactor.value(key, contexts[key])
    for key in ("exception", "threads"):
        for part in _values(event.get(key)):
            _clean_part(part, redactor)
    if not event.get("release"):
        event.pop("release", None)
    return event


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
