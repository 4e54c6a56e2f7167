"""Regular expressions of the Collector's redaction, made from the package's tables: RE2 has no lookaround.

A boundary before a match becomes a group that stays, one behind it goes. An expression that begins with a literal is
looked for fifty times as fast as another: hence so many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from blogauto_otel.redaction import keys
from blogauto_otel.redaction.database_errors import WORDINGS
from blogauto_otel.redaction.issuers import ISSUERS
from blogauto_otel.redaction.pattern import Pattern
from blogauto_otel.redaction.patterns import PATTERNS, TOKENS

_LOOKAROUND: Final = re.compile(r"\(\?(?:<?[=!])")
_BOUNDARY_BEFORE: Final = re.compile(r"^(?:\(\?<!(?:\[[^\]]*\]|\\w)\))+")
_BOUNDARY_BEHIND: Final = re.compile(r"(?:\(\?!(?:\[[^\]]*\]|\\w)\))+$")
_KEEP: Final = re.compile(r"\((?!\?)")
# No value begins with these: a placeholder, a marker of the SDK or of this stage, a structure.
_NO_VALUE: Final = r"""\s"'\\,;&*$<{(\[?%"""


def to_re2(pattern: Pattern) -> str | None:
    """The pattern as RE2 has it; None when RE2 cannot express it."""
    if pattern.re2 is None:
        return None
    text = pattern.re2 or _BOUNDARY_BEHIND.sub("", _BOUNDARY_BEFORE.sub(r"\\b", pattern.expression.pattern))
    text = text.replace("(?P<keep>", "(").replace(r"\Z", r"\z")
    if not pattern.re2 and pattern.expression.flags & re.IGNORECASE:
        text = f"(?i:{text})"
    if _LOOKAROUND.search(text):
        raise ValueError(f"RE2 has no lookaround: give {pattern.kind} {pattern.triggers} its own `re2`: {text}")
    return text


ATOMS: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_ATOM: Final = re.compile(r"(?:\\x\{[0-9a-f]+\}|\\.|\[[^\]]*\]|.)\??", re.DOTALL)
Sequences = Iterable[tuple[str, ...]]


def alternatives(texts: Iterable[str]) -> str:
    """One expression of many as a tree of their beginnings: what they share is tried once."""
    return _tree(tuple(_ATOM.findall(text)) for text in texts)


def _tree(sequences: Sequences) -> str:
    rests: dict[str, list[tuple[str, ...]]] = {}
    chosen = sorted(set(sequences), key=lambda atoms: (not "".join(atoms[:1]).isascii(), atoms))
    for atoms in filter(None, chosen):
        rests.setdefault(atoms[0], []).append(atoms[1:])
    branches = [first + (_tree(rest) if any(rest) else "") for first, rest in rests.items()]
    is_optional = () in chosen
    text = branches[0] if len(branches) == 1 and not is_optional else f"(?:{'|'.join(branches)})"
    return text + "?" * is_optional


def by_beginning(words: Iterable[str]) -> Iterator[str]:
    """Words in lower case, capitalised and in upper case, each expression with a literal of its own at its beginning.

    Go looks for a literal at the beginning of an expression in 30 ns a text; without one, each place costs 20 ns for
    every way in which the expression can begin.
    """
    groups: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        groups.setdefault(word.split(" ")[0][:4], []).append(word)
    for group in groups.values():
        stem = _shared(group).split(" ")[0]
        rest = alternatives(_spaced(word[len(stem) :]) for word in group) if group != [stem] else ""
        for variant in dict.fromkeys((stem, stem.capitalize(), stem.upper())):
            yield f"{re.escape(variant)}(?i:{rest})" if rest else re.escape(variant)


def _shared(words: Sequence[str]) -> str:
    """The beginning that all words share; the first and the last of a sorted list differ the most."""
    first, last = words[0], words[-1]
    length = 0
    while first[length : length + 1] == last[length : length + 1] != "":
        length += 1
    return first[:length]


def _spaced(words: str) -> str:
    return re.escape(words).replace(r"\ ", "[ _.-]?")


def literal_first(text: str) -> Iterator[str]:
    """Each alternative, without the boundary before a literal."""
    for alternative in _split(text):
        yield re.sub(r"^(\(?)\\b(?=[A-Za-z0-9]{3})", r"\1", alternative)


