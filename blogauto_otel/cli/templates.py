"""Templates of boards, rules and runbooks: values for their placeholders, and their texts in another language.

A placeholder is `%{name}`, `%{name*100}` or `%{name/60}`; a JSON string that is `%{=name}` becomes a number. A text is
looked up as the template has it, with its placeholders, so one table of translations serves every service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

Values = Mapping[str, "str | float"]
Table = Mapping[str, str]

_PLACEHOLDER: Final = re.compile(r"%\{(\w+)(?:([*/])(\d+))?\}")
_NUMBER: Final = re.compile(r"%\{=(\w+)(?:([*/])(\d+))?\}")
_RULE_TEXT: Final = re.compile(r"^( +(?:summary|description): ')(.*)(')$", re.MULTILINE)

# Where a board's JSON has a text for people, by its key.
TEXT_KEYS: Final = frozenset({"title", "description", "legendFormat", "noValue", "label", "titleFormat", "displayName"})


def filled(text: str, values: Values) -> str:
    """The text with its placeholders replaced."""
    return _PLACEHOLDER.sub(lambda found: _written(_value(found, values)), text)


def board(template: str, values: Values, table: Table) -> str:
    """A board as Grafana reads it, from its template, with its texts translated."""
    document = json.loads(template)
    for holder, key in board_texts(document):
        holder[key] = table.get(holder[key], holder[key])
    return json.dumps(_filled(document, values), indent=1, ensure_ascii=False) + "\n"


def rules(template: str, values: Values, table: Table) -> str:
    """A rule file, with the summaries and descriptions of its alerts translated."""
    return filled(_RULE_TEXT.sub(lambda found: found[1] + _quoted(table, found[2]) + found[3], template), values)


def rule_texts(template: str) -> Iterator[str]:
    """Every text of a rule file that people read."""
    yield from (_unquoted(text) for _, text, _ in _RULE_TEXT.findall(template))


def board_texts(document: object) -> Iterator[tuple[MutableMapping[str, Any], str]]:
    """Every text of a board that people read: the object that holds it, and its key there.

    A name that a panel's overrides, sorting or columns refer to is among them wherever it stands, so that it stays one.
    """
    if isinstance(document, list):
        for entry in document:
            yield from board_texts(entry)
    elif isinstance(document, dict):
        yield from ((document, key) for key in document if key in TEXT_KEYS and isinstance(document[key], str))
        if document.get("id") == "byName":
            yield document, "options"
        for key, entry in document.items():
            if key == "renameByName":
                yield from ((entry, name) for name in entry)
            elif key == "mappings":
                yield from ((result, "text") for one in entry for result in one["options"].values() if "text" in result)
            else:
                yield from board_texts(entry)


def _filled(entry: Any, values: Values) -> Any:
    if isinstance(entry, str):
        number = _NUMBER.fullmatch(entry)
        return filled(entry, values) if number is None else float(_value(number, values))
    if isinstance(entry, dict):
        return {filled(key, values): _filled(value, values) for key, value in entry.items()}
    return [_filled(one, values) for one in entry] if isinstance(entry, list) else entry


def _value(found: re.Match[str], values: Values) -> str | float:
    value = values[found[1]]
    if found[2] is None or isinstance(value, str):
        return value
    return value * int(found[3]) if found[2] == "*" else value / int(found[3])


def _written(value: str | float) -> str:
    """A number as PromQL and people write it: 0.05, 2, 14.4."""
    return value if isinstance(value, str) else f"{value:.10g}"


def _quoted(table: Table, text: str) -> str:
    original = _unquoted(text)
    return table.get(original, original).replace("'", "''")


def _unquoted(text: str) -> str:
    return text.replace("''", "'")
