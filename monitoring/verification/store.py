"""A real Prometheus that holds the recorded traffic, and what the rules would have recorded of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from monitoring.parameters import BLOGAUTO
from monitoring.rule_files import rule_files
from monitoring.rules.model import Alert, RuleFile
from monitoring.rules.write import labels
from monitoring.verification.day import BEGIN, END, RecordedTraffic, Series, openmetrics
from stack.processes import Prometheus, ensure_programs, start_prometheus

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

STEP: Final = 60  # seconds between two evaluations of the rules over the day

# The recorded traffic has a date in the past: by default Prometheus would delete it.
RETENTION: Final = ("--storage.tsdb.retention.time=100y",)


@contextmanager
def prometheus_with(traffic: RecordedTraffic | None, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that holds the traffic; without traffic, an empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 15s}\n")
    if traffic is not None:
        _import(traffic.series, folder)
        with start_prometheus(config, tmp=folder, arguments=RETENTION) as prometheus:
            derived = [*_recorded(prometheus), *_alerts(prometheus)]
        _import(derived, folder)
    with start_prometheus(config, tmp=folder, arguments=RETENTION) as prometheus:
        yield prometheus


def _import(series: Sequence[Series], folder: Path) -> None:
    source = folder / "samples.om"
    with source.open("w") as file:
        file.writelines(openmetrics(series))
    command = [
        str(ensure_programs().promtool),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "--max-block-duration=1500h",  # one block: promtool reads the whole file again for each
        str(source),
        str(folder / "prometheus"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def _recorded(prometheus: Prometheus) -> Iterator[Series]:
    for file in rule_files(BLOGAUTO):
        for recording in file.recordings:
            for found in _over_the_recording(prometheus, without_recordings(recording.expression, file)):
                points = [(int(when), float(value)) for when, value in found["values"]]
                yield Series(recording.name, {**_labels(found), **recording.labels}, points)


def _alerts(prometheus: Prometheus) -> Iterator[Series]:
    for file in rule_files(BLOGAUTO):
        for alert in file.alerts:
            for found in _over_the_recording(prometheus, without_recordings(str(alert.condition), file)):
                static = {"alertname": alert.name, "alertstate": "firing", **labels(alert, file)}
                points = [(when, 1.0) for when in _firing(alert, {int(when) for when, _ in found["values"]})]
                if points:
                    yield Series("ALERTS", {**_labels(found), **static}, points)


def _firing(alert: Alert, true: AbstractSet[int]) -> Iterator[int]:
    """When it fires, given the evaluations at which its condition was true."""
    since, last, until = 0, 0, 0
    pending_for, keep_firing_for = seconds(alert.pending_for), seconds(alert.keep_firing_for)
    for when in range(BEGIN, END + 1, STEP):
        if when in true:
            since = since if last == when - STEP else when
            last = when
            until = when + keep_firing_for if when - since >= pending_for else until
        if when <= until and until:
            yield when


def _over_the_recording(prometheus: Prometheus, expression: str) -> list[Any]:
    answer = prometheus.answer("query_range", query=expression, start=BEGIN, end=END, step=STEP)
    return list(answer["result"])


def _labels(found: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in found["metric"].items() if key != "__name__"}


def without_recordings(expression: str, file: RuleFile) -> str:
    """The expression with every recorded series replaced by what records it, evaluated as often as the rules are."""
    several: dict[str, list[str]] = {}
    for recording in file.recordings:
        text = f"({recording.expression})"
        for name, value in recording.labels.items():
            text = f'label_replace({text}, "{name}", "{value}", "", "")'
        several.setdefault(recording.name, []).append(text)
    while (match := re.search(r"(\w+:\w+:\w+)(\{[^}]*\})?(\[\w+\])?", expression)) is not None:
        text = "(" + " or ".join(several[match[1]]) + ")"
        window = f"[{match[3][1:-1]}:{STEP}s]" if match[3] else ""
        expression = expression[: match.start()] + text + window + expression[match.end() :]
    return expression


def seconds(duration: str) -> int:
    """`5m` is 300."""
    return int(duration[:-1]) * _UNITS[duration[-1]]