def _split(text: str) -> list[str]:
    """The alternatives of an expression that are in no group."""
    parts, depth = [""], 0
    for atom in ATOMS.findall(text):
        depth += (atom == "(") - (atom == ")")
        if atom == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += atom
    return parts


def issued() -> str:
    """Every token that begins with its issuer's prefix."""
    sequences = (
        (*_ATOM.findall(re.escape(prefix)), f"[{issuer.characters}]{{{min(issuer.least, 20)},}}")
        for issuer in ISSUERS
        for prefix in issuer.prefixes
    )
    return f"(^|[^A-Za-z0-9]){_tree(sequences)}"


def rows(*tables: keys.Table) -> list[str]:
    """All words of some tables."""
    return [word for table in tables for row in table.values() for word in row]


_WORDS: Final = rows(keys.WORDS, keys.LAST)
WHOLE_WORDS: Final = [word for word in _WORDS if word.isascii()]
ANYWHERE: Final = [
    *(word for word in rows(keys.ANYWHERE, keys.ENDINGS, keys.PAIRS) if word != "token"),
    *(word for word in _WORDS if not word.isascii()),
]
_NAME_ENDS: Final = r"(?:[ _.-]?(?:id|value|hash|key|string|number|code|[0-9]{1,2}))?"
# `token`, and not `page_token` or `token_id`, which are a position in a list and a number.
_NOT_OF_PAGES: Final = (
    r"(?:^|[^eE_.-]|(?:^|[^gG])[eE]|(?:^|[^aA])[gG][eE]|(?:^|[^pP])[aA][gG][eE])[_.-]{0,3}(?i:token)"
    r"(?:[ _.-]?(?:value|hash|key|string|[0-9]{1,2}))?"
)


def secret_names() -> str:
    """The end of a name whose value is a secret; a word that makes it harmless would follow."""
    others = rf"(?:{alternatives(map(_spaced, ANYWHERE))}|(?:\b|_){alternatives(WHOLE_WORDS)}){_NAME_ENDS}"
    return rf"(?:{others}|{_NOT_OF_PAGES})"


def _alternatives(*tables: keys.Table) -> str:
    return alternatives(map(re.escape, rows(*tables)))


def named() -> str:
    """`password=x`, `"password": "x"`, `비밀번호: x1`, `password = x1`."""
    return f"(?i){_with_value(secret_names())}"


def named_by_beginning() -> Iterator[str]:
    """The same, as several expressions that each begin with a literal, and two for words that need what is before."""
    for name in by_beginning(ANYWHERE):
        yield _with_value(f"{name}(?i:{_NAME_ENDS})")
    yield rf"(?i)(?:\b|_){_with_value(alternatives(WHOLE_WORDS) + _NAME_ENDS)}"
    yield _with_value(_NOT_OF_PAGES)


# What a value without quotes looks like; RE2 cannot say `not one of these words`.
_SIGN: Final = "0-9!@#^+/~"
_REST: Final = r"[^\s\"',;&자]"
# At least four characters with a digit or sign among them: `pass: 12` and `token: 200` count something.
_MIXED: Final = (
    rf"(?:[^{_NO_VALUE}]{_REST}{{2}}{_REST}*[{_SIGN}]{_REST}*|[^{_NO_VALUE}]{_REST}?[{_SIGN}]{_REST}{{2}}{_REST}*"
    rf"|[{_SIGN}]{_REST}{{3}}{_REST}*)"
)
_LONG_WORD: Final = r"[A-Za-z가-힣_-]{5}[^\s\"',;&]*"
_IN_CODE: Final = r"[A-Za-z0-9+/_!@#^-]*[0-9][A-Za-z0-9+/=_!@#^-]{3}[A-Za-z0-9+/=_!@#^-]*"  # no call, no attribute
_QUOTED: Final = r"[^\s\"'\\*$<{\[?%:][^\s\"'\\]"


def _with_value(name: str) -> str:
    """A name, and a value in quotes, close behind `=`, behind ` = ` in a program, or behind a colon."""
    return (
        rf"({name}\\?[\"'`]?\]?)(?:((?:=>|:=|[=\x{{ff1d}}])\s?)(?:{_MIXED}|{_LONG_WORD})"
        rf"|(\s?(?:=>|:=|[=\x{{ff1d}}])\s?\\?[\"']){_QUOTED}*|(\s(?:=>|:=|=)\s){_IN_CODE}"
        rf"|(\s?[:\x{{ff1a}}]\s{{0,4}}\\?[\"']){_QUOTED}+|(\s?[:\x{{ff1a}}]\s{{0,4}}(?:\|\s{{1,4}})?){_MIXED})"
    )


