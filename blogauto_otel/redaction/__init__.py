"""Find secrets by name and by pattern in texts, URLs and structures, and replace them.

One redactor serves every exit. Each rule is a line of a table (`keys`, `issuers`, `patterns`, `database_errors`); each
expression reads a text once.
A cheap test for trigger words runs first: ordinary text costs about a microsecond and comes back as the same object.
A secret is replaced by `[redacted:<kind>]`; a second redaction changes nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import is_foreign, logger
from blogauto_otel.config import Settings, load
from blogauto_otel.redaction.keys import MARKER
from blogauto_otel.redaction.redactor import MAX_TEXT, UNREADABLE, Redactor

__all__ = ["Finding", "Redactor", "build_redactor", "explain", "redact_own_log"]

# Attributes with prompts and answers, whichever library records them; values of these names leave only by setting.
AI_CONTENT: Final = (
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.content",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.retrieval.query.text",
    "traceloop.entity.input",
    "traceloop.entity.output",
)

CONTEXT: Final = 24  # characters shown before what was redacted


def build_redactor(settings: Settings) -> Redactor:
    """The redactor that the settings describe."""
    longest = max(MAX_TEXT, settings.max_attribute_length, settings.max_span_attribute_length or 0)
    return Redactor(
        keys=settings.redact_keys,
        beginnings=() if settings.ai_content else AI_CONTENT,
        patterns=[re.compile(pattern) for pattern in settings.redact_patterns],
        personal=settings.redact_personal,
        max_text=max(longest, settings.max_log_attribute_length or 0),
        enabled=settings.redact,
    )


@dataclass(frozen=True)
class Finding:
    """One secret that is redacted: its kind (`what`), its place, and the text around it after redaction."""

    what: str
    where: str
    shown: str

    def __str__(self) -> str:
        return f"{self.what}{f' at {self.where}' if self.where else ''}: {self.shown}"


def explain(subject: object, settings: Settings | None = None) -> tuple[Finding, ...]:
    """What would be redacted in a text or in a map of attributes, without the secrets themselves.

    Args:
        subject: A text, a map, or anything that `Redactor.value` takes.
        settings: The settings of the environment by default.
    """
    redactor = build_redactor(load().settings if settings is None else settings)
    return tuple(_findings("", subject, redactor.value("", subject)))


def _findings(where: str, before: object, after: object) -> Iterator[Finding]:
    if after is before:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for (_, old), (name, new) in zip(before.items(), after.items(), strict=False):
            yield from _findings(f"{where}.{name}" if where else str(name), old, new)
    elif isinstance(after, (list, tuple)) and isinstance(before, Iterable):
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from _findings(f"{where}[{index}]", old, new)
    else:
        text, seen = str(after), 0
        for found in MARKER.finditer(text):
            shown = text[max(seen, found.start() - CONTEXT) : found.end()]
            yield Finding(found[0][len("[redacted:") : -1], where, shown.strip())
            seen = found.end()


# --- our own log lines ------------------------------------------------------------------------------------------------


class _LogFilter(logging.Filter):
    """Redacts a record before any handler sees it, the text of its exception included."""

    def __init__(self, redactor: Redactor | None) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; it always passes."""
        try:
            if self._redactor is None:  # the settings are not read yet; few processes log anything then
                self._redactor = Redactor()
            record.msg, record.args = self._redactor.text(record.getMessage()), None
            if record.exc_info:
                text = record.exc_text or logging.Formatter().formatException(record.exc_info)
                record.exc_text, record.exc_info = self._redactor.text(text), None
        except BaseException as error:  # a message that cannot be read is replaced
            if not is_foreign(error):
                raise
            record.msg, record.args, record.exc_info, record.exc_text = UNREADABLE, None, None, None
        return True


def redact_own_log(redactor: Redactor | None = None) -> None:
    """Redact what this package logs, because an error of ours may quote a URL with a password in it."""
    for old in [known for known in logger.filters if isinstance(known, _LogFilter)]:
        logger.removeFilter(old)
    logger.addFilter(_LogFilter(redactor))
