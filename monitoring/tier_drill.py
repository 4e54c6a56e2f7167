"""Fire drill of the alerts about tiers: an agent, Kafka, gateways and samplers, of which one after the other is stopped."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from monitoring.alerts.all import triggers
from monitoring.drill import ARRIVES, Notification, Print, WebhookReceiver, alertmanager_file, shorten_durations
from monitoring.generate import rules, write
from monitoring.parameters import BLOGAUTO, COLLECTOR_JOB
from stack.processes import (
    LOOPBACK,
    Collector,
    Prometheus,
    eventually,
    free_port,
    start_alertmanager,
    start_collector,
    start_kafka,
    start_prometheus,
)
from testkit import otlp

QUEUE_ITEMS: Final = 500  # of each gateway and signal: full within half a minute
SIGNALS: Final = ("traces", "metrics", "logs")

# Writes text where the readers expect OTLP.
POISON: Final = """yaml:
exporters:
  kafka/text: {brokers: "${env:KAFKA_BROKERS}", logs: {topic: otlp_logs, encoding: raw}}
service:
  pipelines:
    logs/text: {receivers: [forward/logs_all], exporters: [kafka/text]}
"""


class TierDrill:
    """One drill, from the start of the broker to the last resolved alert."""

    def __init__(self, folder: Path, names: Sequence[str], print_line: Print) -> None:
        self._folder = folder
        self._names = names
        self._print = print_line

    def run(self) -> Sequence[Notification]:
        """Every notification that arrived.

        Raises:
            stack.processes.StackError: an alert did not arrive, or was not resolved, in time.
        """
        with WebhookReceiver(self._print) as webhook, ExitStack() as running:
            (broker,) = start_kafka(tmp=self._folder)
            running.enter_context(broker)
            broker.wait_ready(120.0)
            kafka = {"KAFKA_BROKERS": broker.address, "KAFKA_CREATE_TOPICS": "true"}
            tiers = self._tiers(running, kafka)
            prometheus = self._prometheus(running, webhook, tiers)
            prometheus.wait_for(
                'count(up{job="otel-collector"} == 1)', lambda found: bool(found) and found[0].value == 5
            )
            self._fire(webhook, prometheus, tiers, kafka)
        return webhook.notifications

    def _fire(
        self,
        webhook: WebhookReceiver,
        prometheus: Prometheus,
        tiers: Mapping[str, list[Collector]],
        kafka: Mapping[str, str],
    ) -> None:
        (agent,), _, samplers = tiers.values()
        with _traffic(
            agent.endpoint, services=1
        ):  # logs and metrics of one process: all at one gateway, and one sampler
            self._wait(webhook, "OtelCollectorShardSkew", "firing")
        with _traffic(agent.endpoint, services=20):
            self._wait(webhook, "OtelCollectorShardSkew", "resolved")
            self._write_text(kafka)
            self._wait(webhook, "KafkaRecordsSkipped", "firing")
            samplers[0].kill()
            self._wait(webhook, "OtelCollectorShardFailing", "firing")
            samplers[1].kill()  # now the gateways' queues fill, and they read no more
            self._wait(webhook, "KafkaTopicNotRead", "firing")
            _restart(samplers)
            self._wait(webhook, "OtelCollectorShardFailing", "resolved")
            self._wait(webhook, "KafkaTopicNotRead", "resolved")
            self._wait(webhook, "KafkaConsumerLag", "firing")
            self._write_rules(exceeded=False)
            os.kill(prometheus.pid, signal.SIGHUP)
            self._wait(webhook, "KafkaConsumerLag", "resolved")
            self._wait(webhook, "KafkaRecordsSkipped", "resolved")

    def _tiers(self, running: ExitStack, kafka: Mapping[str, str]) -> dict[str, list[Collector]]:
        samplers = [self._collector(f"sampler-{number}", ("export-file",)) for number in (1, 2)]
        small = {**kafka, "OTELCOL_GATEWAY_QUEUE_ITEMS": str(QUEUE_ITEMS)}
        overlays = ("tier-kafka-in", "tier-gateway")
        gateways = [
            self._collector(f"gateway-{number}", overlays, env=small, extra=(_static(samplers),)) for number in (1, 2)
        ]
        agent = self._collector("agent", ("process-redact", "tier-kafka-out"), env=kafka)
        for collector in (agent, *gateways, *samplers):
            running.callback(collector.stop)
        for collector in (agent, *gateways, *samplers):
            collector.wait_ready(60.0)
        return {"agent": [agent], "gateway": gateways, "sampler": samplers}

    def _collector(
        self, name: str, overlays: Sequence[str], *, env: Mapping[str, str] | None = None, extra: Sequence[str] = ()
    ) -> Collector:
        return start_collector(overlays, tmp=self._folder / name, env=env, extra=extra)

    def _prometheus(
        self, running: ExitStack, webhook: WebhookReceiver, tiers: Mapping[str, list[Collector]]
    ) -> Prometheus:
        alertmanager = running.enter_context(
            start_alertmanager(alertmanager_file(self._folder, webhook), tmp=self._folder)
        )
        self._write_rules(exceeded=True)
        jobs = [
            {"targets": [f"{LOOPBACK}:{one.ports['METRICS']}" for one in collectors], "labels": {"tier": tier}}
            for tier, collectors in tiers.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(self._folder / "rules" / "telemetry.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.url.split("//")[1]]}]}]},
            "scrape_configs": [{"job_name": COLLECTOR_JOB, "static_configs": jobs}],
        }
        path = self._folder / "prometheus.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        return running.enter_context(start_prometheus(path, tmp=self._folder, port=free_port()))

    def _write_rules(self, *, exceeded: bool) -> None:
        """The rules with shorter durations; the limit of what cannot be caused within a minute is always or never exceeded."""
        moved = {
            field: always if exceeded else never
            for field, always, never in filter(None, (triggers()[name].threshold for name in self._names))
        }
        limits = replace(BLOGAUTO.thresholds, minimum_shard_items=1, **moved)
        texts = rules(replace(BLOGAUTO, thresholds=limits))
        write({f"rules/{name}": shorten_durations(text) for name, text in texts.items()}, self._folder)

    def _write_text(self, kafka: Mapping[str, str]) -> None:
        with start_collector((), tmp=self._folder / "writer", env=kafka, extra=(POISON,)) as writer:
            writer.wait_ready(60.0)
            otlp.post(writer.endpoint, otlp.logs([otlp.record("no OTLP")]))
            eventually(lambda: writer.total("otelcol_exporter_sent_log_records_total") >= 1, what="a text in Kafka")

    def _wait(self, webhook: WebhookReceiver, name: str, status: str) -> None:
        """Those that were not asked for may fire as well: they are not waited for."""
        if name in self._names:
            eventually(lambda: webhook.has(name, status), timeout=ARRIVES, what=f"{name} {status}")


def _static(samplers: Sequence[Collector]) -> str:
    """On one machine DNS has no name for several samplers: a list of them by port."""
    hostnames = ", ".join(f'"{LOOPBACK}:{sampler.ports["GRPC"]}"' for sampler in samplers)
    resolver = f"{{resolver: {{dns: null, static: {{hostnames: [{hostnames}]}}}}}}"
    return f"yaml:{{exporters: {{{', '.join(f'load_balancing/{signal}: {resolver}' for signal in SIGNALS)}}}}}"


def _restart(collectors: Sequence[Collector]) -> None:
    for collector in collectors:
        collector.start()
    for collector in collectors:
        collector.wait_ready(60.0)


@contextmanager
def _traffic(endpoint: str, *, services: int) -> Iterator[None]:
    """About fifty spans, points and log records a second from so many processes, while the block runs."""
    end = threading.Event()

    def send() -> None:
        number = 0
        while not end.wait(0.02):
            number += 1
            resource = {"service.name": "blog", "service.instance.id": f"worker-{number % services}"}
            otlp.post(endpoint, otlp.traces([otlp.span()], resource))
            metric = otlp.counter("things", number, since=time.time_ns())
            otlp.post(endpoint, otlp.metrics([metric], resource))
            otlp.post(endpoint, otlp.logs([otlp.record(f"record {number}")], resource))

    thread = threading.Thread(target=send, name="drill-traffic")
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