def header_lines() -> str:
    """The rest of the line after the names of headers whose values are secrets."""
    return (
        r"(?i)(\b(?:set-cookie|cookie)[\"']?\s?:\s?[\"']?)[^\s\r\n\"'*\[{][^\r\n\"'=]*=[^\r\n\"']+"
        r"|(\bauthorization[\"']?\s?:\s?[\"']?)[^\s\r\n\"'*\[][^\r\n\"']{8,}"
    )


def flags() -> str:
    """Options of a command line that name a secret, as in `--password x`."""
    names = _alternatives(keys.ANYWHERE, keys.ENDINGS)
    return rf"(?i)((?:^|\s|[\"'])--?[a-z-]{{0,20}}(?:{names})(?:\s|[\"'],\s?[\"']))[^\s\"'-][^\s\"']*"


def pairs_of_values() -> str:
    """`{"key": "password", "value": "x"}`, `('password', 'x')`, `<password>x</password>`."""
    opening = r"(?:\b(?:name|key|field|header|k)[\"']?\s?[:=]\s?[\"']?|[(\[]\s?b?[\"']|<)"
    closing = (
        r"(?:[\"']?,?\s{1,4}[\"']?(?:value|v)[\"']?\s?[:=]\s?|[\"'],[\"'](?:value|v)[\"']:"
        r"|[\"'],\s*[b\[(]?[\"']|(?:\s[^<>]*)?>)"
    )
    return rf"(?i)({opening}[a-z_.:-]*{secret_names()}{closing})[^\s*<\[][^<\n)\]}}]*"


def whole_matches() -> Iterator[str]:
    """Values between other text that would have to stay: the `redaction` processor replaces all of it."""
    end = r"\\?[\"']"
    name = rf"(?i:[a-z_.-]*{secret_names()})"
    yield (
        r"\"[Vv]alue\"\s?:\s?\"[^\"]+\",\s*\"(?i:name|key|field|header)\"\s?:\s?"
        rf"\"{name}\""
    )
    line = r"(?:\r?\n|\\r\\n)"
    yield rf"; name=\"{name}\"[^\r\n\\]*{line}(?:[^\r\n\\]+{line})*{line}[^\r\n\\]+"
    yield r"(?:auth=|AUTH=)\(\s?b?[\"'][^\"'\n]*[\"'],\s?b?[\"'][^\"'\n]+"
    yield r"Digest username=[^\r\n]+"
    yield r"http -a [^\s:\"',]+:[^\s\"',]+"
    yield r"assword[\"']?\s?[:=]\s?[\"']?[A-Za-z0-9]{4}(?: [A-Za-z0-9]{4}){3,5}"
    yield r"(?:backup|recovery)[ _-]codes?[\"']?\s?[:=]\s?\[[^\]\n]+\]"
    yield r"oken\"\s?:\s?\{[^{}]*[A-Za-z0-9_-]{20,}[^{}]*\}"
    yield r"_KEY[\"']?\s?[:=]\s?[\"']?[A-Za-z0-9_+/-]{20,}"
    yield r" code=[A-Za-z0-9_-]{20,}"
    for beginning in ("/password", "/reset", "/verify", "/confirm", "/activate", "/magic"):  # links sent by mail
        yield rf"{beginning}[\w-]*/(?:[a-z-]{{2,12}}/)?(?:[A-Za-z0-9]{{1,8}}/)?[\w-]{{20,}}"
    for name in ("assword", "asswd", "ecret", "pi_key", "oken"):  # pydantic's errors
        yield rf"{name}(?s:.)*?(?:input_value=|input{end}: ?)(?:\{{[^\n}}]+|{end}[^\n\"']+)"


