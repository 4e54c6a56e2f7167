"""Pairs of name and value in running text, as people, JSON, Python and shells write them: the limits of each value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.redaction.keys import MARKER
from blogauto_otel.redaction.values import is_code, is_message, is_no_secret, is_settings

MAX_BRACKETS: Final = 256

# Around names and values: quotes, plain or escaped by HTML and by JSON in HTML, and a terminal's colors.
_QUOTE: Final = r"(?:\\*[\"'`]|&quot;|&#3[49];|\\+u002[27])"
_COLOR: Final = r"(?:\x1b\[[0-9;]{0,8}m)?"
# password=x, "password": "x", 'password' => 'x', os.environ["PASSWORD"] = "x", Api Key: x
_SIGN: Final = lazy_pattern(
    rf"[=:\uff1a\uff1d](?:(?<==)[=>]{{0,2}}|(?<=:)(?:=|(?!:|//))|(?<=[\uff1a\uff1d]))\s{{0,8}}{_COLOR}"
)
# Multipart forms, plain or as `repr` prints them: the value follows an empty line and ends before the next part.
_END_OF_LINE: Final = r"(?:\r?\n|\\r\\n)"
_FIELD: Final = lazy_pattern(
    r"; name=\\?\"([^\"\\\n]{1,80})\\?\"(?:; filename[^\r\n\\;]{0,80})?"
    rf"(?:{_END_OF_LINE}[^\r\n\\]{{1,80}}){{0,3}}{_END_OF_LINE}{{2}}"
)
_END_OF_FIELD: Final = lazy_pattern(rf"{_END_OF_LINE}--")
# <password>x</password>
_ELEMENT: Final = lazy_pattern(r"<(?:\w{1,40}:)?([\w.\-]{1,80})(?:\s[^<>]{0,200})?>(?=[^<\s])")
_END_OF_ELEMENT: Final = lazy_pattern("<")
# ('password', 'x'), (b'x-api-key', b'x'), ["x-api-key", "x"]: exactly two; more would be a list of names
_PAIR: Final = lazy_pattern(
    rf"[(\[]\s?(?:[bu]?{_QUOTE}){{1,2}}([\w.\- ]{{1,80}}){_QUOTE}{{1,2}},\s{{0,12}}(?=[bu]?(?:{_QUOTE}|[\[({{]))"
)
_END_OF_PAIR: Final = lazy_pattern(rf"{_QUOTE}?\s?,?\s?[)\]]")
# {"name": "password", "value": "x"}, <input name="password" value="x">, and the same on two lines of YAML
_ENTRY: Final = lazy_pattern(
    r"[NnKkFfHhPp](?<!\w.)(?:(?<=[Nn])ame|(?<=[Kk])ey|(?<=[Ff])ield|(?<=[Hh])eader|(?<=[Pp])aram(?:eter)?|(?<=k))\\*[\"']?\s?[:=]\s?\\*[\"']?(?=([\w.\-]{1,80}))\1"
    r"(?:\\*[\"']?,?\s{1,16}|\\*[\"'],)\\*[\"']?(?:[Vv]alue|v)\\*[\"']?\s?[:=]\s?"
)
# The same with the value first: {"value": "x", "key": "password"}
_ENTRY_BACKWARDS: Final = lazy_pattern(
    r"[Vv](?<!\w.)alue\\*[\"']\s?[:=]\s?(?=\\*[\"'][^\"'\\\r\n]{1,256}\\*[\"'],\s{0,4}"
    r"\\*[\"'](?:[Nn]ame|[Kk]ey|[Ff]ield|[Hh]eader)\\*[\"']\s?[:=]\s?\\*[\"']([\w.\-]{1,80})\\*[\"'])"
)
# A validation error of pydantic, and so of FastAPI: the location of the value, and the value.
_LOCATION: Final = r"(?:[^\])\n\"']|\"[^\"\n]{0,200}\"|'[^'\n]{0,200}')"
_INVALID_INPUT: Final = lazy_pattern(
    r"(?:^|(?<=\\n))([\w.\-]{1,80}(?:[\[(][^\n\\]{0,160})?)(?:\n|\\n)  (?:[^\n\\\[]|\\(?!n)|\[(?!type=)){1,400}"
    r"\[type=\w{1,80}, input_value="
    rf"|loc\\?[\"']: ?[\[(]({_LOCATION}{{1,200}})[\])](?:[^\nl]|l(?!oc\\?[\"'])){{1,600}}?[\"']input\\?[\"']: ?",
    re.MULTILINE,
)
_BRACKETS: Final = lazy_pattern(r"\([^()]{0,160}\)|\[[^\[\]]{0,160}\]")
# --password x, -storepass x, ['--password', 'x']
_FLAG: Final = lazy_pattern(r"-(?<![\w-]-)-?(?=([\w-]+))\1(?:\s{1,3}(?=[^\s-])|\\*[\"'],\s?(?=[bu]?\\*[\"'][^-]))")
MAX_NAME: Final = 80
_GROUPS_OF_DIGITS: Final = lazy_pattern(r"[0-9]{2,6}(?:[ -][0-9]{2,7}){1,5}")
_IN_GROUPS: Final = frozenset({"card", "account", "personal-id"})
_WORDS: Final = lazy_pattern(r"[a-z]{2,20}(?: [a-z]{2,20}){1,8}")
_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "token"})
MAX_COUNT: Final = 3  # digits
# Read backwards from the sign: quotes and colors, then the last two words.
_NAME_BACKWARDS: Final = lazy_pattern(
    r"(?:m[0-9;]{0,8}\[\x1b)?\s{0,8}\]?(?:(?:[\"'`]\\*){1,2}|;touq&|;(?:43|93)#&|[27]200u\\+|\*{1,2})?"
    r"([\w.\-]+(?: [\w.\-]+)?)"
)
_ARN: Final = lazy_pattern(r":[\w:-]{1,80}:nra(?!\w)")  # backwards
# https://app.example.org/password/reset/TOKEN, and Django's /reset/USER/TOKEN/
_LINK: Final = lazy_pattern(
    r"/(?:password|reset|verify|confirm|activate|magic)[\w-]{0,24}/(?:[a-z-]{2,12}/)?(?:[A-Za-z0-9]{1,8}/)?"
    r"(?=[A-Za-z_-]{0,64}[0-9])(?=[\w-]{20})"
)
_END_OF_SEGMENT: Final = lazy_pattern(r"[^\w-]|\Z")
_DONE: Final = lazy_pattern(rf"(?:{MARKER.pattern})+" + r"(?![^\s,;&\"'<>)\]}\\])")
_OPENER: Final = lazy_pattern(rf"[bruf]?(\"{{3}}|'{{3}}|{_QUOTE})")
_QUOTED: Final = {quote: lazy_pattern(rf"[^{quote}\\]*(?:\\.[^{quote}\\]*)*", re.DOTALL) for quote in "\"'`"}
# Digest username="bob", response="x"
_REST_OF_LINE: Final = lazy_pattern(r"(?:[^\r\n\"'=]+|=\\*\"[^\r\n\"]*\"?|='[^\r\n']*'?|=)*")
# BasicAuth('bob', 'x'), <Secret 'x'>, str = 'x' of an annotation, and blocks and lists of YAML
_WHOLE: Final = lazy_pattern(
    r"[\w.]{1,64}\([^\r\n()]{0,256}\)|<[^<>/\r\n][^<>\r\n]{0,256}>"
    r"|[\w.\[\]|]{1,40}(?: \| \w{1,40})? ?= ?[bruf]?(?:\"[^\"\r\n]{0,256}\"|'[^'\r\n]{0,256}')"
    r"|[|>][-+]?[0-9]?(?:\r?\n[ \t]+[^\r\n]*)+|- +[^\r\n]*(?:\r?\n[ \t]*- [^\r\n]*)*"
)
_OPENING: Final = ("[", "{", "(")
_BRACKET: Final = lazy_pattern(r"[\[\](){}]")
# A quote, comma or backslash belongs to the value when more of it follows; so does the value of a name in the value.
_BARE: Final = lazy_pattern(
    r"(?:[\w.\-]{1,64}[:=]\s{1,3}){0,3}"
    r"(?:[^\s,;&\"'<>\\]|[\"'\\](?=[^\s,;&\"'<>)\]}:\\])|,(?![\s\"'\[{]|[\w.\-]{1,40}[\"']?[:=]|$))+"
)
_TO_END_OF_LINE: Final = frozenset({"cookie", "authorization"})
# A placeholder for a value in an SQL statement.
_PLACEHOLDER: Final = lazy_pattern(r":(?P<name>[a-z_]+)(?:_[0-9]+)?\)*")


class Named(NamedTuple):
    """A name in a text, and the position of its value."""

    name: str
    start: int
    value_start: int
    end: re.Pattern[str] | None = None  # the end of a value that may contain anything
    closes: bool = False  # True: the brackets around must close after the value, or it is no name
    sign: int = -1  # position of the sign between them; -1 without one


Find: TypeAlias = Callable[[int], "Named | None"]  # the next name from a position on


def names_in(text: str) -> Find:
    """Find names that are followed by a sign; the name is empty when there is none before the sign."""
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
        # `POST /oauth/token: 200` is a path, not a name, and `arn:aws:...:secret:app/db` is the name of a resource.
        is_path = text[start] == ":" and (
            text[name_start - 1 : name_start] == "/" or _ARN.match(backwards, length - name_start) is not None
        )
        is_ours = text.endswith("[redacted:", 0, name_start)
        name = "" if is_path or is_ours else before[1][::-1]
        if text.endswith("\x1b[", 0, name_start):  # the color's own number and letter
            name = name.partition("m")[2]
        return Named(name, name_start, end, None, False, start)

    return find


def _each(
    expression: re.Pattern[str], end: re.Pattern[str] | None = None, *, name: str = "", closes: bool = False
) -> Callable[[str], Find]:
    """A finder of what an expression finds; the name is its first group, unless it always is the same."""

    def finder(text: str) -> Find:
        def find(position: int) -> Named | None:
            found = expression.search(text, position)
            return None if found is None else Named(name or found[1], found.start(), found.end(), end, closes)

        return find

    return finder


def _without_brackets(location: str) -> str:
    """`users[0].password`, and `password` of `password.function-after[check(), str]`."""
    return _BRACKETS.sub("", _BRACKETS.sub("", location))


def invalid_inputs_in(text: str) -> Find:
    """Find values that a pydantic model refused."""

    def find(position: int) -> Named | None:
        found = _INVALID_INPUT.search(text, position)
        return None if found is None else Named(_without_brackets(found[1] or found[2]), found.start(), found.end())

    return find


pairs_in: Final = _each(_PAIR, closes=True)
entries_in: Final = _each(_ENTRY)
links_in: Final = _each(_LINK, _END_OF_SEGMENT, name="token")
# A piece of text without which a finder finds nothing, and the finder.
FINDERS: Final[tuple[tuple[str, Callable[[str], Find]], ...]] = (
    ("; name=", _each(_FIELD, _END_OF_FIELD)),
    ("input", invalid_inputs_in),
    ("-", _each(_FLAG)),
    ("</", _each(_ELEMENT, _END_OF_ELEMENT)),
    ("',", pairs_in),
    ('",', pairs_in),
    ("value", entries_in),
    ("Value", entries_in),
    ("'v'", entries_in),
    ('"v"', entries_in),
    ("value", _each(_ENTRY_BACKWARDS)),
    ("/", links_in),
    ("", names_in),
)


def span_of_value(text: str, named: Named, kind: str) -> tuple[int, int]:
    """Where the value begins and ends; an empty span when it is no secret."""
    start = named.value_start
    to_end_of_line = kind in _TO_END_OF_LINE and not named.closes
    if not to_end_of_line and _DONE.match(text, start):
        return start, start
    if named.end is None:
        if named.sign >= 0 and (is_code(text, _sign(text, named), start) or _is_same_name(text, named)):
            return start, start
        start, end = _extent(text, start, to_end_of_line=to_end_of_line)
        if kind in _IN_GROUPS:
            end = max(end, _end_of_groups(text, start))
    else:
        found = named.end.search(text, start)
        end = found.start() if found else len(text)
    value = text[start:end]
    if not value.strip() or is_no_secret(value) or _is_placeholder(value, named.name) or is_settings(value):
        return start, start
    if named.sign >= 0 and is_message(text, start, end, sign=text[named.sign], is_quoted=start > named.value_start):
        return start, start
    if to_end_of_line and _is_status(value):
        return start, start
    if value.isdecimal() and _is_count(value, named.name, kind):
        return start, start
    if named.closes and value[-1] not in ")]}" and not _END_OF_PAIR.match(text, end):
        return start, start
    return start, end


def _sign(text: str, named: Named) -> str:
    """`:`, `=`, or ` = ` when there are blanks around it."""
    has_blanks = text[named.sign] == "=" and text[named.sign - 1] == " " == text[named.value_start - 1]
    return " = " if has_blanks else text[named.sign]


def _is_status(value: str) -> bool:
    """True for `auth=ok user=1` and `auth: session created`, False for `Authorization: Basic dXNlcjpwYXNz`."""
    first = value.split(None, 1)[0].rstrip(",;")
    return first.lower() not in _SCHEMES and (is_no_secret(first) or _WORDS.fullmatch(value) is not None)


def _is_same_name(text: str, named: Named) -> bool:
    """Whether the value is the name itself, as in `this.token = token;` and `volume "app-secret" : secret "x"`."""
    endings = _AFTER_SAME_NAME.get(_sign(text, named))
    if endings is None:
        return False
    last = re.split("[ .-]", named.name)[-1]
    return text.startswith(last, named.value_start) and text.startswith(endings, named.value_start + len(last))


_AFTER_SAME_NAME: Final = {" = ": (";", "\n"), ":": (' "', " '")}


def _is_count(value: str, name: str, kind: str) -> bool:
    """Whether the value is a count, as in `secrets: 3 loaded` and `pass=12 fail=1`."""
    return len(value) <= MAX_COUNT and (
        name.lower().endswith("pass") or (kind == "secret" and name.lower().endswith("s"))
    )


def _is_placeholder(value: str, name: str) -> bool:
    """Whether the value is a placeholder, as in `password = :password_1` of an SQL statement."""
    found = _PLACEHOLDER.fullmatch(value)
    return found is not None and found["name"].rstrip("_") in {re.split("[ .]", name)[-1], "param"}


def _extent(text: str, start: int, *, to_end_of_line: bool) -> tuple[int, int]:
    opener = _OPENER.match(text, start)
    if opener is not None:
        return opener.end(), _end_of_quoted(text, opener.end(), opener[1])
    if text.startswith(_OPENING, start) and not MARKER.match(text, start):
        return start, _end_of_bare(text, _end_of_brackets(text, start))
    whole = _WHOLE.match(text, start)
    if to_end_of_line:
        rest = _REST_OF_LINE.match(text, start if whole is None else whole.end())
        return start, rest.end() if rest else start
    if whole is not None:
        return start, whole.end()
    end = _end_of_bare(text, start)
    kept = text[start:end].rstrip(")]}")  # `Settings(password=x)`
    return start, start + len(kept) if kept else end


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    if len(quote) == 1:
        found = _QUOTED[quote].match(text, start)
        return found.end() if found else len(text)
    end = text.find(quote, start)
    return end if end >= 0 else len(text)


def _end_of_groups(text: str, start: int) -> int:
    """Where a number in groups ends, as in `card_number: 4929 1234 5678 9019`."""
    found = _GROUPS_OF_DIGITS.match(text, start)
    return found.end() if found else start


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
