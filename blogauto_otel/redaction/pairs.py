"""Where, in running text, a name ends and its value begins and ends: as people, JSON, Python and shells write it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from blogauto_otel.redaction.keys import MARKER

MAX_BRACKETS: Final = 256

# password=x, "password": "x", 'password' => 'x', os.environ["PASSWORD"] = "x", Api Key: x
_SIGN: Final = re.compile(r"(?:=>|:=|={1,3}|:(?!:|//))\s{0,8}")
# A form in parts, as it is or as `repr` shows it: the value stands behind an empty line, and ends before the next part.
_END_OF_LINE: Final = r"(?:\r?\n|\\r\\n)"
_FIELD: Final = re.compile(
    r"; name=\\?\"([^\"\\\n]{1,80})\\?\"(?:; filename[^\r\n\\;]{0,80})?"
    rf"(?:{_END_OF_LINE}[^\r\n\\]{{1,80}}){{0,3}}{_END_OF_LINE}{{2}}"
)
_END_OF_FIELD: Final = re.compile(rf"{_END_OF_LINE}--|\Z")
# What pydantic, and so FastAPI, says of a value that does not fit: where it stands, and the value.
_MISFIT: Final = re.compile(
    r"(?:^|(?<=\\n))([\w.\-]{1,80})(?:\n|\\n)  [^\n\\\[]{1,200}\[type=\w{1,80}, input_value="
    r"|loc\\?[\"']: ?[\[(]([^\])\n]{1,200})[\])](?:[^\n{}l]|l(?!oc\\?[\"'])){1,300}?[\"']input\\?[\"']: ?",
    re.MULTILINE,
)
_FLAG: Final = re.compile(r"(?<![\w-])--(?=([\w-]+))\1\s{1,3}(?=[^\s-])")  # --password x
MAX_NAME: Final = 80
# Read backwards from the sign: what stands between, then the last two words.
_NAME_BACKWARDS: Final = re.compile(r"\s{0,8}\]?(?:[\"']\\*)?([\w.\-]+(?: [\w.\-]+)?)")
_DONE: Final = re.compile(rf"(?:{MARKER.pattern})+" + r"(?![^\s,;&\"'<>)\]}\\])")
_OPENER: Final = re.compile(r"[bruf]?(\"{3}|'{3}|\\*[\"'])")
_QUOTED: Final = {quote: re.compile(rf"[^{quote}\\]*(?:\\.[^{quote}\\]*)*", re.DOTALL) for quote in "\"'"}
_REST_OF_LINE: Final = re.compile(r"[^\r\n\"']*")
_OPENING: Final = ("[", "{", "(")
_BRACKET: Final = re.compile(r"[\[\](){}]")
# A quote, comma or backslash belongs to the value when more of it follows; a value that is a name brings its own along.
_BARE: Final = re.compile(
    r"(?:[\w.\-]{1,64}[:=]\s{1,3}){0,3}"
    r"(?:[^\s,;&\"'<>\\]|[\"'\\](?=[^\s,;&\"'<>)\]}:\\])|,(?![\s\"'\[{]|[\w.\-]{1,40}[\"']?[:=]|$))+"
)
_TO_END_OF_LINE: Final = frozenset({"cookie", "authorization"})
# No value yet, or a place for one in an SQL statement or a format.
_NO_SECRET: Final = re.compile(
    r"none|null|nil|true|false|undefined|\*+|\?|%s|%\(\w+\)s|\$[0-9]{1,3}(?:::\w+)?|\{\w*\}", re.IGNORECASE
)
_PLACEHOLDER: Final = re.compile(r":(?P<name>[a-z_]+)(?:_[0-9]+)?\)*")


class Named(NamedTuple):
    """A name in a text, and where what it names would begin."""

    name: str
    start: int
    value_start: int
    is_field: bool = False  # of a form in parts, whose values are anything


Find: TypeAlias = Callable[[int], "Named | None"]  # the next one from a position on


def names_in(text: str) -> Find:
    """Find names that are followed by a sign; the name is empty when nothing that is one stands before the sign."""
    length, backwards = len(text), text[::-1]

    def find(position: int) -> Named | None:
        sign = _SIGN.search(text, position)
        if sign is None:
            return None
        start, end = sign.span()
        before = _NAME_BACKWARDS.match(backwards, length - start, length - start + MAX_NAME)
        if before is None:
            return Named("", start, end)
        name_start = length - before.end()
        # `POST /oauth/token: 200` names a place, not a value.
        is_place = text[start] == ":" and text[name_start - 1 : name_start] == "/"
        is_ours = text.endswith("[redacted:", 0, name_start)
        return Named("" if is_place or is_ours else before[1][::-1], name_start, end)

    return find


def flags_in(text: str) -> Find:
    """Find options of a command line that are followed by a word."""

    def find(position: int) -> Named | None:
        flag = _FLAG.search(text, position)
        return None if flag is None else Named(flag[1], flag.start(), flag.end())

    return find


def fields_in(text: str) -> Find:
    """Find the fields of a form in parts."""

    def find(position: int) -> Named | None:
        field = _FIELD.search(text, position)
        return None if field is None else Named(field[1], field.start(), field.end(), is_field=True)

    return find


def misfits_in(text: str) -> Find:
    """Find values that a model of pydantic's has refused."""

    def find(position: int) -> Named | None:
        misfit = _MISFIT.search(text, position)
        return None if misfit is None else Named(misfit[1] or misfit[2], misfit.start(), misfit.end())

    return find


