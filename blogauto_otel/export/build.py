"""Builds what delivery consists of from the settings: the exporter of each signal, and the spooler."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from blogauto_otel import semconv
from blogauto_otel._guard import log_once
from blogauto_otel.config import Settings
from blogauto_otel.export.client import ExportClient
from blogauto_otel.export.endpoints import ExportConfig
from blogauto_otel.export.metric_exporter import MetricExporter, MetricSource
from blogauto_otel.export.outage_log import DropLog, OutageLog
from blogauto_otel.export.queue import Queue
from blogauto_otel.export.retry import SpoolTiming, Timing
from blogauto_otel.export.signal_exporter import BatchConfig, EncodedResource, SignalExporter
from blogauto_otel.otlp.encoder import encode_resource
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.redaction import Redactor
from blogauto_otel.spool import location

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from blogauto_otel.export.spooler import Spooler

_WATERMARK: Final = 0.5  # of the bounds of a queue; above it items go to disk, if there is a spool
_REQUEST_FRAME: Final = 64  # bytes, at most, of tags and lengths around the resource and one item


def encode_resources(resource: Resource, redactor: Redactor) -> EncodedResource:
    """Encode the resource without its secrets, once for all signals: as it is sent, and as it is stored on disk."""
    return EncodedResource(encode_resource(resource, redactor), encode_resource(_redelivered(resource), redactor))


def build_exporter(
    config: ExportConfig,
    settings: Settings,
    resource: EncodedResource,
    timing: Timing,
    outages: OutageLog,
    sources: Sequence[MetricSource],
) -> SignalExporter:
    """Build the exporter of one signal: client, queue and batches.

    Args:
        config: where the signal goes, and in which batches.
        settings: the bounds of queues and requests.
        resource: sent with each request.
        timing: the retry policy, and how long drops must be over to be logged as over.
        outages: the log of outages that all signals share.
        sources: what collects metrics; it may grow later.
    """
    signal = config.signal
    if signal is Signal.METRICS:  # not marked as redelivered: a resource attribute would create new series
        resource = EncodedResource(resource.sent, resource.sent)
    queue = Queue(
        max_items=config.queue_items,
        max_bytes=settings.queue_bytes,
        max_item=min(settings.max_request_bytes - len(resource.sent) - _REQUEST_FRAME, settings.queue_bytes),
        wake_items=config.batch_items,
        wake_bytes=settings.max_request_bytes,
        watermark=_WATERMARK if location.is_wanted(settings) else 1.0,
    )
    parts = (
        signal,
        ExportClient(signal, config.endpoint, config.transport(), timing.retry, outages),
        queue,
        BatchConfig(config.delay, config.batch_items, settings.max_request_bytes, config.destination.timeout),
        resource,
        DropLog(signal, timing.drops_over),
    )
    if signal is not Signal.METRICS:
        return SignalExporter(*parts)
    is_cumulative = settings.metrics_temporality == "cumulative"
    return MetricExporter(*parts, sources=sources, latest_only=is_cumulative)


def build_spooler(
    settings: Settings,
    exporters: Mapping[Signal, SignalExporter],
    *,
    wake_sender: Callable[[], None],
    is_sending: Callable[[], bool],
    timing: SpoolTiming,
) -> Spooler | None:
    """Build the spooler, and connect it with the exporters; None where the settings or the system have no spool."""
    if not location.is_wanted(settings):
        _log_missing_system_support(settings)
        return None
    from blogauto_otel.export.spooler import Spooler
    from blogauto_otel.spool.directory import SpoolLimits

    drained = frozenset(signal for signal in exporters if "otlp" in getattr(settings, f"{signal.value}_exporter"))
    spooler = Spooler(
        exporters.values(),
        partial(location.candidates, settings, os.environ.copy()),
        SpoolLimits(settings.spool_bytes, settings.spool_age, settings.max_request_bytes, settings.spool_fsync),
        drained=drained,
        wake_sender=wake_sender,
        is_sending=is_sending,
        timing=timing,
    )
    for exporter in exporters.values():
        exporter.client.on_connectivity_change = spooler.worker.wake
        exporter.replay.on_replayed = spooler.on_replayed
    return spooler


def _redelivered(resource: Resource) -> Resource:
    from opentelemetry.sdk.resources import Resource

    return Resource({**resource.attributes, semconv.REDELIVERED: True}, resource.schema_url)


def _log_missing_system_support(settings: Settings) -> None:
    missing = location.missing_on_this_system()
    if missing is not None and settings.spool_dir != "off":
        log_once(
            "no spool here",
            "no spool on this system, which has no %s: what cannot be sent waits in memory only",
            missing,
            level=logging.INFO if settings.spool_dir is None else logging.WARNING,
        )
