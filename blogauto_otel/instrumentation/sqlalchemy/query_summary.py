"""The summary of a SQL statement: its operation and tables, read from the text without values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from itertools import dropwhile
from typing import Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel._lazy_pattern import lazy_pattern

# The semantic conventions' limit of db.query.summary; it is cut between targets.
MAX_SUMMARY: Final = 255


@dataclass(frozen=True)
class QuerySummary:
    """Operation, table and summary of a statement: `SELECT`, `posts`, `SELECT posts`."""

    operation: str | None = None
    collection: str | None = None
    summary: str | None = None


_PART: Final = r'(?:"[^"]*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z)|[^\W\d][\w$#]*)'
_WORDS: Final = lazy_pattern(rf"{_PART}(?:\s?\.\s?{_PART})*|[(),;]")
_PLAIN_NAME: Final = lazy_pattern(r"[\w$#.]+")
_OPERATION: Final = lazy_pattern(r"[A-Z]{2,20}")

_VERBS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})
_NOT_A_VERB_AFTER: Final = frozenset(
    {"FOR", "DO", "KEY", "ON", "THEN", "OF"}
)  # FOR UPDATE, ON CONFLICT DO UPDATE, ON DELETE
_BEFORE_A_LIST: Final = frozenset({"FROM", "USING"})
_BEFORE_A_TARGET: Final = frozenset({"FROM", "JOIN", "INTO", "USING", "UPDATE"})
_BETWEEN: Final = frozenset({"ONLY", "LATERAL", "IF", "NOT", "EXISTS", "IGNORE", "LOW_PRIORITY", "CONCURRENTLY"})
_END_OF_LIST: Final = frozenset(
    {"WHERE", "SET", "VALUES", "GROUP", "ORDER", "ON", "LIMIT", "HAVING", "UNION", "RETURNING"}
)
_DEFINITIONS: Final = frozenset({"CREATE", "DROP", "ALTER", "TRUNCATE"})
_OBJECTS: Final = frozenset(
    {
        "TABLE",
        "INDEX",
        "VIEW",
        "SCHEMA",
        "SEQUENCE",
        "TYPE",
        "DATABASE",
        "FUNCTION",
        "PROCEDURE",
        "TRIGGER",
        "EXTENSION",
    }
)
_CALLS: Final = frozenset({"CALL", "EXEC", "EXECUTE"})
_STATEMENTS: Final = _VERBS | _DEFINITIONS | _CALLS | {"WITH"}


def summarize(text: str) -> QuerySummary:
    """Operation, table and summary of a statement that `without_values` returned.

    The summary lists operations and their targets in order, as the semantic conventions have it
    (docs/db/database-spans.md, "Generating a summary of the query"); the table is given when there is only one.
    """
    return _summarize_words(list(dropwhile("(;".__contains__, _WORDS.findall(text))))


def _summarize_words(words: Sequence[str]) -> QuerySummary:
    first = words[0].upper() if words else ""
    if not _OPERATION.fullmatch(first):
        return QuerySummary()
    if first == "EXPLAIN":
        return _summarize_explain(words[1:])
    if first in _DEFINITIONS:
        return _summarize_definition(first, words)
    if first in _CALLS:
        return QuerySummary(first, None, _joined([first, *map(_name, words[1:2])]))
    reader = _Reader()
    for index, word in enumerate(words):
        reader.read(word, following=words[index + 1] if index + 1 < len(words) else "")
    return reader.summarize(first)


def _summarize_explain(words: Sequence[str]) -> QuerySummary:
    """`EXPLAIN (ANALYZE) SELECT ...`: the tables are those of the explained statement."""
    depth = 0
    for index, word in enumerate(words):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word.upper() in _STATEMENTS:
            inner = _summarize_words(words[index:])
            return QuerySummary("EXPLAIN", inner.collection, _joined(["EXPLAIN", *(inner.summary or "").split(" ")]))
    return QuerySummary("EXPLAIN", None, "EXPLAIN")


def _summarize_definition(first: str, words: Sequence[str]) -> QuerySummary:
    """`CREATE UNIQUE INDEX IF NOT EXISTS ix ON posts`: the target is `ix`."""
    kind, target = "", ""
    for word in words[1:]:
        upper = word.upper()
        if not kind and upper in _OBJECTS:
            kind = upper
        elif (kind or first == "TRUNCATE") and upper not in _BETWEEN:
            target = _name(word)
            break
    operation = f"{first} {kind}".strip()
    is_table = kind == "TABLE" or (first == "TRUNCATE" and not kind)
    return QuerySummary(
        operation, (target or None) if is_table else None, _joined([operation, *([target] if target else [])])
    )


@dataclass
class _Level:
    """One depth of brackets: whether it has an operation, and whether a comma is followed by a table."""

    has_verb: bool = False
    in_list: bool = False
    in_with: bool = False  # names of WITH are being defined
    defines: str = ""  # the name whose body follows, or has just ended


@dataclass
class _Part:
    """One operation of the summary with its targets."""

    operation: str
    targets: list[str] = field(default_factory=list)
    reads_names: bool = False  # that WITH defines, which are not tables


@dataclass
class _Reader:
    """Reads the words of one or several statements, and collects operations with their targets."""

    levels: list[_Level] = field(default_factory=lambda: [_Level()])
    parts: list[_Part] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)  # by WITH, from the end of its body on
    main: str | None = None
    before: str = ""
    expects: str = ""
    statements: int = 1

    def read(self, word: str, *, following: str) -> None:
        upper = word.upper()
        if word in "(),;":
            self._punctuation(word, following)
        elif self.expects:
            self._target(word, upper, following)
        elif upper in _VERBS and self.before not in _NOT_A_VERB_AFTER:
            self._verb(upper)
        elif upper in _BEFORE_A_TARGET:
            self._maybe_before_a_target(upper)
        elif upper in _END_OF_LIST:
            self.levels[-1].in_list = False
        else:
            self._maybe_a_name(word, upper, following.upper())
        self.before = upper

    def summarize(self, first: str) -> QuerySummary:
        parts = [part for part in self.parts if not self._is_redundant(part)]
        words = [word for part in parts for word in (part.operation, *part.targets) if word]
        summary = _joined(words if words and self.main else [first, *words])
        if self.statements > 1:
            return QuerySummary(None, None, summary)
        return QuerySummary(self.main or first, next(iter(self.targets)) if len(self.targets) == 1 else None, summary)

    def _is_redundant(self, part: _Part) -> bool:
        """`WITH t AS (SELECT ... FROM posts) SELECT ... FROM t`: the second one adds no target to the first."""
        others = (other for other in self.parts if other.operation == part.operation)
        return part.reads_names and not part.targets and any(other.targets for other in others)

    def _punctuation(self, mark: str, following: str) -> None:
        self.expects = ""
        if mark == "(":
            self.levels.append(_Level())
        elif mark == ")":
            if len(self.levels) > 1 and self.levels.pop().has_verb:
                self._end_of_definition()
        elif mark == ",":
            self._end_of_definition()
            self.expects = "FROM" if self.levels[-1].in_list else ""
        elif following:
            self.levels = [_Level()]
            self.statements += 1

    def _maybe_a_name(self, word: str, upper: str, following: str) -> None:
        """`WITH RECURSIVE a AS (...), b (n) AS (...)` defines `a` and `b`."""
        level = self.levels[-1]
        if upper == "WITH":
            level.in_with = True
        elif level.in_with and following in ("AS", "(") and self.before in ("WITH", "RECURSIVE", ","):
            level.defines = _name(word)
            if self.before == "RECURSIVE":  # then it may stand in its own body
                self._end_of_definition()

    def _end_of_definition(self) -> None:
        level = self.levels[-1]
        if level.defines:
            self.named.add(level.defines)
            level.defines = ""

    def _verb(self, verb: str) -> None:
        self._end_of_definition()
        self.levels[-1] = _Level(has_verb=True)
        self.parts.append(_Part(verb))
        if len(self.levels) == 1 and self.main is None:
            self.main = verb
        self.expects = verb if verb == "UPDATE" else ""

    def _maybe_before_a_target(self, keyword: str) -> None:
        """`EXTRACT(YEAR FROM x)`, `IS DISTINCT FROM x` and `FOR UPDATE` name no table."""
        level = self.levels[-1]
        has_no_table = self.before == "DISTINCT" or keyword == "UPDATE"
        if (level.has_verb or not self.parts) and not has_no_table:
            self.expects = keyword
            level.in_list = level.in_list or keyword in _BEFORE_A_LIST

    def _target(self, word: str, upper: str, following: str) -> None:
        if upper in _BETWEEN:
            return
        is_function = following == "(" and self.expects in ("FROM", "JOIN", "USING")
        self.expects = ""
        if upper in _VERBS:
            self._verb(upper)
        elif not is_function:
            self._add_target(_name(word))

    def _add_target(self, name: str) -> None:
        if not self.parts:
            self.parts.append(_Part(""))
        part = self.parts[-1]
        if name in self.named:
            part.reads_names = True
            return
        self.targets.add(name)
        if part.targets[-1:] != [name]:
            part.targets.append(name)


def _name(word: str) -> str:
    bare = word.translate(_NO_QUOTES)
    return bare if _PLAIN_NAME.fullmatch(bare) else word


_NO_QUOTES: Final = str.maketrans("", "", '"`[] ')


def _joined(parts: Sequence[str]) -> str:
    summary = ""
    for part in parts:
        longer = f"{summary} {part}".lstrip()
        if len(longer) > MAX_SUMMARY:
            break
        summary = longer
    return summary
