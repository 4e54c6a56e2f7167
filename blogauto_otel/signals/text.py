"""Text of objects that are not ours: it never raises, whatever `__str__` does, and it is bounded."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Final

MAX_STACKTRACE: Final = 16_384
MAX_FRAMES: Final = 50

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def safe_text(value: object, limit: int = 4096) -> str:
    """`str(value)`, cut to `limit` characters; where that raises, what it was."""
    try:
        text = value if type(value) is str else str(value)
    except Exception as error:  # noqa: BLE001 - the point of it
        return f"<{type(value).__name__} without text: {type(error).__name__}>"
    return text if len(text) <= limit else text[:limit]


def type_name(kind: type[BaseException]) -> str:
    """The qualified name, as `exception.type` wants it: `json.decoder.JSONDecodeError`, but `ValueError`."""
    if kind.__module__ in {"builtins", "__main__"}:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def stacktrace(error: BaseException, trace: TracebackType | None = None, *, limit: int = MAX_STACKTRACE) -> str:
    """The traceback as Python prints it; a long one keeps its beginning and, what matters more, its end."""
    try:
        text = "".join(traceback.format_exception(type(error), error, trace, limit=-MAX_FRAMES))
    except Exception as broken:  # noqa: BLE001 - an exception with a hostile `__str__` or `__cause__`
        return f"{type_name(type(error))}: <no traceback: {type(broken).__name__}>"
    if len(text) <= limit:
        return text
    return f"{text[: limit // 4]}\n...\n{text[-(limit - limit // 4) :]}"
