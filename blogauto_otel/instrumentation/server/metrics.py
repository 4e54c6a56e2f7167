"""Request metrics: counters by attribute set, read by observable instruments, and a histogram with exemplars.

A counter of the SDK costs 6 us per addition and per reader, a count in a dictionary a tenth of one
(docs/decisions/0025). Requests in progress are the set of those that are open, asked for their route when collected.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation
from opentelemetry.trace import Span, SpanContext

from blogauto_otel import semconv
from blogauto_otel._cardinality import OVERFLOW_ATTRIBUTES, is_full
from blogauto_otel._guard import guard, swallow
from blogauto_otel.api import catalogue
from blogauto_otel.config import Settings
from blogauto_otel.instrumentation.server import attributes
from blogauto_otel.sdk.histogram import BoundHistogram, bind_histogram

if TYPE_CHECKING:
    from blogauto_otel.instrumentation.server.request import Request

Callback: TypeAlias = Callable[[CallbackOptions], Iterable[Observation]]
Read: TypeAlias = Callable[[], list[Observation]]

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
SEMCONV_BOUNDARIES: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

ACCEPTED: Final = 101  # status of a websocket handshake

SEMCONV_ATTRIBUTES: Final = (
    attributes.METHOD,
    attributes.SCHEME,
    attributes.ROUTE,
    attributes.STATUS_CODE,
    attributes.PROTOCOL_VERSION,
    attributes.ERROR_TYPE,
)


Labels: TypeAlias = dict[str, str | int | bool]
Key: TypeAlias = tuple[str | int | None, ...]

# Attribute sets beyond the limit are counted together (specification: metrics/sdk, "Cardinality limits").
OVERFLOW: Final[Key] = ("overflow",)
_OVERFLOW_LABELS: Final[Labels] = {**OVERFLOW_ATTRIBUTES}


class AttributeSets:
    """The attribute sets of one metric, each created once; at most `limit` of them, and the overflow."""

    def __init__(self, names: tuple[str, ...], limit: int) -> None:
        self._names = names
        self._limit = limit
        self.clear()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._known.copy())  # in one step: `tuple` may be interrupted by a finalizer that adds one

    def clear(self) -> None:
        """Forget every attribute set."""
        self._known: dict[Key, Labels] = {}

    def key(self, values: Key) -> Key:
        """The key under which `values` are counted: themselves, or `OVERFLOW` when the limit is reached."""
        if values in self._known:
            return values
        if is_full(self._known, self._limit, overflow=OVERFLOW):
            return OVERFLOW
        labels = {name: value for name, value in zip(self._names, values, strict=True) if value is not None}
        self._known.setdefault(values, labels)
        return values

    def labels(self, values: Key) -> Labels:
        """The attributes of `values`; the same object each time, so it must not be changed."""
        return self._known.get(values) or self._known.get(self.key(values), _OVERFLOW_LABELS)


class CounterStore:
    """Lock-protected counters by attribute set, with a cardinality limit.

    A lock, because `count += 1` is three steps and several event loops may take them at once. It is reentrant, because
    the garbage collector may close an abandoned request in the middle of `add`, and that request is counted too. For
    the same reason there is no call between reading and writing a count, and `read` copies in one step.
    Uncontended, it costs less than a tenth of a microsecond, and no more than a plain lock does.
    """

    def __init__(self, names: tuple[str, ...], limit: int) -> None:
        self._sets = AttributeSets(names, limit)
        self.clear()

    def add(self, values: Key) -> None:
        """Count one more of `values`."""
        with self._lock:
            try:
                self._counts[values] += 1
            except KeyError:
                key = self._sets.key(values)
                self._counts.setdefault(key, 0)
                self._counts[key] += 1

    def read(self) -> list[tuple[Labels, int]]:
        """Every label set with its count."""
        with self._lock:
            counts = self._counts.copy()
        return [(self._sets.labels(key), count) for key, count in counts.items()]

    def clear(self) -> None:
        """Reset to zero with a new lock, as a forked child needs it."""
        self._lock = threading.RLock()
        self._counts: dict[Key, int] = {}
        self._sets.clear()


_OF_PROVIDER: Final = "_blogauto_request_metrics"


def request_metrics(provider: MeterProvider, settings: Settings) -> RequestMetrics:
    """The request metrics of a meter provider; the same again when requests are instrumented again.

    OpenTelemetry keeps the first instrument of a name, and with it the first callback.
    """
    found: RequestMetrics | None = getattr(provider, _OF_PROVIDER, None)
    if found is None:
        found = RequestMetrics(provider, settings)
        with guard("keeping the request metrics of a provider"):
            setattr(provider, _OF_PROVIDER, found)
    found.active = True
    return found


class RequestMetrics:
    """The request metrics of the catalogue, and those of the semantic conventions when they are switched on."""

    def __init__(self, provider: MeterProvider, settings: Settings) -> None:
        self._namespace = settings.namespace
        self._takes_any_exemplar = settings.exemplar_filter == "always_on"
        self._requests = CounterStore(("method", "endpoint", "status"), settings.series_limit)
        self._errors = CounterStore(("type", "endpoint"), settings.series_limit)
        self.open: set[Request] = set()
        self.active = True
        meter = provider.get_meter(semconv.SCOPE_HTTP)
        self._observe(meter.create_observable_counter, "api.requests", lambda: _counted(self._requests))
        self._observe(meter.create_observable_counter, "errors", lambda: _counted(self._errors))
        self._observe(meter.create_observable_up_down_counter, "api.requests.in_progress", self._in_progress)
        self._websockets = AttributeSets(("endpoint",), settings.series_limit)
        self._observe(meter.create_observable_up_down_counter, "websockets.open", self._open_websockets)
        self._durations = Durations(_request_duration(meter, settings), ("method", "endpoint"), settings.series_limit)
        self._semconv = SemconvMetrics(meter, self, settings.series_limit) if settings.http_semconv_metrics else None

    def reset(self) -> None:
        """Reset to zero, as a forked child does: the parent exports its own counts."""
        self._requests.clear()
        self._errors.clear()
        self._durations.reset()
        if self._semconv is not None:
            self._semconv.reset()
        self.open = set()

    def record(self, request: Request, span: Span) -> None:
        """Count a finished request and its time; `span` is for an exemplar: the request's, or the deferred one."""
        try:
            endpoint = request.template or semconv.UNMATCHED
            self._requests.add((request.method, endpoint, request.status))
            key = (request.method, endpoint)
            durations = self._durations
            duration = durations.bound.get(key) or durations.bind(key)
            source = None
            if request.is_own_span and request.sampled:
                own: Any = span
                duration.record_sampled(request.seconds, own.trace_id, own.span_id)
            else:
                if request.sampled or span is not request.span or self._takes_any_exemplar:
                    source = span.get_span_context()
                duration.record(request.seconds, source)
            if self._semconv is not None:
                self._semconv.record(request, span.get_span_context() if request.sampled else source)
        except BaseException as error:
            if not swallow("counting a request", error):
                raise

    def count_error(self, name: str, route: str | None) -> None:
        """Count a request that ended in an exception of the class `name`."""
        self._errors.add((name, route or semconv.UNMATCHED))

    def _observe(self, create: Callable[..., object], name: str, read: Read) -> None:
        spec = catalogue.spec(name)
        create(spec.otel_name(self._namespace), [self.while_active(read)], spec.unit, spec.description)

    # --- read by the thread that collects metrics -----------------------------------------------------------------

    def while_active(self, read: Read) -> Callback:
        """A callback that returns nothing after `uninstrument`: OpenTelemetry cannot unregister one."""
        return lambda _: read() if self.active else []

    def in_flight(self) -> list[Request]:
        """The HTTP requests whose response is not complete."""
        return [request for request in self.open.copy() if request.ended is None and not request.is_websocket]

    def _in_progress(self) -> list[Observation]:
        """Open requests by route, and zero for every route seen before: a missing gauge looks like lost data.

        A request that has not reached its route yet, because it is in a middleware, is `unmatched`.
        """
        routes = self._durations.sets
        now: Counter[Key] = Counter(dict.fromkeys(routes, 0))
        for request in self.in_flight():
            now[routes.key((request.method, request.find_template() or semconv.UNMATCHED))] += 1
        return [Observation(count, routes.labels(key)) for key, count in now.items()]

    def _open_websockets(self) -> list[Observation]:
        """Accepted sessions by route; zero for every route seen before."""
        now: Counter[Key] = Counter(dict.fromkeys(self._websockets, 0))
        for session in tuple(self.open):
            if session.is_websocket and session.code == ACCEPTED:
                now[self._websockets.key((session.find_template() or semconv.UNMATCHED,))] += 1
        return [Observation(count, self._websockets.labels(key)) for key, count in now.items()]