# What is in a text whenever there is something to be found in it, and who finds it.
FINDERS: Final[tuple[tuple[str, Callable[[str], Find]], ...]] = (
    ("; name=", fields_in),
    ("input", misfits_in),
    ("--", flags_in),
    ("", names_in),
)


def span_of_value(text: str, named: Named, what: str) -> tuple[int, int]:
    """Where the value begins and ends; an empty span when there is nothing to hide."""
    start = named.value_start
    if what not in _TO_END_OF_LINE and _DONE.match(text, start):
        return start, start
    start, end = (start, _end_of_field(text, start)) if named.is_field else _extent(text, start, what)
    value = text[start:end]
    if not value.strip() or is_no_secret(value) or _is_placeholder(value, named.name):
        return start, start
    return start, end


def is_no_secret(value: str) -> bool:
    """True when there is nothing to hide: no value, a place for one, or one that is hidden already."""
    return not value or _NO_SECRET.fullmatch(value) is not None or MARKER.fullmatch(value) is not None


def _is_placeholder(value: str, name: str) -> bool:
    """`password = :password_1` in an SQL statement."""
    found = _PLACEHOLDER.fullmatch(value)
    return found is not None and found["name"].rstrip("_") in {re.split("[ .]", name)[-1], "param"}


def _extent(text: str, start: int, what: str) -> tuple[int, int]:
    opener = _OPENER.match(text, start)
    if opener is not None:
        return opener.end(), _end_of_quoted(text, opener.end(), opener[1])
    if text.startswith(_OPENING, start) and not MARKER.match(text, start):
        return start, _end_of_bare(text, _end_of_brackets(text, start))
    if what in _TO_END_OF_LINE:
        rest = _REST_OF_LINE.match(text, start)
        return start, rest.end() if rest else start
    end = _end_of_bare(text, start)
    kept = text[start:end].rstrip(")]}")  # `Settings(password=x)`
    return start, start + len(kept) if kept else end


def _end_of_field(text: str, start: int) -> int:
    found = _END_OF_FIELD.search(text, start)
    return found.start() if found else len(text)


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    if len(quote) == 1:
        found = _QUOTED[quote].match(text, start)
        return found.end() if found else len(text)
    end = text.find(quote, start)
    return end if end >= 0 else len(text)


def _end_of_bare(text: str, start: int) -> int:
    found = _BARE.match(text, start)
    return found.end() if found else start


def _end_of_brackets(text: str, start: int) -> int:
    depth = 0
    for seen, found in enumerate(_BRACKET.finditer(text, start)):
        depth += 1 if found[0] in _OPENING else -1
        if depth == 0:
            return found.end()
        if seen >= MAX_BRACKETS:
            break
    return len(text)
