"""Copy records of Kafka that are no OTLP into a dead-letter topic, from the log of the Collector that skipped them.

    otelcol --config=... 2>&1 | python dead_letters.py --brokers kafka:9092        # pip install kafka-python

The Collector skips such a record, counts it and logs topic, partition and offset. For each of these lines the record is read
and written to `<topic>_dead`, with its key and the headers `dead.topic`, `dead.partition`, `dead.offset` and `dead.error`. The
lines pass unchanged to stdout. At the end, and every minute in which there was one, stderr says how many. A record that
cannot be copied is reported there, and stays in its topic until its retention ends. Create the topics first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

SKIPPED = "failed to consume message, skipping"  # how the Collector's message begins
TIMEOUT_MS = 10_000


class Skipped(NamedTuple):
    """Where a record is, and why the Collector skipped it."""

    topic: str
    partition: int
    offset: int
    error: str


def skipped(line: str) -> Skipped | None:
    """What a line of the Collector's JSON log says, if it is about a skipped record."""
    if SKIPPED not in line:
        return None
    try:
        found = json.loads(line)
        return Skipped(found["topic"], int(found["partition"]), int(found["offset"]), str(found.get("error", "")))
    except (ValueError, KeyError):
        return None


def read(consumer: Any, record: Skipped) -> Any:
    """The record itself.

    Raises:
        LookupError: It is not there any more.
    """
    partition = TopicPartition(record.topic, record.partition)
    consumer.assign([partition])
    consumer.seek(partition, record.offset)
    for found in consumer.poll(timeout_ms=TIMEOUT_MS, max_records=1).get(partition, ()):
        if found.offset == record.offset:
            return found
    raise LookupError(f"{record.topic}/{record.partition} has no offset {record.offset}")


def copy(consumer: Any, producer: Any, record: Skipped) -> None:
    """Write it to the dead-letter topic, and return when all in-sync copies have it."""
    found = read(consumer, record)
    headers = [(f"dead.{name}", str(value).encode()) for name, value in record._asdict().items()]
    sent = producer.send(f"{record.topic}_dead", value=found.value, key=found.key, headers=[*found.headers, *headers])
    sent.get(timeout=TIMEOUT_MS / 1000)


def main() -> None:
    """Read stdin to its end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True, help="host:port, separated by commas")
    servers = parser.parse_args().brokers.split(",")
    consumer = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, group_id=None)
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", compression_type="gzip")
    copied = failed = 0
    reported, reported_at = 0, time.monotonic()
    for line in sys.stdin:
        sys.stdout.write(line)
        sys.stdout.flush()
        if (record := skipped(line)) is not None:
            try:
                copy(consumer, producer, record)
                copied += 1
            except (KafkaError, LookupError) as error:
                failed += 1
                print(f"not copied: {record}: {error}", file=sys.stderr, flush=True)
        if copied + failed > reported and time.monotonic() - reported_at > 60:
            reported, reported_at = copied + failed, time.monotonic()
            print(f"dead letters: {copied} copied, {failed} not copied", file=sys.stderr, flush=True)
    print(f"dead letters: {copied} copied, {failed} not copied", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