def parameters() -> str:
    """Parameters of URLs, whose values are secrets there and nowhere else."""
    short = "|".join(name.replace(" ", "_?") for row in keys.PARAMETERS.values() for name in row if name != "state")
    long, words = (f"{alternatives(map(_spaced, names))}{_NAME_ENDS}" for names in (ANYWHERE, WHOLE_WORDS))
    value = r"[^&#\s\"'<>*\[]"
    return (
        rf"(?i)([?&;#](?:[\w.%-]{{0,40}}[_.-])?(?:{short}|{words})=|[?&;#][\w.%-]{{0,40}}{long}="
        rf"|[?&;#](?:[\w.%-]{{0,40}}{_NOT_OF_PAGES}|token)=)"
        rf"(?:{value}{{4}}{value}{{0,200}}[0-9%][^&#\s\"'<>]*|[0-9%]{value}{{5}}{value}*"
        rf"|{value}{{1,4}}[0-9%]{value}{{3}}{value}*|{value}{{21,}})|([?&](?:state|nonce)=){value}{{16,}}"
    )


def cards() -> str:
    """Numbers of cards by range and length; RE2 has no check digit."""
    start = r"(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6011|65[0-9]{2}|62[0-9]{2}|35[2-8][0-9])"
    return (
        rf"(^|[^\w.-]){start}(?:[0-9]{{12}}|(?: [0-9]{{4}}){{3}}|(?:-[0-9]{{4}}){{3}})\b"
        r"|(^|[^\w.-])3[47][0-9]{2}(?:[0-9]{11}|[ -][0-9]{6}[ -][0-9]{5})\b"
        r"|(\bcv[vc]2?[\"']?\s?[:=]\s?[\"']?)[0-9]{3,4}\b"
    )


def errors() -> Iterator[str]:
    """What databases quote. The first letter of a wording may be a capital and is left out."""
    yield r"(\[SQL: [^\n'\"$]*)['\"$][^\n]*"
    for wording in WORDINGS:
        text = (wording.re2 or wording.expression).replace("(?P<keep>", "(").replace(r"\Z", r"\z")
        if _LOOKAROUND.search(text):
            raise ValueError(f"RE2 has no lookaround: give {wording.trigger!r} its own `re2`")
        yield re.sub(r"^\(\\b(?:[a-z](?=[a-z]| ))?", "(", text)


# Whole values that hold no secret, whatever is looked for in them: a short word, a number, a path, a host, the name of
# a program, a URL with ordinary parameters. They skip 300 expressions.
_SHORT: Final = r"[A-Za-z0-9_.{}*-]{0,14}"
_ORDINARY_PARAMETERS: Final = (
    "page|size|limit|offset|per_page|sort|order|q|lang|locale|from|to|date|format|fields|type|status|category"
)


def allowed_values() -> list[str]:
    """Expressions of values that are passed without being looked through."""
    host = r"[a-z0-9-]{1,24}(?:\.[a-z0-9-]{1,24}){0,6}(?::[0-9]{1,5})?"
    path = rf"(?:/{_SHORT}){{1,12}}"
    return [
        r"^[A-Za-z0-9_./{}*,;()+-]{0,14}$$",
        rf"^{_SHORT}{path}$$",
        r"^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$$",
        r"^(?:[0-9a-f]{16}){1,4}$$",
        rf"^(?:https?://)?{host}(?:{path})?(?:\?(?:(?:{_ORDINARY_PARAMETERS})=[A-Za-z0-9_,.-]{{0,14}}&?){{1,8}})?$$",
        rf"^(?:(?:{_ORDINARY_PARAMETERS})=[A-Za-z0-9_,.-]{{0,14}}&?){{1,8}}$$",
        r"^[A-Za-z-]{1,20}/[0-9.]{1,12}(?: [A-Za-z-]{1,20}/[0-9.]{1,12}| \([A-Za-z0-9 ;,._:/+-]{0,60}\))*$$",
    ]


def blocked_values() -> list[str]:
    """Expressions of values that are replaced everywhere, in maps and lists as well."""
    return [
        *whole(),
        *errors(),
        header_lines(),
        *whole_matches(),
        cards(),
        pairs_of_values(),
        *named_by_beginning(),
        parameters(),
        flags(),
    ]


def whole() -> list[str]:
    """Expressions of secrets that need no name."""
    texts = (to_re2(pattern) for pattern in (*PATTERNS, *TOKENS) if pattern.kind != "sql-values")
    return [issued(), *dict.fromkeys(one for text in texts if text is not None for one in literal_first(text))]
