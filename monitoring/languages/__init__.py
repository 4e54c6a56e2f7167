"""Languages of boards, alerts and runbooks: one table of translations each; English, the language of the sources, has none.

A text is looked up as the source has it, with its placeholders, so one table serves every service and threshold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ENGLISH: Final = "en"
TRANSLATED: Final = ("ko",)
LANGUAGES: Final = (ENGLISH, *TRANSLATED)

Translate = Callable[[str], str]

# What is left out of a text before asking whether a person reads anything in it.
_PLACEHOLDER: Final = re.compile(r"%\{[^}]*\}|\{\{[^}]*\}\}")


def table(language: str) -> Mapping[str, Mapping[str, str]]:
    """The translations by section (`boards`, `alerts`, `runbooks`), then by the English text."""
    path = Path(__file__).with_name(f"{language}.json")
    sections: Mapping[str, Mapping[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return sections


def panel_and_alert_texts(language: str) -> Mapping[str, str]:
    """The translations of boards and rules, which `blogauto-otel monitoring` looks up as well."""
    sections = table(language)
    return {**sections["boards"], **sections["alerts"]}


def runbook_texts(language: str) -> Translate:
    """The lookup of the lines of runbooks; a text without a translation stays English."""
    texts = {} if language == ENGLISH else table(language)["runbooks"]
    return lambda text: texts.get(text, text)


def has_words(text: str) -> bool:
    """Whether a text has words, and not only placeholders, numbers and signs."""
    return re.search(r"[A-Za-z]", _PLACEHOLDER.sub("", text)) is not None