def _counted(counters: CounterStore) -> list[Observation]:
    return [Observation(count, labels) for labels, count in counters.read()]


def _request_duration(meter: Meter, settings: Settings) -> Histogram:
    spec = catalogue.spec("api.request.duration")
    return meter.create_histogram(
        spec.otel_name(settings.namespace),
        spec.unit,
        spec.description,
        explicit_bucket_boundaries_advisory=spec.boundaries,
    )


class Durations:
    """A histogram whose attribute sets are bound once each."""

    def __init__(self, histogram: Histogram, names: tuple[str, ...], limit: int) -> None:
        self.sets = AttributeSets(names, limit)
        self._histogram = histogram
        self.bound: dict[Key, BoundHistogram] = {}

    def record(self, values: Key, seconds: float, source: SpanContext | None) -> None:
        """Record a duration under `values`; `source` is the span for an exemplar."""
        (self.bound.get(values) or self.bind(values)).record(seconds, source)

    def bind(self, values: Key) -> BoundHistogram:
        """The series of these attributes."""
        key = self.sets.key(values)
        return self.bound.setdefault(key, bind_histogram(self._histogram, self.sets.labels(key)))

    def reset(self) -> None:
        """Bind every attribute set again, as a forked child must."""
        self.bound = {}


class SemconvMetrics:
    """`http.server.request.duration` and `http.server.active_requests`, as every other service emits them."""

    def __init__(self, meter: Meter, requests: RequestMetrics, limit: int) -> None:
        self._requests = requests
        self._active = AttributeSets((attributes.METHOD, attributes.SCHEME), limit)
        duration = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=SEMCONV_BOUNDARIES,
        )
        self._durations = Durations(duration, SEMCONV_ATTRIBUTES, limit)
        self.reset = self._durations.reset
        meter.create_observable_up_down_counter(
            "http.server.active_requests",
            [requests.while_active(self._active_requests)],
            "{request}",
            "Number of active HTTP server requests.",
        )

    def record(self, request: Request, source: SpanContext | None) -> None:
        """Record the duration of a finished request."""
        scope = request.scope
        values = (
            request.method,
            scope.get("scheme", "http"),
            request.http_route,
            request.code,
            scope.get("http_version"),
            request.error_type,
        )
        self._durations.record(values, request.seconds, source)

    def _active_requests(self) -> list[Observation]:
        now: Counter[Key] = Counter(dict.fromkeys(self._active, 0))
        for request in self._requests.in_flight():
            now[self._active.key((request.method, request.scope.get("scheme", "http")))] += 1
        return [Observation(count, self._active.labels(key)) for key, count in now.items()]
