"""Privacy: what our client does not collect, and redaction of events, attachments and logs before they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final

from sentry_sdk.envelope import PayloadRef

from blogauto_otel._class_names import MAX_CLASS_NAME
from blogauto_otel._guard import guard
from blogauto_otel.redaction import Redactor

# Every field is given, because Sentry collects those left out (`data_collection`, since sentry-sdk 2.65).
_OFF: Final = {"mode": "off"}
DATA_COLLECTION: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "user_info": False,
        "cookies": _OFF,
        "http_headers": {"request": _OFF},
        "http_bodies": [],
        "url_query_params": _OFF,
        "graphql": {"document": False, "variables": False},
        "gen_ai": {"inputs": False, "outputs": False},
        "database_query_data": False,
        "queues": False,
        "frame_context_lines": 0,  # `source_context` adds them
    }
)

REQUEST: Final = "[redacted:request]"

# Ids, names and times that Sentry's SDK or we have made.
_UNCHANGED: Final = frozenset(
    ("contexts", "event_id", "level", "modules", "platform", "sdk", "timestamp", "type", "_meta", "start_timestamp")
) | {"transaction_info", "exception", "threads", "spans"}
_UNCHANGED_CONTEXTS: Final = frozenset({"otel"})
# A decimal id may look like a card number.
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id", "profile_id", "profiler_id"})

ATTACHMENT: Final = "attachment"
LOG: Final = "log"
_CHUNK: Final = 16_000  # characters of an attachment that are redacted at once, if the lines are not longer


def redact_event(event: MutableMapping[str, Any], redactor: Redactor) -> MutableMapping[str, Any]:
    """Replace secrets wherever an event may contain them; the event is changed and returned."""
    for key in event.keys() - _UNCHANGED:
        event[key] = redactor.value(key, event[key])
    _shorten_names(event, "logger")
    contexts = event.get("contexts")
    if isinstance(contexts, MutableMapping):
        for key in contexts.keys() - _UNCHANGED_CONTEXTS:
            contexts[key] = _redact_context(key, contexts[key], redactor)
    if isinstance(event.get("spans"), list):  # one by one, because the redactor limits the size of one structure
        event["spans"] = [_redact_context("", span, redactor) for span in event["spans"]]
    for key in ("exception", "threads"):
        for part in _values(event.get(key)):
            _redact_part(part, redactor)
    if "_meta" in event:
        event["_meta"] = _redact_names(event["_meta"], redactor)
    if not event.get("release"):
        event.pop("release", None)
    return event


def _redact_names(node: Any, redactor: Redactor) -> Any:
    """Redact the names in Sentry's remarks on values (`_meta`), which repeat the path of each value."""
    if not isinstance(node, Mapping):
        return node
    return {redactor.text(str(name)): _redact_names(inner, redactor) for name, inner in node.items()}


def _redact_context(key: str, context: object, redactor: Redactor) -> object:
    redacted = redactor.value(key, context)
    if redacted is context or not isinstance(context, Mapping) or not isinstance(redacted, dict):
        return redacted
    return redacted | {name: context[name] for name in context.keys() & _IDS}


def _values(holder: object) -> Iterable[MutableMapping[str, Any]]:
    """Exceptions or threads: a list, or a list under `values`."""
    values = holder.get("values") if isinstance(holder, Mapping) else holder
    return (part for part in values or () if isinstance(part, MutableMapping)) if isinstance(values, list) else ()


def _redact_part(part: MutableMapping[str, Any], redactor: Redactor) -> None:
    """One exception or thread: frame by frame, because the redactor limits the size of one structure."""
    for key in part.keys() - {"stacktrace"}:
        part[key] = redactor.value(key, part[key])
    _shorten_names(part, "type", "module")
    stacktrace: Any = part.get("stacktrace")  # Sentry sends none of a stack that is too deep, and says so in `_meta`
    frames = stacktrace.get("frames") if isinstance(stacktrace, MutableMapping) else None
    if isinstance(frames, list):
        stacktrace["frames"] = [redactor.value("", _without_requests(frame)) for frame in frames]
    elif stacktrace is not None:
        part["stacktrace"] = redactor.value("stacktrace", stacktrace)


def _shorten_names(part: MutableMapping[str, Any], *names: str) -> None:
    """Names of classes, modules and loggers, which an application may make up, are cut to length."""
    for name in names:
        if isinstance(part.get(name), str):
            part[name] = part[name][:MAX_CLASS_NAME]


def _without_requests(frame: Any) -> Any:
    """Variables of a framework's or driver's frame contain whole requests and rows, under names that say nothing."""
    if isinstance(frame, MutableMapping) and "vars" in frame:
        if frame.get("in_app"):
            frame["vars"] = _shortened(frame["vars"])
        else:
            del frame["vars"]
    return frame


def _shortened(value: Any) -> Any:
    """Variables without requests: Starlette's are mappings, so Sentry serialises all of them."""
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "query_string" in value and "headers" in value:
        return REQUEST
    return {key: _shortened(item) for key, item in value.items()}


# --- what does not pass `before_send` ---------------------------------------------------------------------------------


def redact_envelope(envelope: Any, redactor: Redactor) -> None:
    """Redact attachments and Sentry logs; an item that cannot be redacted is removed."""
    for item in tuple(envelope.items):
        redact = _ITEMS.get(item.headers.get("type"))
        if redact is None:
            continue
        is_redacted = False
        with guard("redacting what goes to Sentry"):
            redact(item, redactor)
            is_redacted = True
        if not is_redacted:
            envelope.items.remove(item)


def _redact_attachment(item: Any, redactor: Redactor) -> None:
    """Text is redacted; what is not UTF-8 is left as it is."""
    name = item.headers.get("filename")
    if isinstance(name, str):
        item.headers["filename"] = redactor.text(name)
    try:
        text = item.get_bytes().decode()
    except UnicodeDecodeError:
        return
    redacted = "".join(redactor.text(chunk) for chunk in _chunks(text))
    if redacted != text:
        item.payload = PayloadRef(bytes=redacted.encode())
        item.headers.pop("length", None)


def _chunks(text: str) -> Iterable[str]:
    """Whole lines, as many as fit: a secret of several lines, such as a key, may be cut only in a longer text."""
    chunk: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        if chunk and size + len(line) > _CHUNK:
            yield "".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    yield "".join(chunk)


def _redact_logs(item: Any, redactor: Redactor) -> None:
    """https://develop.sentry.dev/sdk/telemetry/logs/: a body and typed attributes."""
    payload = item.payload.json
    for log in payload["items"]:
        log["body"] = redactor.value("body", log.get("body"))
        for name, attribute in (log.get("attributes") or {}).items():
            attribute["value"] = redactor.value(name, attribute.get("value"))
    item.payload = PayloadRef(json=payload)


_ITEMS: Final = {ATTACHMENT: _redact_attachment, LOG: _redact_logs}
