"""Generate `collector/process-redact.yaml` from the package's tables, so that both catch the same secrets.

    python -m tools.generate_collector_redaction            write the file
    python -m tools.generate_collector_redaction --check    exit status 1 when it is out of date

RE2 has no lookaround: a boundary before a match becomes a group that stays, one behind it goes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from blogauto_otel.redaction import keys
from blogauto_otel.redaction.database_errors import WORDINGS
from blogauto_otel.redaction.issuers import ISSUERS
from blogauto_otel.redaction.patterns import PATTERNS, TOKENS, Pattern

PATH: Final = Path(__file__).resolve().parent.parent / "collector" / "process-redact.yaml"
MASK: Final = "$${1}$${2}$${3}$${4}***"  # groups that an expression lacks are empty
_LOOKAROUND: Final = re.compile(r"\(\?(?:<?[=!])")
_BOUNDARY_BEFORE: Final = re.compile(r"^(?:\(\?<!(?:\[[^\]]*\]|\\w)\))+")
_BOUNDARY_BEHIND: Final = re.compile(r"(?:\(\?!(?:\[[^\]]*\]|\\w)\))+$")
_KEEP: Final = re.compile(r"\((?!\?)")
# No value begins with these: a placeholder, a marker of the SDK or of this stage, a structure.
_NO_VALUE: Final = r"""\s"'\\,;&*$<{(\[?%"""


def main(arguments: Sequence[str]) -> int:
    """Write the file, or compare it."""
    text = render()
    if "--check" in arguments:
        if PATH.read_text() == text:
            return 0
        print(f"{PATH.name} is out of date: python -m tools.generate_collector_redaction")
        return 1
    PATH.write_text(text)
    return 0


# --- expressions ------------------------------------------------------------------------------------------------------


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


def issued() -> str:
    """Every token that begins with its issuer's prefix."""
    by_form: dict[tuple[str, int], list[str]] = {}
    for issuer in ISSUERS:
        by_form.setdefault((issuer.characters, issuer.least), []).extend(map(re.escape, issuer.prefixes))
    forms = (f"(?:{'|'.join(prefixes)})[{characters}]{{{least},}}" for (characters, least), prefixes in by_form.items())
    return rf"(?:^|[^A-Za-z0-9])(?:{'|'.join(forms)})"


def secret_names() -> str:
    """The end of a name whose value is a secret; a word that makes it harmless would follow."""
    words = [word for table in (keys.WORDS, keys.LAST) for row in table.values() for word in row]
    anywhere = "|".join([_alternatives(keys.ANYWHERE, keys.ENDINGS), *(word for word in words if not word.isascii())])
    pairs = "|".join(pair.replace(" ", "[ _.-]?") for table in (keys.PAIRS,) for row in table.values() for pair in row)
    return (
        rf"(?:{anywhere}|(?:\b|_)(?:{'|'.join(word for word in words if word.isascii())})|{pairs})"
        r"(?:[ _.-]?(?:id|value|hash|key|string|number|code|[0-9]{1,2}))?"
    )


def _alternatives(*tables: keys.Table) -> str:
    return "|".join(re.escape(word) for table in tables for row in table.values() for word in row)


def named() -> str:
    """`password=x`, `"password": "x"`, `비밀번호: x1`: after a colon, an unquoted value contains a digit or a sign."""
    name = rf"({secret_names()}\\?[\"'`]?\]?\s?)"
    free = rf"[^{_NO_VALUE}][^\s\"',;&]*"
    mixed = rf"[^{_NO_VALUE}]?[^\s\"',;&]*[0-9!@#^+/~][^\s\"',;&]*"
    return (
        rf"(?i){name}(?:((?:=>|:=|[=\x{{ff1d}}])\s?\\?[\"']?){free}"
        rf"|([:\x{{ff1a}}]\s{{0,4}}\\?[\"'])[^\s\"'\\*$<{{\[?%][^\s\"'\\]+|([:\x{{ff1a}}]\s{{0,4}}){mixed})"
    )


