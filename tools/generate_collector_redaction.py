"""Generate `collector/process-redact.yaml` from the package's tables, so that both catch the same secrets.

    python -m tools.generate_collector_redaction            write the file
    python -m tools.generate_collector_redaction --check    exit status 1 when it is out of date

`collector_expressions` has the expressions, this module what each processor does with them.
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
from tools.collector_expressions import (
    ATOMS,
    allowed_values,
    alternatives,
    blocked_values,
    by_beginning,
    errors,
    header_lines,
    issued,
    named,
    parameters,
    rows,
    whole,
)

PATH: Final = Path(__file__).resolve().parent.parent / "collector" / "process-redact.yaml"


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


# --- the file ---------------------------------------------------------------------------------------------------------


def blocked_keys() -> list[str]:
    """Names of attributes whose values are secrets, written with separators or in camel case."""
    words = rows(keys.WORDS)
    ascii_words = [word for word in words if word.isascii()]
    return [
        *by_beginning(rows(keys.ANYWHERE, keys.PAIRS) + [word for word in words if not word.isascii()]),
        *(f"{name}[0-9]?(?:$$|[^a-z])" for name in by_beginning(rows(keys.ENDINGS))),
        rf"(?i)(?:^|[^a-z0-9]){alternatives(ascii_words)}[0-9]?(?:$$|[^a-z])",
        f"[a-z0-9]{alternatives(word.capitalize() for word in ascii_words)}(?:$$|[^a-z])",
        f"(?i)(?:^|[^a-z0-9]){alternatives(rows(keys.LAST))}$$",
    ]


def ignored_keys() -> list[str]:
    """Names that say something about a secret: `token_count`, `password.changed_at`, `next_page_token`."""
    ends = alternatives(word for word in keys.HARMLESS if word.isascii())
    return [
        r"gen_ai\.usage\.",
        *(
            f"{name}(?i:s?[a-z0-9_. -]*[_. -]{ends})$$"
            for name in by_beginning(rows(keys.ANYWHERE, keys.ENDINGS, keys.WORDS))
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


def _statements(target: str, expressions: Iterable[str]) -> Iterator[str]:
    for expression in expressions:
        quoted = json.dumps(_escaped(expression), ensure_ascii=False)
        yield f'replace_pattern({target}, {quoted}, "{_mask(expression)}")'


def _mask(expression: str) -> str:
    """Every group stays, and the rest becomes `***`; groups of other alternatives are empty."""
    atoms = ATOMS.findall(expression)
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
# The same for names: these name no secret, whatever their values hold.
ORDINARY_KEYS: Final = (
    *IGNORED_KEYS, "client.socket.address", "cloud.account.id", "cloud.availability_zone", "cloud.platform",
    "cloud.provider", "cloud.region", "code.column.number", "code.file.path", "code.filepath", "code.function",
    "code.lineno", "code.namespace", "code.stacktrace", "container.id", "container.image.name", "container.name",
    "db.name", "db.operation", "db.query.text", "db.sql.table", "db.statement", "db.system",
    "db.user", "enduser.id", "event.name", "exception.escaped", "exception.message", "exception.stacktrace",
    "exception.type", "host.id", "http.client_ip", "http.flavor", "http.host", "http.method",
    "http.request.body.size", "http.request.header.host", "http.request.header.user-agent",
    "http.request.method_original", "http.request.resend_count", "http.request_content_length",
    "http.response.body.size", "http.response.header.content-type", "http.response_content_length",
    "http.scheme", "http.server_name", "http.status_code", "http.target", "http.url", "http.user_agent",
    "k8s.container.name", "k8s.deployment.name", "k8s.namespace.name", "k8s.node.name", "k8s.pod.name", "k8s.pod.uid",
    "log.file.name", "log.file.path", "log.iostream", "messaging.client.id", "messaging.destination",
    "messaging.destination.name", "messaging.message.id", "messaging.operation", "messaging.operation.name",
    "messaging.operation.type", "messaging.system", "net.host.ip", "net.host.name", "net.host.port", "net.peer.ip",
    "net.peer.name", "net.peer.port", "net.protocol.name", "net.protocol.version", "net.sock.peer.addr",
    "net.sock.peer.port", "net.transport", "network.transport", "network.type", "os.description", "os.name",
    "os.version", "otel.status_code", "otel.status_description", "peer.service", "process.command",
    "process.command_args", "process.command_line", "process.executable.name", "process.executable.path",
    "process.owner", "process.parent_pid", "process.runtime.description", "rpc.grpc.status_code", "rpc.method",
    "rpc.service", "rpc.system", "server.socket.address", "telemetry.auto.version", "telemetry.distro.name",
    "telemetry.distro.version", "url.domain", "url.fragment", "url.full", "url.path", "url.query", "user.id",
    "user_agent.name", "user_agent.original", "user_agent.version",
)  # fmt: skip
_URLS: Final = ("url.full", "url.query", "http.url", "http.target", "url.path")
_TEXTS: Final = ("exception.message", "exception.stacktrace", "db.statement", "db.query.text")
_EMAIL: Final = (
    'set({0}.attributes["user.hash"], SHA256({0}.attributes["user.email"])) where {0}.attributes["user.email"] != nil',
    'delete_key({0}.attributes, "user.email") where {0}.attributes["user.email"] != nil',
)

# Conditions that cost less than the expressions behind them, each evaluated once for several statements.
_MAY_HOLD_ANY: Final = r"""IsMatch({0}, "[A-Za-z0-9_.+=-]{{12}}|[@'\":=$$]| -|assword")"""
_MAY_HOLD_VALUE: Final = r'IsMatch({0}, "[=:\\x{{ff1d}}\\x{{ff1a}}]")'
Group = tuple[str, Iterable[str]]  # a condition, and the statements behind it


def _of_attributes(context: str, names: Iterable[str], expressions: Sequence[str]) -> Iterator[Group]:
    for name in names:
        target = f'{context}.attributes["{name}"]'
        yield f"{target} != nil and {_MAY_HOLD_VALUE.format(target)}", _statements(target, expressions)


def groups_of_spans() -> list[Group]:
    """Names and messages of spans, which the `redaction` processor does not read, and values in URLs."""
    tokens = [issued(), "|".join(whole()[1:])]
    message = "span.status.message"
    return [
        (_MAY_HOLD_ANY.format("span.name"), _statements("span.name", [*tokens, named()])),
        (f'{message} != ""', _statements(message, [*tokens, *errors(), header_lines(), named()])),
        *_of_attributes("span", _URLS, [parameters().replace("[?&;#]", "(?:^|[?&;#])")]),
        *_of_attributes("span", _TEXTS, [named()]),
    ]


def groups_of_logs() -> list[Group]:
    """In the text of records, names stay and values are replaced."""
    return [
        (f"IsString(log.body) and {_MAY_HOLD_VALUE.format('log.body')}", _statements("log.body", [named()])),
        *_of_attributes("log", _TEXTS[:2], [named()]),
        *_of_attributes("log", _URLS[:2], [parameters().replace("[?&;#]", "(?:^|[?&;#])")]),
    ]


def _groups(groups: Iterable[Group]) -> str:
    return "\n".join(
        f"      - conditions: [{json.dumps(condition, ensure_ascii=False)}]\n"
        f"        statements:\n{_yaml(statements, 10)}"
        for condition, statements in groups
    )


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
{_groups((*groups_of_spans(), *_of_attributes("spanevent", _TEXTS[:2], [named()])))}
    log_statements:
{_groups(groups_of_logs())}
  # In two processors, because an allowed value is not looked at by its name either.
  redaction/names:
    allow_all_keys: true
    ignored_keys: {json.dumps(ORDINARY_KEYS)}
    ignored_key_patterns:
{_yaml(map(_escaped, ignored_keys()), 6)}
    blocked_key_patterns:
{_yaml(map(_escaped, blocked_keys()), 6)}
    redact_all_types: true
    hash_function: hmac-sha256
    hmac_key: ${{env:REDACTION_HMAC_KEY}}
    summary: silent
  # Go looks for a literal at the beginning of an expression fifty times as fast as for anything else: hence so many.
  redaction:
    allow_all_keys: true
    ignored_keys: {json.dumps(IGNORED_KEYS)}
    allowed_values:
{_yaml(allowed_values(), 6)}
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
            "    {0}/others: {{receivers: [forward/{0}_others],"
            " processors: [filter/others{2}, redaction/names, redaction], exporters: [forward/{0}_all]}}",
        )
    }
"""


def _per_signal(*lines: str) -> str:
    signals = {"traces": (", transform/email", ", transform/redact"), "metrics": ("", "")}
    signals["logs"] = signals["traces"]
    return "\n".join(line.format(signal, *stages) for signal, stages in signals.items() for line in lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
