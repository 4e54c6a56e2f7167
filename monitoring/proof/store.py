"""A real Prometheus that holds the replayed hour, and everything its rules would have recorded meanwhile."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from monitoring.parameters import BLOGAUTO, RULE_INTERVAL
from monitoring.proof.hour import BEGIN, END, Hour, Reading, openmetrics
from monitoring.proof.rules import rule_files
from monitoring.rules.model import Alert, RuleFile
from monitoring.rules.write import labels
from stack.processes import Prometheus, ensure_programs, start_prometheus

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# The replayed hour lies in the past: without this Prometheus would throw it away.
KEEP: Final = ("--storage.tsdb.retention.time=100y",)


@contextmanager
def stored(folder: Path, hour: Hour | None) -> Iterator[Prometheus]:
    """A Prometheus with the hour in it; with none, an empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 15s}\n")
    if hour is not None:
        _import(hour.readings, folder)
        with start_prometheus(config, tmp=folder, arguments=KEEP) as prometheus:
            derived = [*_recorded(prometheus), *_alerts(prometheus)]
        _import(derived, folder)
    with start_prometheus(config, tmp=folder, arguments=KEEP) as prometheus:
        yield prometheus


def _import(readings: Sequence[Reading], folder: Path) -> None:
    source = folder / "hour.om"
    source.write_text(openmetrics(readings))
    command = [
        str(ensure_programs().promtool),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(source),
        str(folder / "prometheus"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def _recorded(prometheus: Prometheus) -> Iterator[Reading]:
    for file in rule_files(BLOGAUTO):
        for recording in file.recordings:
            for found in _over_the_hour(prometheus, written_out(recording.expression, file)):
                for when, value in found["values"]:
                    yield Reading(int(when), recording.name, {**_labels(found), **recording.labels}, float(value))


def _alerts(prometheus: Prometheus) -> Iterator[Reading]:
    for file in rule_files(BLOGAUTO):
        for alert in file.alerts:
            for found in _over_the_hour(prometheus, written_out(str(alert.condition), file)):
                static = {"alertname": alert.name, "alertstate": "firing", **labels(alert, file)}
                for when in _firing(alert, [int(when) for when, _ in found["values"]]):
                    yield Reading(when, "ALERTS", {**_labels(found), **static}, 1.0)


def _firing(alert: Alert, true: Sequence[int]) -> Iterator[int]:
    """When it fires, given the evaluations at which its condition held."""
    held, last = 0, 0
    wait, hold = seconds(alert.wait), seconds(alert.hold)
    until = 0
    for when in range(BEGIN, END + 1, RULE_INTERVAL):
        if when in set(true):
            held = held if last == when - RULE_INTERVAL else when
            last = when
            until = when + hold if when - held >= wait else until
        if when <= until and until:
            yield when


def _over_the_hour(prometheus: Prometheus, expression: str) -> list[Any]:
    answer = prometheus.answer("query_range", query=expression, start=BEGIN, end=END, step=RULE_INTERVAL)
    return list(answer["result"])


def _labels(found: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in found["metric"].items() if key != "__name__"}


def written_out(expression: str, file: RuleFile) -> str:
    """The expression with every recorded series replaced by what records it, at the pace of the rules."""
    several: dict[str, list[str]] = {}
    for recording in file.recordings:
        text = f"({recording.expression})"
        for name, value in recording.labels.items():
            text = f'label_replace({text}, "{name}", "{value}", "", "")'
        several.setdefault(recording.name, []).append(text)
    while (match := re.search(r"(\w+:\w+:\w+)(\{[^}]*\})?(\[\w+\])?", expression)) is not None:
        text = "(" + " or ".join(several[match[1]]) + ")"
        window = f"[{match[3][1:-1]}:{RULE_INTERVAL}s]" if match[3] else ""
        expression = expression[: match.start()] + text + window + expression[match.end() :]
    return expression


def seconds(duration: str) -> int:
    """`5m` is 300."""
    return int(duration[:-1]) * _UNITS[duration[-1]]
