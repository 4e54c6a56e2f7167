"""Captures the spans, metrics and log records of a block.

One collector is added to the providers of each handle while a capture is open or was; it passes what ends to the
innermost capture. So a tracer that a module got once is captured, whichever handle it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from opentelemetry import trace

from blogauto_otel import _configure, _otel, _process
from blogauto_otel.sdk.unstable import log_processor, span_processor
from blogauto_otel.telemetry import Telemetry
from blogauto_otel.testing import deltas
from blogauto_otel.testing.queries import Query, queries_of, repeated
from blogauto_otel.testing.tree import tree

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.trace import ReadableSpan
    from typing_extensions import Unpack

    from blogauto_otel.arguments import SettingsArguments
    from blogauto_otel.sdk.unstable import ReadableLogRecord

Labels = tuple[tuple[str, Any], ...]

ERROR_SEVERITY: Final = 17  # of a log record (data model of the specification)


class Captured:
    """The telemetry of one block, as the OpenTelemetry SDK represents it."""

    def __init__(self, handle: Telemetry, before: Sequence[Metric] = ()) -> None:
        self._first = handle
        self._before = before
        self._after: tuple[Metric, ...] | None = None
        self._spans: list[ReadableSpan] = []
        self._records: list[ReadableLogRecord] = []

    @property
    def handle(self) -> Telemetry:
        """The handle in force: the application may configure its own within the block."""
        return _configure.current() or self._first

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Finished spans, in the order in which they ended."""
        return tuple(self._spans)

    @property
    def logs(self) -> tuple[ReadableLogRecord, ...]:
        """Log records, in the order in which they were emitted."""
        return tuple(self._records)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric with what the block has measured, collected now; after the block, as at its end."""
        return self._measured() if self._after is None else self._after

    @property
    def queries(self) -> tuple[Query, ...]:
        """The SQL statements that were executed, in the order in which they ended."""
        return queries_of(self._spans)

    def span(self, name: str) -> ReadableSpan:
        """The one span of that name.

        Raises:
            LookupError: there is none, or more than one; the message lists all names.
        """
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans named {name!r} among {[span.name for span in self.spans]}")
        return found[0]

    def points(self, name: str) -> Mapping[Labels, float]:
        """The value by sorted attributes of a counter or gauge; for a histogram, the number of measurements."""
        return {
            tuple(sorted((point.attributes or {}).items())): _value(point)
            for metric in self.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def tree(self) -> str:
        """The spans as indented lines with their durations, log records and exceptions."""
        return tree(self._spans, self._records)

    def assert_max_queries(self, limit: int) -> None:
        """Assert that at most `limit` SQL statements were executed.

        Raises:
            AssertionError: there were more; the message lists them with their counts.
        """
        queries = self.queries
        if len(queries) > limit:
            raise AssertionError(f"{len(queries)} SQL statements, at most {limit} expected:\n{_listed(queries)}")

    def assert_no_repeated_queries(self, limit: int = 2) -> None:
        """Assert that no request or operation executed the same SQL statement more than `limit` times.

        Args:
            limit: how often a statement may be executed; 2 by default, because a page may well read a row twice.

        Raises:
            AssertionError: one did; the message names the statement, its count, and what to do.
        """
        found = repeated(self.queries, limit=limit)
        if found:
            lines = "\n".join(
                f"  {count} times in {unit or 'no request'}: {text}" for (unit, text), count in found.items()
            )
            raise AssertionError(
                f"repeated SQL statements (N+1):\n{lines}\n"
                "Load related rows with selectinload() or joinedload(), or read all rows with one statement."
            )

    def assert_no_errors(self) -> None:
        """Assert that no span failed, and that no log record has the level ERROR or a higher one.

        Raises:
            AssertionError: one did; the message is the tree of what was captured.
        """
        failed = [span.name for span in self.spans if span.status.status_code is trace.StatusCode.ERROR]
        logged = [record.log_record.body for record in self.logs if _severity(record) >= ERROR_SEVERITY]
        if failed or logged:
            raise AssertionError(f"failed spans: {failed}; error records: {logged}\n{self.tree()}")

    def _measured(self) -> tuple[Metric, ...]:
        handle = self.handle
        return deltas.since(self._before if handle is self._first else (), deltas.collected(handle))

    def _close(self) -> None:
        self._after = self._measured()


def _value(point: Any) -> float:
    value: float = point.value if hasattr(point, "value") else point.count
    return value


def _severity(record: Any) -> int:
    number = record.log_record.severity_number
    return 0 if number is None else int(number.value)


def _listed(queries: Sequence[Query]) -> str:
    counts: dict[str, int] = {}
    for query in queries:
        counts[query.statement] = counts.get(query.statement, 0) + 1
    return "\n".join(f"  {count} x {statement}" for statement, count in counts.items())


# --- collectors ------------------------------------------------------------------------------------------------------


class _Captures:
    """The open captures, and the providers that have a collector."""

    def __init__(self) -> None:
        self.open: list[Captured] = []
        self._providers: WeakSet[Any] = WeakSet()

    def add_span(self, span: ReadableSpan) -> None:
        if self.open:
            self.open[-1]._spans.append(span)

    def add_records(self, records: Sequence[ReadableLogRecord]) -> None:
        if self.open:
            self.open[-1]._records.extend(records)

    def collect_from(self, handle: Telemetry) -> None:
        """Add the collectors to the providers of a handle, and to those that the application has installed."""
        parts = handle._parts
        tracing = (parts and parts.tracing) or trace.get_tracer_provider()
        logs = (parts and parts.logs) or _otel.get_logger_provider()
        self._add(tracing, "add_span_processor", lambda: span_processor(self.add_span))
        self._add(logs, "add_log_record_processor", lambda: log_processor(self.add_records))

    def _add(self, provider: Any, method: str, build: Any) -> None:
        add = getattr(provider, method, None)
        if add is not None and provider not in self._providers:
            self._providers.add(provider)
            add(build())


_captures: Final = _process.register(_Captures())


@contextmanager
def _capturing(captured: Captured) -> Iterator[Captured]:
    _captures.open.append(captured)
    try:
        yield captured
    finally:
        _captures.open.remove(captured)


_IN_MEMORY: Final[SettingsArguments] = {
    "traces_exporter": "none",
    "metrics_exporter": "none",
    "logs_exporter": "none",
    "console": "off",
    "sample_rate": 1.0,
}


@contextmanager
def capture_telemetry(**settings: Unpack[SettingsArguments]) -> Iterator[Captured]:
    """Configure telemetry into memory for the block; afterwards a former handle is in force again, as before.

    Nothing is exported.

    Args:
        settings: fields of `Settings`, as for `configure`; by default everything is sampled and nothing is printed.

    Yields:
        What the block emits.
    """
    arguments: SettingsArguments = {**_IN_MEMORY, **settings}
    former = _configure.set_aside()
    try:
        handle = _configure.configure(**arguments)
        _captures.collect_from(handle)
        with _capturing(Captured(handle)) as captured:
            try:
                yield captured
            finally:
                captured._close()
    finally:
        _configure.reset()
        if former is not None:
            _configure.reinstate(former)


@contextmanager
def capture_configured() -> Iterator[Captured]:
    """Capture with the handle of the process, which stays; the fixture `telemetry`.

    Where nothing is configured, everything is captured in memory until the application calls `configure()`, whose
    arguments then count.
    """
    handle = _configure.current()
    if handle is None:
        handle = _configure.configure(**_IN_MEMORY)
        _configure.make_provisional(_captures.collect_from)
    _captures.collect_from(handle)
    with _capturing(Captured(handle, deltas.baseline(handle))) as captured:
        yield captured
