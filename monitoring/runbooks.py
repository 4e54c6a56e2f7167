"""Runbooks: pages written by people, completed with the rule, its limits and the common sections, so that they stay correct."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import promql_parser

from monitoring.alerts.all import triggers
from monitoring.languages import Translate
from monitoring.parameters import Service, percent, promql_number
from monitoring.rules.model import Alert, RuleFile
from monitoring.rules.write import HEADER, dashboard_url

SOURCES: Final = Path(__file__).parent / "runbooks"
SECTIONS: Final = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Trigger it", "False alarms", "Silence")

_PLACEHOLDER: Final = re.compile(r"%\{(\w+)\}")
_FENCED: Final = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINE: Final = re.compile(r"( *(?:\d+\. |- )?)(.*)")

_ACTIONS: Final = {"critical": "pages", "warning": "opens a ticket", "none": "goes to the dead man's switch"}


class RunbookError(RuntimeError):
    """An alert has no runbook; the message names the file."""


def runbooks(service: Service, files: tuple[RuleFile, ...], translate: Translate = str) -> dict[str, str]:
    """Every page by file name, the table of contents included.

    Args:
        service: whose names and thresholds the pages have.
        files: the rules.
        translate: the lookup of a language; given each line of prose without its indentation and number.

    Raises:
        RunbookError: an alert has no page.
    """
    by_name: dict[str, list[Alert]] = {}
    for file in files:
        for alert in file.alerts:
            by_name.setdefault(alert.name, []).append(alert)
    owners = {alert.name: file.service for file in files for alert in file.alerts}
    pages = {f"{name}.md": _page(alerts, service, owners[name], translate) for name, alerts in sorted(by_name.items())}
    return {"README.md": _contents(by_name, translate), **pages}


def fenced(page: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return [text.strip() for kind, text in _FENCED.findall(page) if kind == language]


def values(service: Service) -> Mapping[str, str]:
    """Values for `%{name}` in a page: every threshold, ratios also as `<name>_percent`, and the service's names."""
    numbers = {field.name: getattr(service.thresholds, field.name) for field in dataclasses.fields(service.thresholds)}
    shares = {f"{name}_percent": percent(value) for name, value in numbers.items() if name.endswith("_ratio")}
    objective = service.objective
    names = {
        "namespace": service.namespace,
        "job": service.job,
        "frontend_job": service.frontend_job,
        "grafana": service.grafana_url,
        "secure_endpoints": service.secure_endpoints,
        "content_endpoints": service.content_endpoints,
        "login_endpoints": service.login_endpoints,
        "objective": percent(objective.share),
        "budget": percent(objective.budget),
        "objective_seconds": promql_number(objective.seconds),
    }
    return {**{name: promql_number(value) for name, value in numbers.items()}, **shares, **names}


def _page(alerts: list[Alert], service: Service, owner: str, translate: Translate) -> str:
    path = SOURCES / f"{alerts[0].name}.md"
    if not path.is_file():
        raise RunbookError(f"{alerts[0].name} has no runbook: write {path.relative_to(SOURCES.parent.parent)}")
    source = _translated(path.read_text(), translate)
    written = _sections(_PLACEHOLDER.sub(lambda match: values(service)[match[1]], source))
    common = {"Trigger it": _trigger(alerts[0].name, translate), "Silence": _silence(alerts[0], owner, translate)}
    body = "\n\n".join(f"## {translate(title)}\n\n{(written | common)[title].strip()}" for title in SECTIONS)
    note = (
        HEADER.strip()
        .removeprefix("# ")
        .replace("change monitoring/", f"change monitoring/runbooks/{alerts[0].name}.md")
    )
    return f"<!-- {note} -->\n# {alerts[0].name}\n\n{_rules(alerts, service, translate)}\n\n{body}\n"


def _translated(source: str, translate: Translate) -> str:
    """The page with its prose translated; headings name the sections, and code is the same in every language."""
    lines, in_code = [], False
    for line in source.splitlines():
        is_fence = line.lstrip().startswith("```")
        in_code ^= is_fence
        is_prose = line.strip() and not (in_code or is_fence or line.startswith(("## ", "|---")))
        lines.append(_LINE.sub(lambda found: found[1] + translate(found[2]), line, count=1) if is_prose else line)
    return "\n".join(lines) + "\n"


def _sections(source: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)\n", source, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _rules(alerts: list[Alert], service: Service, translate: Translate) -> str:
    return "\n\n".join(_rule(alert, service, translate) for alert in alerts)


def _rule(alert: Alert, service: Service, translate: Translate) -> str:
    expression = promql_parser.parse(str(alert.condition)).prettify()
    action, keeps = _ACTIONS[alert.severity], "; keeps firing for {time} after the condition ended"
    if alert.pending_for == "0s":
        acts = translate(f"{action} at once")
    else:
        acts = _timed(f"{action} after {{time}}", alert.pending_for, translate)
    resolved = "" if alert.keep_firing_for == "0s" else _timed(keeps, alert.keep_firing_for, translate)
    board = f"[{alert.board}]({dashboard_url(dataclasses.replace(alert, variables={}), service)})"
    return f"**{alert.severity}**: {acts}{resolved}. {translate('Board')}: {board}.\n\n```promql\n{expression}\n```"


def _timed(text: str, duration: str, translate: Translate) -> str:
    return translate(text).format(time=translate(duration))


def _trigger(name: str, translate: Translate) -> str:
    trigger = triggers()[name]
    how = translate(trigger.how)
    lines = []
    if trigger.traffic and not trigger.command:
        example = (
            "Against a running example (`make stack-demo` or `docker compose --profile demo up -d`), send {requests}:"
        )
        lines.append(translate(example).format(requests=how))
        lines.append(
            f"```sh\npython -m examples.traffic http://localhost:8000 {' '.join(trigger.traffic)} --seconds 900\n```"
        )
    else:
        lines.append(f"{how[0].upper()}{how[1:]}:")
        lines.append(f"```sh\n{trigger.command}\n```")
    if trigger.drill and not (trigger.threshold and trigger.command):
        drill = "Or run the drill, which takes a minute: real programs on this machine, every duration divided by 60."
        lines.append(translate(drill))
        lines.append(f"```sh\npython -m monitoring drill {name}\n```")
    return "\n\n".join(lines)


def _silence(alert: Alert, owner: str, translate: Translate) -> str:
    command = f'amtool --alertmanager.url=http://localhost:9093 silence add alertname={alert.name} service={owner} --duration=2h --comment="who, why, until when"'
    return f"{translate('For the duration of the work, always with an end:')}\n\n```sh\n{command}\n```"


def _contents(by_name: Mapping[str, list[Alert]], translate: Translate) -> str:
    head = " | ".join(map(translate, ("alert", "severity", "about")))
    return "\n".join(
        [f"# {translate('Runbooks')}", "", f"| {head} |", "|---|---|---|", *_lines(by_name, translate), ""]
    )


def _lines(by_name: Mapping[str, list[Alert]], translate: Translate) -> Iterator[str]:
    for name, alerts in sorted(by_name.items()):
        severities = " / ".join(dict.fromkeys(alert.severity for alert in alerts))
        yield f"| [{name}]({name}.md) | {severities} | {translate(alerts[0].category)} |"