def header_lines() -> str:
    """The rest of the line after the names of headers whose values are secrets."""
    return r"(?i)(\b(?:set-cookie|cookie|authorization)[\"']?\s?:\s?[\"']?)[^\r\n\"'*\[][^\r\n\"']{7,}"


def flags() -> str:
    """Options of a command line that name a secret, as in `--password x`."""
    names = _alternatives(keys.ANYWHERE, keys.ENDINGS)
    return rf"(?i)((?:^|\s|[\"'])--?[a-z-]{{0,20}}(?:{names})(?:\s|[\"'],\s?[\"']))[^\s\"'-][^\s\"']*"


def pairs_of_values() -> str:
    """`{"key": "password", "value": "x"}`, `('password', 'x')`, `<password>x</password>`."""
    opening = r"(?:(?:name|key|field|header)[\"']?\s?[:=]\s?[\"']?|[(\[]b?[\"']|<)"
    closing = r"(?:[\"']?,?\s{1,4}[\"']?value[\"']?\s?[:=]\s?|[\"'],\s*|(?:\s[^<>]*)?>)"
    return rf"(?i)({opening}[a-z_.:-]*{secret_names()}{closing})[^\s*<\[][^<\n)\]}}]*"


def parameters() -> str:
    """Parameters of URLs, whose values are secrets there and nowhere else."""
    names = "|".join(name.replace(" ", "_?") for row in keys.PARAMETERS.values() for name in row if name != "state")
    return (
        rf"(?i)([?&;#](?:[\w.%-]{{0,40}}[_.-])?(?:{names}|[\w.%-]{{0,40}}{secret_names()})=)"
        r"(?:[^&#\s\"'<>*\[]{0,200}[0-9%][^&#\s\"'<>]*|[^&#\s\"'<>*\[]{21,})|([?&](?:state|nonce)=)[^&#\s\"'<>*\[]{16,}"
    )


def cards() -> str:
    """Numbers of cards by range and length; RE2 has no check digit."""
    return (
        r"\b(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6011|65[0-9]{2}|62[0-9]{2}|35[2-8][0-9])"
        r"(?:[0-9]{12}|[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4})\b|\b3[47][0-9]{2}(?:[0-9]{11}|[ -][0-9]{6}[ -][0-9]{5})\b"
    )


def errors() -> Iterator[str]:
    """What databases quote, one expression for all wordings with the same end."""
    by_value: dict[str, list[str]] = {}
    for wording in WORDINGS:
        text = (wording.re2 or wording.expression).replace("(?P<keep>", "(").replace(r"\Z", r"\z")
        if _LOOKAROUND.search(text):
            raise ValueError(f"RE2 has no lookaround: give {wording.trigger!r} its own `re2`")
        kept = _first_group(text)
        by_value.setdefault(text[len(kept) :], []).append(kept[1:-1])
    yield r"(\[SQL: [^\n'\"$]*)['\"$][^\n]*"
    for value, words in by_value.items():
        yield f"(?i)({'|'.join(words)}){value}"


def _first_group(text: str) -> str:
    depth, in_class = 0, False
    for place, character in enumerate(text):
        if place and text[place - 1] == "\\" and text[place - 2 : place] != "\\\\":
            continue
        if character in "[]":
            in_class = character == "["
        elif not in_class and character in "()":
            depth += 1 if character == "(" else -1
            if depth == 0:
                return text[: place + 1]
    raise ValueError(text)


# --- the file ---------------------------------------------------------------------------------------------------------


def blocked_values() -> list[str]:
    """Expressions of values that are replaced everywhere, in maps and lists as well."""
    bare: list[str] = []
    kept: list[str] = []
    for pattern in (*PATTERNS, *TOKENS):
        text = None if pattern.kind == "sql-values" else to_re2(pattern)
        if text is None:
            continue
        (kept if _KEEP.search(text.replace(r"\(", "")) else bare).append(text)
    return [
        issued(),
        "|".join(bare),
        *("|".join(kept[start : start + 8]) for start in range(0, len(kept), 8)),
        "|".join(errors_as_one()),
        header_lines(),
        named(),
        parameters(),
        flags(),
        pairs_of_values(),
        cards(),
    ]


