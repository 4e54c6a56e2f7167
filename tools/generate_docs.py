"""What is printed from what it describes: `python tools/generate_docs.py` writes it anew.

`docs/settings.md` and the typed arguments of `configure()` come from `Settings`, `docs/telemetry.md` from the catalogue
and the example's golden telemetry.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from blogauto_otel.api.catalogue import CATALOGUE, MetricSpec  # noqa: E402
from blogauto_otel.api.metric_spec import AttributeSpec  # noqa: E402
from blogauto_otel.api.sdk_metrics import SDK_METRICS, SDK_METRICS_NAMESPACE  # noqa: E402
from blogauto_otel.config import Option, Settings, default_of, option_of  # noqa: E402

GOLDEN: Final = ROOT / "tests" / "golden" / "blog.json"
SERIES_LIMIT: Final = Settings().series_limit
GENERATED: Final = "<!-- printed by tools/generate_docs.py: change what it describes, then run it -->"


# --- settings --------------------------------------------------------------------------------------------------------

SETTINGS_HEAD: Final = f"""# Settings
{GENERATED}

Each setting is one environment variable and one argument of `configure()`. The argument wins over the variable, the
variable over the default; an empty variable counts as unset. A value that cannot be used costs one warning, and the
default stands; with `BLOGAUTO_OTEL_STRICT=true` it is an exception. A misspelt `BLOGAUTO_OTEL_` variable is reported
with the nearest name.

