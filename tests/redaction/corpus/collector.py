"""The rates of the Collector's own stage: the corpus goes through the real program, as log bodies and as attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stack.processes import eventually, start_collector
from testkit import sending
from tests.redaction.corpus.rates import Rates, measure

BATCH = 100


def of_the_collector(folder: Path) -> Rates:
    """Send each text as an attribute of a log record to a Collector that has `process-redact`, and read what arrives."""

    def redact(texts: Sequence[str]) -> Sequence[str]:
        with start_collector(("process-redact", "export-file"), tmp=folder) as collector:
            for start in range(0, len(texts), BATCH):
                records = [
                    sending.record("corpus", attributes={"note": text, "number": start + place})
                    for place, text in enumerate(texts[start : start + BATCH])
                ]
                assert sending.post(collector.endpoint, sending.logs(records, sending.BLOG)) == 200
            arrived = eventually(collector.logs, lambda found: len(found) == len(texts))
        by_number: dict[Any, str] = {
            record.attributes["number"]: record.attributes.get("note", "") for record in arrived
        }
        return [by_number[number] for number in range(len(texts))]

    return measure(redact)