def errors_as_one() -> list[str]:
    """The same as alternatives of one expression that replaces the whole match."""
    return [f"(?:{expression})" for expression in errors()]


def blocked_keys() -> list[str]:
    """Names of attributes whose values are secrets, written with separators or in camel case."""
    words = [word for table in (keys.WORDS,) for row in table.values() for word in row]
    last = [word for row in keys.LAST.values() for word in row]
    pairs = [pair for row in keys.PAIRS.values() for pair in row]
    ascii_words = [word for word in words if word.isascii()]
    return [
        f"(?i){_alternatives(keys.ANYWHERE)}",
        f"(?i)(?:{_alternatives(keys.ENDINGS)})[0-9]?(?:$$|[^a-z])",
        rf"(?i)(?:^|[^a-z0-9])(?:{'|'.join(ascii_words)})[0-9]?(?:$$|[^a-z])",
        f"[a-z0-9](?:{'|'.join(word.capitalize() for word in ascii_words)})(?:$$|[^a-z])",
        "|".join(word for word in words if not word.isascii()),
        f"(?i){'|'.join(pair.replace(' ', '[ _.-]?') for pair in pairs)}",
        f"(?i)(?:^|[^a-z0-9])(?:{'|'.join(last)})$$",
    ]


def ignored_keys() -> list[str]:
    """Names that say something about a secret: `token_count`, `password.changed_at`, `next_page_token`."""
    secret = f"(?:{_alternatives(keys.ANYWHERE, keys.ENDINGS, keys.WORDS)})"
    ends = "|".join(sorted(word for word in keys.HARMLESS if word.isascii()))
    pairs = "|".join(sorted(pair.replace(" ", "[ _.-]?") for pair in keys.HARMLESS_PAIRS))
    return [r"^gen_ai\.usage\.", f"(?i){secret}s?[a-z0-9_. -]*[_. -](?:{ends})$$", f"(?i)(?:{pairs})$$"]