Variables of OpenTelemetry's own that hold a time are in milliseconds, as its specification has it; as arguments, times
are in seconds. `blogauto-otel settings` prints what is in force, secrets masked.
"""


def settings_page() -> str:
    """docs/settings.md."""
    sections: dict[str, list[str]] = {}
    for field in dataclasses.fields(Settings):
        sections.setdefault(option_of(field.name).section, []).append(field.name)
    parts = [SETTINGS_HEAD]
    for section, names in sections.items():
        rows = [_setting(name, option_of(name)) for name in names]
        parts.append(f"## {section}\n\n{_table(('variable', 'argument', 'default', 'what it decides'), rows)}")
    return "\n".join(parts)


def _setting(name: str, option: Option) -> tuple[str, ...]:
    variable = f"`{option.variable}`" + (f", else `{option.fallback}`" if option.fallback else "")
    help_ = option.help + (" Secret: masked wherever settings are printed." if option.secret else "")
    return variable, f"`{name}`", _default(default_of(name), option), help_


def _default(value: object, option: Option) -> str:
    if value is None or value in ("", ()) or value == {}:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    if option.unit == "ms" and isinstance(value, (int, float)):
        return f"`{value * 1000:.0f}` ms"
    number = f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{number}`" + (f" {option.unit}" if option.unit else "")


# --- arguments of configure() ----------------------------------------------------------------------------------------

ARGUMENTS_HEAD: Final = '''"""Arguments of `configure()`, for type checkers and editors; printed from `Settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from blogauto_otel.config import (
    {imports},
)


class SettingsArguments(TypedDict, total=False):
    """Fields of `Settings`; text is read as the variable would be, and `None` means not given. Times are in seconds."""

'''
# What a field takes as an argument beside text and None; what is not here is a choice of words, declared in `config`.
ARGUMENT_TYPES: Final[Mapping[str, str]] = {
    "str": "str",
    "bool": "bool | str",
    "int": "int | str",
    "float": "float | str",
    "tuple[str, ...]": "Sequence[str]",
    "Mapping[str, str]": "Mapping[str, str] | str",
    "Mapping[str, float]": "Mapping[str, float] | str",
}


def arguments_module() -> str:
    """blogauto_otel/arguments.py."""
    declared = {field.name: str(field.type).removesuffix(" | None") for field in dataclasses.fields(Settings)}
    choices = sorted({kind for kind in declared.values() if kind not in ARGUMENT_TYPES})
    lines = [
        f"    {name}: {ARGUMENT_TYPES.get(kind, kind)} | None\n"
        for name, kind in declared.items()
        if name != "strict"  # a parameter of its own
    ]
    return ARGUMENTS_HEAD.replace("{imports}", ",\n    ".join(choices)) + "".join(lines)


# --- telemetry -------------------------------------------------------------------------------------------------------

TELEMETRY_HEAD: Final = f"""# Telemetry
{GENERATED}

What a service emits: metrics first, then spans and log records, each with its attributes.

Metrics are named here as OpenTelemetry has them and as they arrive in Prometheus, at `/metrics` and through the
Collector alike. `blogauto` is the default of a setting (`BLOGAUTO_OTEL_NAMESPACE`). *Series* is how many label
combinations there can be in one process, `BLOGAUTO_OTEL_SERIES_LIMIT` at the most; a histogram has a bucket per edge, a
sum and a count of its own for each. Values beyond an open label's bound are counted under `_OTHER`, and series beyond
the limit under `otel_metric_overflow`, so that totals stay right.
"""
DOMAINS: Final[Mapping[str, str]] = {
    "http": "Requests",
    "system": "Machine",
    "business": "Business",
    "security": "Security",
    "operation": "Operations",
}
SCOPES: Final[Mapping[str, str]] = {
    "blogauto_otel.http": "One per request, and one per background task.",
    "blogauto_otel.sql": "One per statement, with the text of the statement and none of its values.",
    "blogauto_otel.operation": "One per `operation(...)` of the application.",
}


def telemetry_page() -> str:
    """docs/telemetry.md."""
    golden = json.loads(GOLDEN.read_text())
    parts = [TELEMETRY_HEAD, "## Metrics\n"]
    for domain, title in DOMAINS.items():
        rows = [_metric(metric, "blogauto") for metric in CATALOGUE if metric.domain == domain]
        parts.append(_metrics_table(title, rows))
    parts.append(_metrics_table("Telemetry itself", [_metric(metric, SDK_METRICS_NAMESPACE) for metric in SDK_METRICS]))
    parts += [*_edges(), *_spans(golden["spans"]), _logs(golden["logs"]), _resource(golden["resource"])]
    return "\n".join(parts)


def _metrics_table(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f"### {title}\n\n" + _table(("Prometheus", "OpenTelemetry", "type", "unit", "series", "what it says"), rows)


def _metric(metric: MetricSpec, namespace: str) -> tuple[str, ...]:
    labels = "; ".join(f"`{name}`: {_values(attribute)}" for name, attribute in metric.attributes.items())
    return (
        f"`{metric.prometheus_name(namespace)}`",
        f"`{metric.otel_name(namespace)}`",
        metric.kind.prometheus_type,
        f"`{metric.unit}`",
        str(min(metric.max_series, SERIES_LIMIT)),
        metric.description + (f" Labels: {labels}." if labels else ""),
    )


def _values(attribute: AttributeSpec) -> str:
    if attribute.closed:
        return ", ".join(attribute.values)
    return f"at most {attribute.max_values} values"


def _edges() -> Iterable[str]:
    yield "### Bucket edges\n"
    for metric in CATALOGUE:
        if metric.boundaries:
            yield f"- `{metric.prometheus_name('blogauto')}`: {', '.join(f'{edge:g}' for edge in metric.boundaries)}"
    yield ""


def _spans(spans: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    yield "## Spans\n\nAs the example application emits them, with the attributes of all spans of a scope together.\n"
    for scope, found in _by(spans, lambda key: key.split(" | ")[0]).items():
        names = sorted({key.split(" | ")[2] for key in found})
        yield f"### `{scope}`\n"
        if scope in SCOPES:
            yield f"{SCOPES[scope]}\n"
        yield f"Names such as {', '.join(f'`{name}`' for name in names[:6])}.\n"
        yield _attributes(found.values())


def _logs(logs: Mapping[str, Mapping[str, str]]) -> str:
    head = """## Log records

Every record of the standard library's logging, under the scope of its logger's name, with the trace and span it was
written in, what is bound to the request, and its extras under their own names. The lines on stdout have the same names.
"""
    ours = {key: value for key, value in logs.items() if key.startswith("blogauto_otel")}
    shared = [attributes for key, attributes in logs.items() if key not in ours]
    return f"{head}\n{_attributes(shared)}"


def _resource(resource: Mapping[str, str]) -> str:
    return f"## Resource\n\nOn all of it, once per request to the Collector.\n\n{_attributes([resource])}"


def _attributes(found: Iterable[Mapping[str, str]]) -> str:
    merged: dict[str, str] = {}
    for attributes in found:
        merged.update((name.rstrip("?"), kind) for name, kind in attributes.items())
    return _table(("attribute", "type"), [(f"`{name}`", kind) for name, kind in sorted(merged.items())])


def _by(items: Mapping[str, Any], key: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for name, value in items.items():
        groups.setdefault(key(name), {})[name] = value
    return dict(sorted(groups.items()))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


# --- writing ---------------------------------------------------------------------------------------------------------

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "blogauto_otel/arguments.py": arguments_module,
    "docs/settings.md": settings_page,
    "docs/telemetry.md": telemetry_page,
}


def main() -> None:
    """Write every page."""
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())


if __name__ == "__main__":
    main()
