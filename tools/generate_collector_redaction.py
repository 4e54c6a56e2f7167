"""Generate `collector/process-redact.yaml` from the package's tables, so that both catch the same secrets.

    python -m tools.generate_collector_redaction            write the file
    python -m tools.generate_collector_redaction --check    exit status 1 when it is out of date

RE2 has no lookaround: a boundary before a match becomes a group that stays, one behind it goes.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from blogauto_otel import semconv
from blogauto_otel.redaction import keys
from blogauto_otel.redaction.database_errors import WORDINGS
from blogauto_otel.redaction.issuers import ISSUERS
from blogauto_otel.redaction.pattern import Pattern
from blogauto_otel.redaction.patterns import PATTERNS, TOKENS

PATH: Final = Path(__file__).resolve().parent.parent / "collector" / "process-redact.yaml"
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


_ATOMS: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|.", re.DOTALL)
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
    for atom in _ATOMS.findall(text):
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


def _rows(*tables: keys.Table) -> list[str]:
    return [word for table in tables for row in table.values() for word in row]


_WORDS: Final = _rows(keys.WORDS, keys.LAST)
WHOLE_WORDS: Final = [word for word in _WORDS if word.isascii()]
ANYWHERE: Final = [*_rows(keys.ANYWHERE, keys.ENDINGS, keys.PAIRS), *(word for word in _WORDS if not word.isascii())]
_NAME_ENDS: Final = r"(?:[ _.-]?(?:id|value|hash|key|string|number|code|[0-9]{1,2}))?"


def secret_names() -> str:
    """The end of a name whose value is a secret; a word that makes it harmless would follow."""
    return rf"(?:{alternatives(map(_spaced, ANYWHERE))}|(?:\b|_){alternatives(WHOLE_WORDS)}){_NAME_ENDS}"


def _alternatives(*tables: keys.Table) -> str:
    return alternatives(map(re.escape, _rows(*tables)))


def named() -> str:
    """`password=x`, `"password": "x"`, `비밀번호: x1`: after a colon, an unquoted value contains a digit or a sign."""
    return f"(?i){_with_value(secret_names())}"


def named_by_beginning() -> Iterator[str]:
    """The same, as several expressions that each begin with a literal, and one for words that need a boundary."""
    for name in by_beginning(ANYWHERE):
        yield _with_value(f"{name}(?i:{_NAME_ENDS})")
    yield rf"(?i)(?:\b|_){_with_value(alternatives(WHOLE_WORDS) + _NAME_ENDS)}"


def _with_value(name: str) -> str:
    free = rf"[^{_NO_VALUE}][^\s\"',;&]*"
    mixed = rf"[^{_NO_VALUE}]?[^\s\"',;&]*[0-9!@#^+/~][^\s\"',;&]*"
    return (
        rf"({name}\\?[\"'`]?\]?\s?)(?:((?:=>|:=|[=\x{{ff1d}}])\s?\\?[\"']?){free}"
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
    """What databases quote. The first letter of a wording may be a capital and is left out."""
    yield r"(\[SQL: [^\n'\"$]*)['\"$][^\n]*"
    for wording in WORDINGS:
        text = (wording.re2 or wording.expression).replace("(?P<keep>", "(").replace(r"\Z", r"\z")
        if _LOOKAROUND.search(text):
            raise ValueError(f"RE2 has no lookaround: give {wording.trigger!r} its own `re2`")
        yield re.sub(r"^\(\\b(?:[a-z](?=[a-z]| ))?", "(", text)


# --- the file ---------------------------------------------------------------------------------------------------------


def blocked_values() -> list[str]:
    """Expressions of values that are replaced everywhere, in maps and lists as well."""
    return [
        *whole(),
        *errors(),
        header_lines(),
        *named_by_beginning(),
        parameters(),
        flags(),
        pairs_of_values(),
        cards(),
    ]


def whole() -> list[str]:
    """Expressions of secrets that need no name."""
    texts = (to_re2(pattern) for pattern in (*PATTERNS, *TOKENS) if pattern.kind != "sql-values")
    return [issued(), *dict.fromkeys(one for text in texts if text is not None for one in literal_first(text))]


def blocked_keys() -> list[str]:
    """Names of attributes whose values are secrets, written with separators or in camel case."""
    words = _rows(keys.WORDS)
    ascii_words = [word for word in words if word.isascii()]
    return [
        *by_beginning(_rows(keys.ANYWHERE, keys.PAIRS) + [word for word in words if not word.isascii()]),
        *(f"{name}[0-9]?(?:$$|[^a-z])" for name in by_beginning(_rows(keys.ENDINGS))),
        rf"(?i)(?:^|[^a-z0-9]){alternatives(ascii_words)}[0-9]?(?:$$|[^a-z])",
        f"[a-z0-9]{alternatives(word.capitalize() for word in ascii_words)}(?:$$|[^a-z])",
        f"(?i)(?:^|[^a-z0-9]){alternatives(_rows(keys.LAST))}$$",
    ]


def ignored_keys() -> list[str]:
    """Names that say something about a secret: `token_count`, `password.changed_at`, `next_page_token`."""
    ends = alternatives(word for word in keys.HARMLESS if word.isascii())
    return [
        r"gen_ai\.usage\.",
        *(
            f"{name}(?i:s?[a-z0-9_. -]*[_. -]{ends})$$"
            for name in by_beginning(_rows(keys.ANYWHERE, keys.ENDINGS, keys.WORDS))
        ),
        *(f"{pair}$$" for pair in by_beginning(keys.HARMLESS_PAIRS)),
    ]


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
        yield f'replace_pattern({target}, {quoted}, "{_mask(expression)}"){guard}'


def _mask(expression: str) -> str:
    """Every group stays, and the rest becomes `***`; groups of other alternatives are empty."""
    atoms = _ATOMS.findall(expression)
    groups = sum(atom == "(" and following != "?" for atom, following in itertools.pairwise(atoms))
    return "".join(f"$${{{number}}}" for number in range(1, groups + 1)) + "***"


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

# Conditions that cost less than the expressions behind them.
_MAY_HOLD_ANY: Final = r"""IsMatch({0}, "[A-Za-z0-9_.+=-]{{12}}|[@'\":=$$]| -")"""
_MAY_HOLD_VALUE: Final = r'IsMatch({0}, "[=:\\x{{ff1d}}\\x{{ff1a}}]")'


def _of_attributes(context: str, names: Iterable[str], expressions: Sequence[str]) -> Iterator[str]:
    for name in names:
        target = f'{context}.attributes["{name}"]'
        condition = f"{target} != nil and {_MAY_HOLD_VALUE.format(target)}"
        yield from _statements(target, f" where {condition}", expressions)


def statements_of_spans() -> list[str]:
    """Names and messages of spans, which the `redaction` processor does not read, and values in URLs."""
    tokens = [issued(), "|".join(whole()[1:])]
    return [
        *_statements("span.name", f" where {_MAY_HOLD_ANY.format('span.name')}", tokens),
        *_statements("span.name", f" where {_MAY_HOLD_VALUE.format('span.name')}", [named()]),
        *_statements(
            "span.status.message", ' where span.status.message != ""', [*tokens, *errors(), header_lines(), named()]
        ),
        *_of_attributes("span", _URLS, [parameters().replace("[?&;#]", "(?:^|[?&;#])")]),
        *_of_attributes("span", _TEXTS, [named()]),
    ]


def statements_of_logs() -> list[str]:
    """In the text of records, names stay and values are replaced."""
    return [
        *_statements("log.body", f" where IsString(log.body) and {_MAY_HOLD_VALUE.format('log.body')}", [named()]),
        *_of_attributes("log", _TEXTS[:2], [named()]),
        *_of_attributes("log", _URLS[:2], [parameters().replace("[?&;#]", "(?:^|[?&;#])")]),
    ]


def statements_of_emails(context: str) -> list[str]:
    """The hash of a user's address in place of the address, whoever sends it."""
    return [line.format(context) for line in _EMAIL]


