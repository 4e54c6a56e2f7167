"""Checks of rules: those that pint makes without a server, reimplemented, and our own conventions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from monitoring.lint import queries
from monitoring.metrics import Metric, known_metrics
from monitoring.parameters import RULE_INTERVAL, Service
from monitoring.rules.model import Alert, RecordingRule, RuleFile
from monitoring.rules.write import alert_annotations, labels

_USED: Final = re.compile(r"\$labels\.(\w+)")
_NAME: Final = re.compile(r"^[A-Z][A-Za-z]+$")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SEVERITIES: Final = frozenset({"critical", "warning", "none"})
SHORTEST_WINDOW: Final = 60  # seconds: four scrapes


def recorded_labels(files: tuple[RuleFile, ...], metrics: Mapping[str, Metric]) -> dict[str, frozenset[str]]:
    """The labels of every recorded series."""
    found: dict[str, frozenset[str]] = {}
    for file in files:
        for recording in file.recordings:
            tree = queries.parsed(recording.expression)
            labels_of = queries.result_labels(tree, metrics, found) | frozenset(recording.labels)
            found[recording.name] = found.get(recording.name, frozenset()) | labels_of
    return found


def problems(files: tuple[RuleFile, ...], service: Service) -> list[str]:
    """Everything wrong with the rules of a service and of the monitoring."""
    metrics = known_metrics(service)
    recorded = recorded_labels(files, metrics)
    found: list[str] = []
    for file in files:
        for recording in file.recordings:
            found += [f"{recording.name}: {problem}" for problem in _recording(recording, metrics, recorded)]
        for alert in file.alerts:
            found += [f"{alert.name}: {problem}" for problem in _alert(alert, file, service, metrics, recorded)]
    return [*found, *_duplicates(files)]


def _recording(
    recording: RecordingRule, metrics: Mapping[str, Metric], recorded: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    yield from queries.problems(recording.expression, metrics, frozenset(recorded))
    yield from _windows(recording.expression)
    if not queries.is_recorded(recording.name):
        yield "its name is not level:metric:operations"
    level = frozenset(recording.name.split(":")[0].split("_"))
    has = recorded[recording.name] - frozenset(recording.labels) | (level & frozenset(recording.labels))
    if not has <= level:
        yield f"its name promises {sorted(level)}, its labels are {sorted(has)}"
    if " / " in recording.expression and "> 0" not in recording.expression:
        yield "a quotient that can be NaN"


def _alert(
    alert: Alert,
    file: RuleFile,
    service: Service,
    metrics: Mapping[str, Metric],
    recorded: Mapping[str, frozenset[str]],
) -> Iterator[str]:
    expression = str(alert.condition)
    yield from queries.problems(expression, metrics, frozenset(recorded))
    yield from _windows(expression)
    if not _NAME.match(alert.name) or alert.severity not in _SEVERITIES:
        yield "its name is not CamelCase, or its severity is unknown"
    if not re.search(r"==|!=|>|<|absent\(|vector\(", expression):
        yield "it compares nothing and always fires"
    if "absent(" in expression and _seconds(alert.pending_for) < 2 * RULE_INTERVAL:
        yield "absent() without a wait: a restart of Prometheus would fire it"
    if any("$" in value or "{{" in value for value in labels(alert, file).values()):
        yield "a label with a template starts a new alert at each change"
    has = queries.result_labels(queries.parsed(expression), metrics, recorded) | frozenset(labels(alert, file))
    if "job" not in has:
        yield "no label job: inhibition and grouping need it"
    texts = alert_annotations(alert, service)
    for name in sorted({name for text in texts.values() for name in _USED.findall(text)} - has):
        yield f"its text names the label {name}, which the result does not have"
    yield from (f"no {name}" for name, text in texts.items() if not text)
    if not texts["summary"].endswith(".") or not texts["description"].endswith("."):
        yield "its texts are not sentences"


def _windows(expression: str) -> Iterator[str]:
    for window in re.findall(r"\[(\d+[smhd])\]", expression):
        if _seconds(window) < SHORTEST_WINDOW:
            yield f"a window of {window} holds fewer than four scrapes"


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _duplicates(files: tuple[RuleFile, ...]) -> Iterator[str]:
    written = [(rule.name, tuple(sorted(rule.labels.items()))) for file in files for rule in file.recordings]
    written += [(rule.name, tuple(sorted(labels(rule, file).items()))) for file in files for rule in file.alerts]
    for name, extra in sorted({key for key in written if written.count(key) > 1}):
        yield f"{name} {dict(extra)}: two rules write the same series"
