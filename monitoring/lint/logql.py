"""Checks of LogQL with the grammar of Grafana's editor (@grafana/lezer-logql, Apache-2.0), run by node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitoring.node import packages

SCENARIO: Final = Path(__file__).parent / "logql.mjs"

# Loki 3's index labels for OTLP that our Collector can set (limits_config.otlp_config, default resource attributes).
INDEX_LABELS: Final = frozenset(
    {"service_name", "service_namespace", "deployment_environment_name", "service_instance_id"}
)

# Structured metadata: what each OTLP record has, dots as underscores.
METADATA: Final = frozenset(
    {"trace_id", "span_id", "severity_text", "severity_number", "detected_level", "scope_name", "request_id", "user_id"}
)


@dataclass(frozen=True)
class Parsed:
    """What the grammar found in one query."""

    error: str
    stream: tuple[str, ...]  # labels of stream selectors
    filters: tuple[str, ...]  # labels of label filters


def parse(queries: Sequence[str]) -> list[Parsed]:
    """Every query, parsed in one run of node."""
    done = subprocess.run(
        ["node", str(SCENARIO), str(packages("logql"))],
        input=json.dumps(list(queries)),
        capture_output=True,
        text=True,
        check=True,
    )
    return [Parsed(one["error"], tuple(one["stream"]), tuple(one["filters"])) for one in json.loads(done.stdout)]


def problems(queries: Sequence[str]) -> list[str]:
    """What is wrong with LogQL queries: syntax, and labels that Loki does not have for OTLP records."""
    found = []
    for query, parsed in zip(queries, parse(queries), strict=True):
        if parsed.error:
            found.append(f"not LogQL ({parsed.error}): {query}")
        found += [f"no index label {label}: {query}" for label in parsed.stream if label not in INDEX_LABELS]
        found += [
            f"no such metadata {label}: {query}" for label in parsed.filters if label not in METADATA | INDEX_LABELS
        ]
        if "service_name" not in parsed.stream:
            found.append(f"reads the logs of every service: {query}")
    return found
