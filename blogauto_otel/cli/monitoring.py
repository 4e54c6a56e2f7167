"""`blogauto-otel monitoring`: write boards, rules, Alertmanager's configuration and provisioning files for a service.

They are templates beside this module, written by `python -m monitoring generate` of the repository.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel.cli import templates
from blogauto_otel.cli.common import Commands, many, message
from blogauto_otel.errors import UsageError

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable
    else:
        from importlib.abc import Traversable

FOLDER: Final = "monitoring_files"
ENGLISH: Final = "en"

_NAMESPACE: Final = re.compile(r"[a-z][a-z0-9_]*")
_PATTERN: Final = re.compile(r"[\w./*+?|()\[\]{}-]+")  # of endpoints: nothing that would end a string of PromQL or JSON


OPTIONS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "--namespace": ("BLOGAUTO_OTEL_NAMESPACE of the service, such as shop", {"required": True}),
    "--out": ("a folder; files in it are replaced", {"required": True, "type": Path, "metavar": "DIR"}),
    "--language": ("of boards, alerts and runbooks; default: en", {"default": ENGLISH}),
    "--title": ("name on the boards; default: the namespace", {}),
    "--job": ("OTEL_SERVICE_NAME of the service; default: NAMESPACE-backend", {}),
    "--grafana": ("for links in alerts", {"default": "http://localhost:3000", "metavar": "URL"}),
    "--runbooks": ("where runbooks/ is served; default: GRAFANA/public/runbooks", {"metavar": "URL"}),
    "--set": (
        "another threshold, such as p95_seconds=1.5",
        {"action": "append", "default": [], "metavar": "NAME=VALUE"},
    ),
}


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "monitoring",
        help=message("write boards, alert rules and provisioning files for a service"),
        description=__doc__,
    )
    for name, (text, options) in OPTIONS.items():
        parser.add_argument(name, help=message(text), **options)
    parser.set_defaults(run=write_files)


def write_files(chosen: argparse.Namespace) -> int:
    """Write every file; 1 when an argument is wrong."""
    data = resources.files(__package__) / FOLDER
    try:
        files = dict(_files(data, _values(chosen, data), chosen.language))
    except UsageError as error:
        print(f"blogauto-otel monitoring: {error}", file=sys.stderr)
        return 1
    for name, text in files.items():
        path = chosen.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(message("{files} written to {folder}:", files=many(len(files), "file"), folder=chosen.out))
    for folder, use in USES.items():
        print(f"  {folder:<26} {message(use)}")
    return 0


USES: Final[Mapping[str, str]] = {
    "grafana/dashboards": "boards: the folder that grafana/provisioning/dashboards names",
    "grafana/provisioning": "mount at /etc/grafana/provisioning; adapt the URLs of the data sources",
    "prometheus/rules": "add to rule_files of prometheus.yml",
    "alertmanager": "receivers post to the URLs in the files that it names",
    "runbooks": "serve where alerts link to: --runbooks",
}


def _files(data: Traversable, values: templates.Values, language: str) -> Iterator[tuple[str, str]]:
    table, pages = _translation(data, language)
    service = values["namespace"]
    for name, template in _texts(data / "boards"):
        yield f"grafana/dashboards/{service}-{name}", templates.board(template, values, table)
    for name, template in _texts(data / "rules"):
        yield f"prometheus/rules/{name.replace('service', str(service))}", templates.rules(template, values, table)
    for name, template in _texts(data / "provisioning"):
        yield f"grafana/provisioning/{name.removesuffix('.yaml')}/{service}.yaml", templates.filled(template, values)
    yield "alertmanager/alertmanager.yml", (data / "alertmanager.yml").read_text(encoding="utf-8")
    for name, template in _texts(data / "runbooks"):
        yield f"runbooks/{name}", templates.filled(pages.get(name, template), values)


def _texts(folder: Traversable) -> Iterator[tuple[str, str]]:
    found = sorted(folder.iterdir(), key=lambda entry: entry.name) if folder.is_dir() else []
    yield from ((entry.name, entry.read_text(encoding="utf-8")) for entry in found if entry.is_file())


def _translation(data: Traversable, language: str) -> tuple[templates.Table, Mapping[str, str]]:
    """The table of texts and the runbooks of a language; both empty for English, the language of the templates."""
    if language == ENGLISH:
        return {}, {}
    folder = data / "languages"
    table = folder / f"{language}.json"
    if not re.fullmatch(r"\w+", language) or not table.is_file():
        known = [ENGLISH, *(name.removesuffix(".json") for name, _ in _texts(folder))]
        problem = "--language {language} is not available; there is {known}"
        raise UsageError(message(problem, language=language, known=", ".join(known)))
    texts: dict[str, str] = json.loads(table.read_text(encoding="utf-8"))
    return texts, dict(_texts(folder / language))


def _values(chosen: argparse.Namespace, data: Traversable) -> templates.Values:
    if not _NAMESPACE.fullmatch(chosen.namespace):
        problem = "--namespace {namespace} is not a prefix of metrics, such as shop or my_shop"
        raise UsageError(message(problem, namespace=chosen.namespace))
    namespace, grafana = chosen.namespace, chosen.grafana.rstrip("/")
    names = {
        "namespace": namespace,
        "title": chosen.title or namespace.replace("_", " ").title(),
        "job": chosen.job or f"{namespace}-backend",
        "frontend_job": f"{namespace}-frontend",
        "jobs": f"{namespace}-.+" if chosen.job is None else chosen.job,
        "grafana": grafana,
        "runbooks": (chosen.runbooks or f"{grafana}/public/runbooks").rstrip("/"),
    }
    for name, value in names.items():
        if not value.isprintable() or set(value) & set("\"'\\"):
            problem = "--{name} {value} contains a quote, a backslash or a control character"
            raise UsageError(message(problem, name=name, value=value))
    defaults = json.loads((data / "parameters.json").read_text(encoding="utf-8"))
    return {**defaults, **dict(_settings(chosen.set, defaults)), **names}


def _settings(given: Sequence[str], defaults: Mapping[str, Any]) -> Iterator[tuple[str, str | float]]:
    for one in given:
        name, _, value = one.partition("=")
        if name not in defaults:
            problem = "--set {given}: there is no {name}; known are {known}"
            raise UsageError(message(problem, given=one, name=name, known=", ".join(sorted(defaults))))
        if isinstance(defaults[name], str):
            if not _PATTERN.fullmatch(value):
                problem = "--set {given}: not a pattern of paths, such as {default}"
                raise UsageError(message(problem, given=one, default=defaults[name]))
            yield name, value
            continue
        try:
            yield name, float(value)
        except ValueError:
            problem = "--set {given}: not a number, such as {default:g}"
            raise UsageError(message(problem, given=one, default=defaults[name])) from None