# Data of our own SDK is redacted, unless its setting BLOGAUTO_OTEL_REDACT is off.
OWN: Final = (
    f'resource.attributes["telemetry.distro.name"] == "{semconv.DISTRO_NAME}"'
    f' and resource.attributes["{semconv.REDACTION}"] == nil'
)


def _filters() -> str:
    """Two filters that divide the data: what our own SDK sends, and everything else."""
    kinds = ("trace_conditions", "metric_conditions", "log_conditions")
    lines = []
    for name, dropped in (("own", f"not ({OWN})"), ("others", OWN)):
        lines += [
            f"  filter/{name}:",
            "    error_mode: propagate",
            *(f"    {kind}: [{json.dumps(dropped)}]" for kind in kinds),
        ]
    return "\n".join(lines)


def render() -> str:
    """The text of the file."""
    return f"""\
# Generated by `python -m tools.generate_collector_redaction` from blogauto_otel/redaction; do not edit.
#
# Secrets and personal data of senders that do not have our SDK. Our SDK redacts before it sends: what names it in
# `telemetry.distro.name` takes the pipelines `*/own`, where nothing is redacted; everything else takes `*/others`.
# `transform/redact` comes first and keeps the names: `token=***`. `redaction` covers all attributes of resources,
# scopes, spans, events, records and data points, and log bodies (text, maps, lists): what it finds becomes a hash.
# Refuses to start without a key of 32 bytes: an unkeyed hash of a password is a password for anyone with a dictionary.
# `python -m tests.redaction.corpus.rates --collector` prints what it misses, what it cuts without need, and its cost.
processors:
  transform/email:
    error_mode: ignore
    trace_statements:
      - statements:
{_yaml(statements_of_emails("span"), 10)}
    log_statements:
      - statements:
{_yaml(statements_of_emails("log"), 10)}
{_filters()}
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
  # Go looks for a literal at the beginning of an expression fifty times as fast as for anything else: hence so many.
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

connectors:
{_per_signal("  forward/{0}_own: {{}}", "  forward/{0}_others: {{}}")}

service:
  pipelines:
{
        _per_signal(
            "    {0}/clean: {{processors: [resource/defaults{1}], exporters: [forward/{0}_own, forward/{0}_others]}}",
            "    {0}/own: {{receivers: [forward/{0}_own], processors: [filter/own], exporters: [forward/{0}_all]}}",
            "    {0}/others: {{receivers: [forward/{0}_others], processors: [filter/others{2}, redaction],"
            " exporters: [forward/{0}_all]}}",
        )
    }
"""


def _per_signal(*lines: str) -> str:
    signals = {"traces": (", transform/email", ", transform/redact"), "metrics": ("", "")}
    signals["logs"] = signals["traces"]
    return "\n".join(line.format(signal, *stages) for signal, stages in signals.items() for line in lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