def _yaml(texts: Iterable[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {json.dumps(text, ensure_ascii=False)}" for text in texts)


def _escaped(text: str) -> str:
    """`$` is the Collector's sign for its own variables."""
    return _unbounded(text).replace("$$", "$").replace("$", "$$")


def _unbounded(text: str) -> str:
    """RE2 is linear without bounds, and writes each of them out: `{0,40}` is forty states where `*` is one."""
    text = re.sub(r"\{0,[0-9]{2,4}\}", "*", re.sub(r"\{1,[0-9]{2,4}\}", "+", text))
    return re.sub(r"\{(?:2[1-9]|[3-9][0-9]|[0-9]{3}),\}", "{20,}", text)


def _statements(target: str, guard: str, expressions: Iterable[str]) -> Iterator[str]:
    for expression in expressions:
        quoted = json.dumps(_escaped(expression), ensure_ascii=False)
        yield f'replace_pattern({target}, {quoted}, "{MASK}"){guard}'


# Attributes that are a word, a number or an address by the semantic conventions; reading each value costs time.
IGNORED_KEYS: Final = (
    "client.address", "client.port", "code.function.name", "code.line.number", "db.collection.name", "db.namespace",
    "db.operation.name", "db.query.summary", "db.system.name", "deployment.environment.name", "error.type", "host.arch",
    "host.name", "http.request.method", "http.response.status_code", "http.route", "network.peer.address",
    "network.peer.port", "network.protocol.name", "network.protocol.version", "os.type", "process.pid",
    "process.runtime.name", "process.runtime.version", "server.address", "server.port", "service.instance.id",
    "service.name", "service.namespace", "service.version", "telemetry.sdk.language", "telemetry.sdk.name",
    "telemetry.sdk.version", "thread.id", "thread.name", "url.scheme",
)  # fmt: skip
_URLS: Final = ("url.full", "url.query", "http.url", "http.target", "url.path")
_TEXTS: Final = ("exception.message", "exception.stacktrace", "db.statement", "db.query.text")
_EMAIL: Final = (
    'set({0}.attributes["user.hash"], SHA256({0}.attributes["user.email"])) where {0}.attributes["user.email"] != nil',
    'delete_key({0}.attributes, "user.email") where {0}.attributes["user.email"] != nil',
)


def _of_attributes(context: str, names: Iterable[str], expressions: Sequence[str]) -> Iterator[str]:
    for name in names:
        target = f'{context}.attributes["{name}"]'
        yield from _statements(target, f" where {target} != nil", expressions)


def statements_of_spans() -> list[str]:
    """Names and messages of spans, which the `redaction` processor does not read, and values in URLs."""
    whole = [f"()(?:{text})" for text in (issued(), "|".join(_bare()))]
    return [
        *_statements("span.name", "", [*whole, named()]),
        *_statements(
            "span.status.message", ' where span.status.message != ""', [*whole, *errors(), header_lines(), named()]
        ),
        *_of_attributes("span", _URLS, [parameters().replace("[?&;#]", "(?:^|[?&;#])")]),
        *_of_attributes("span", _TEXTS, [named()]),
        *(line.format("span") for line in _EMAIL),
    ]


def _bare() -> list[str]:
    texts = (to_re2(pattern) for pattern in (*PATTERNS, *TOKENS) if pattern.kind != "sql-values")
    return [text for text in texts if text is not None]


def statements_of_logs() -> list[str]:
    """In the text of records, names stay and values are replaced."""
    return [
        *_statements("log.body", " where IsString(log.body)", [named()]),
        *_of_attributes("log", _TEXTS[:2], [named()]),
        *_of_attributes("log", _URLS[:2], [parameters().replace("[?&;#]", "(?:^|[?&;#])")]),
        *(line.format("log") for line in _EMAIL),
    ]


def render() -> str:
    """The text of the file."""
    return f"""\
# Generated by `python -m tools.generate_collector_redaction` from blogauto_otel/redaction; do not edit.
#
# Secrets and personal data, once more: the SDK redacts first, but not every sender has our SDK.
# `transform/redact` comes first and keeps the names: `token=***`. `redaction` covers all attributes of resources,
# scopes, spans, events, records and data points, and log bodies (text, maps, lists): what it finds becomes a hash.
# Cost: about 0.7 ms of processor time a span with a URL and a user agent, by far the dearest stage here; leave it out
# where every sender has our SDK.
# Refuses to start without a key of 32 bytes: an unkeyed hash of a password is a password for anyone with a dictionary.
# `python -m tests.redaction.corpus.rates --collector` prints what it misses and what it cuts without need.
processors:
  transform/redact:
    error_mode: ignore
    trace_statements:
      - statements:
{_yaml(statements_of_spans(), 10)}
      - statements:
{_yaml(_of_attributes("spanevent", _TEXTS[:2], [named()]), 10)}
    log_statements:
      - statements:
{_yaml(statements_of_logs(), 10)}
  redaction:
    allow_all_keys: true
    ignored_keys: {json.dumps(IGNORED_KEYS)}
    ignored_key_patterns:
{_yaml(map(_escaped, ignored_keys()), 6)}
    blocked_key_patterns:
{_yaml(map(_escaped, blocked_keys()), 6)}
    blocked_values:
{_yaml(map(_escaped, blocked_values()), 6)}
    redact_all_types: true
    hash_function: hmac-sha256
    hmac_key: ${{env:REDACTION_HMAC_KEY}}
    summary: silent

service:
  pipelines:
    traces/clean: {{processors: [resource/defaults, transform/redact, redaction]}}
    metrics/clean: {{processors: [resource/defaults, redaction]}}
    logs/clean: {{processors: [resource/defaults, transform/redact, redaction]}}
"""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
