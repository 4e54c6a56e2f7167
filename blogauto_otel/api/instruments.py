"""Typed instruments: what application code measures with, checked when it is measured.

What mypy did not check is checked here: a wrong name, value or amount never raises. It is counted and logged once, and
the measurement is recorded under `_OTHER` where that is possible, so that totals stay right.
"""

from __future__ import annotations

import enum
import functools
import inspect
import itertools
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

from opentelemetry.context import get_current
from opentelemetry.metrics import Meter, MeterProvider

from blogauto_otel._guard import guard, is_foreign, log_once, swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel._process import register
from blogauto_otel.api.metric_spec import OTHER_VALUE, AttributeSpec, Kind, MetricSpec
from blogauto_otel.errors import MisuseError

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

Labels = Mapping[str, str]
Record = Callable[[float, Labels], None]

# Counters with more closed combinations than this do not begin at 0: it would be mostly noise.
MAX_ZEROES: Final = 100
MAX_LABEL_LENGTH: Final = 200
MAX_KNOWN: Final = 4000  # attribute sets whose labels are remembered
_INT64: Final = 2**63


class Instrument(Generic[P]):
    """The base of all kinds: a declaration, and the OpenTelemetry instrument once there is a provider."""

    def __init__(self, spec: MetricSpec) -> None:
        self.spec = spec
        self._record: Record = _ignore
        self._known: BoundedMemo[tuple[tuple[str, object], ...], Labels] = BoundedMemo(MAX_KNOWN)
        self._seen: dict[str, set[str]] = {name: set(a.values) for name, a in spec.attributes.items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spec.name}{{{', '.join(self.spec.attributes)}}}>"

    def _measure(self, amount: float, args: tuple[object, ...], attributes: dict[str, Any]) -> None:
        try:
            try:
                labels = self._known.get(tuple(attributes.items()))
            except BaseException as error:  # an unhashable value
                if not is_foreign(error):
                    raise
                labels = None
            if labels is None or args:
                labels = self._labels(args, attributes)
            self._record(self._checked(amount), labels)
        except BaseException as error:
            if not swallow(f"measuring {self.spec.name}", error):
                raise

    def _checked(self, amount: float) -> float:
        if type(amount) not in (int, float):
            amount = float(amount)
        if not math.isfinite(amount):
            raise MisuseError(f"{self.spec.name}: {amount} is not a number to measure")
        if amount < 0 and self.spec.kind in {Kind.COUNTER, Kind.HISTOGRAM}:
            raise MisuseError(f"{self.spec.name}: {amount} is negative")
        return amount if -_INT64 <= amount < _INT64 else float(amount)

    def _labels(self, args: tuple[object, ...], attributes: dict[str, Any]) -> Labels:
        """The labels of the series, each of them allowed; the slow path, once per combination."""
        given = {**dict(zip(self.spec.attributes, args, strict=False)), **attributes}
        labels = {name: self._label(name, allowed, given) for name, allowed in self.spec.attributes.items()}
        unknown = given.keys() - labels.keys()
        if unknown:
            self._misused(f"has no attribute {min(unknown)!r}")
        # Only unconverted values: others would be remembered at their full length, or under `1 == True`.
        as_given = not args and not unknown and all(labels[name] is value for name, value in attributes.items())
        return self._known.remember(tuple(attributes.items()), labels) if as_given else labels

    def _label(self, name: str, allowed: AttributeSpec, given: Mapping[str, object]) -> str:
        value = given.get(name)
        if value is None:
            self._misused(f"lacks its attribute {name!r}")
            return OTHER_VALUE
        try:
            label = label_text(value)
        except BaseException as error:
            if not is_foreign(error):
                raise
            self._misused(f"cannot read its attribute {name!r}")
            return OTHER_VALUE
        seen = self._seen[name]
        if label in seen:
            return label
        if allowed.closed:
            self._misused(f"{name}={label!r} is none of {', '.join(allowed.values)}")
            return OTHER_VALUE
        # `_OTHER` takes the last place.
        if len(seen) >= allowed.max_values - 1:
            log_once(
                f"full {self.spec.name}", "%s: %s has had %d different values; further ones are counted under %s",
                self.spec.name, name, allowed.max_values - 1, OTHER_VALUE,
            )  # fmt: skip
            return OTHER_VALUE
        seen.add(label)
        return label

    def _misused(self, mistake: str) -> None:
        error = MisuseError(f"{self.spec.name} {mistake} (at {_caller()}); counted under {OTHER_VALUE}")
        if not swallow(f"measuring {self.spec.name}", error):
            raise error

    def _bind(self, provider: MeterProvider, namespace: str) -> None:
        with guard(f"creating {self.spec.name}"):
            self._record = _MAKERS[self.spec.kind](provider.get_meter(self.spec.scope), namespace, self.spec)

    def _start_at_zero(self) -> None:
        if self.spec.kind not in {Kind.COUNTER, Kind.UP_DOWN_COUNTER} or self.spec.max_series > MAX_ZEROES:
            return
        if all(attribute.closed for attribute in self.spec.attributes.values()):
            for values in itertools.product(*(a.values for a in self.spec.attributes.values())):
                self._record(0, dict(zip(self.spec.attributes, values, strict=True)))

    def _count_calls(self, args: tuple[object, ...], attributes: dict[str, Any]) -> Callable[[F], F]:
        def decorate(function: F) -> F:
            if inspect.iscoroutinefunction(function):

                async def call_async(*a: Any, **k: Any) -> Any:
                    result = await function(*a, **k)
                    self._measure(1, args, attributes)
                    return result

                return cast("F", functools.wraps(function)(call_async))

            def call(*a: Any, **k: Any) -> Any:
                result = function(*a, **k)
                self._measure(1, args, attributes)
                return result

            return cast("F", functools.wraps(function)(call))

        return decorate


class Counter(Instrument[P]):
    """A counter: how often something happened."""

    def add(self, amount: float = 1, /, *args: P.args, **attributes: P.kwargs) -> None:
        """Count `amount` more (0 or more, finite; default 1), under the declared attributes."""
        self._measure(amount, args, attributes)

    def count_calls(self, *args: P.args, **attributes: P.kwargs) -> Callable[[F], F]:
        """Decorate a function: each call that returns counts one; one that raises does not.

        A coroutine function counts when it has been awaited, a generator function when it is called.
        """
        return self._count_calls(args, attributes)


class UpDownCounter(Instrument[P]):
    """An up-down counter: how many there are, measured by differences."""

    def add(self, amount: float = 1, /, *args: P.args, **attributes: P.kwargs) -> None:
        """Change by `amount` (finite, negative to go down; default 1), under the declared attributes."""
        self._measure(amount, args, attributes)


class Gauge(Instrument[P]):
    """A gauge: how much there is; the last value stays until the next."""

    def set(self, value: float, /, *args: P.args, **attributes: P.kwargs) -> None:
        """Set the value (finite), under the declared attributes."""
        self._measure(value, args, attributes)


class Histogram(Instrument[P]):
    """A histogram: the distribution of durations or sizes."""

    def bound(self, **attributes: Any) -> Callable[[float], None]:
        """A function that records into one series; its labels are looked at now, and not for each measurement."""
        labels = self._labels((), attributes)

        def record(value: float) -> None:
            try:
                self._record(self._checked(value), labels)
            except BaseException as error:
                if not swallow(f"measuring {self.spec.name}", error):
                    raise

        return record

    def record(self, value: float, /, *args: P.args, **attributes: P.kwargs) -> None:
        """Record `value` (0 or more, finite, in the declared unit), under the declared attributes."""
        self._measure(value, args, attributes)


def label_text(value: object) -> str:
    """A label's text: always a string, because `200` and `"200"` would be two series with one name."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if type(value) is str else str(value)
    if text.isascii() and len(text) <= MAX_LABEL_LENGTH:
        return text
    # A lone surrogate cannot be encoded, and would cost the whole metric with all its series.
    return text[:MAX_LABEL_LENGTH].encode("utf-8", "replace").decode("utf-8")


def _caller() -> str:
    """The file and line of the application that calls."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


# --- the provider behind ---------------------------------------------------------------------------------------------


def _ignore(amount: float, labels: Labels) -> None:
    """Record nothing: there is no provider yet."""


def _make_histogram(meter: Meter, namespace: str, spec: MetricSpec) -> Record:
    """Each series is bound once; its labels are one object, which `Instrument` remembers."""
    from blogauto_otel.sdk.histogram import BoundHistogram, bind_histogram  # with a provider, the SDK is there

    edges = list(spec.boundaries) or None
    name = spec.otel_name(namespace)
    made = meter.create_histogram(name, spec.unit, spec.description, explicit_bucket_boundaries_advisory=edges)
    series: BoundedMemo[int, tuple[Labels, BoundHistogram]] = BoundedMemo(MAX_KNOWN)

    def record(amount: float, labels: Labels) -> None:
        found = series.get(id(labels))
        if found is None or found[0] is not labels:
            found = series.remember(id(labels), (labels, bind_histogram(made, labels)))
        found[1].record(amount, get_current())

    return record


_MAKERS: Final[Mapping[Kind, Callable[[Meter, str, MetricSpec], Record]]] = {
    Kind.COUNTER: lambda m, namespace, s: m.create_counter(s.otel_name(namespace), s.unit, s.description).add,
    Kind.UP_DOWN_COUNTER: lambda m, namespace, s: (
        m.create_up_down_counter(s.otel_name(namespace), s.unit, s.description).add
    ),
    Kind.GAUGE: lambda m, namespace, s: m.create_gauge(s.otel_name(namespace), s.unit, s.description).set,
    Kind.HISTOGRAM: _make_histogram,
}

_AnyInstrument = TypeVar("_AnyInstrument", bound=Instrument[Any])


class _State:
    """The declarations of this process, and the provider that records them."""

    def __init__(self) -> None:
        self.declarations: dict[str, Instrument[Any]] = {}
        self.provider: MeterProvider | None = None
        self.namespace = ""


_state: Final = register(_State())


def add_declaration(instrument: _AnyInstrument) -> _AnyInstrument:
    """Keep the declaration for a later provider, and create the instrument if there is one.

    In this order no lock is needed: the second of the two, `attach` or the declaration, sees the first.
    """
    _state.declarations[instrument.spec.name] = instrument
    if _state.provider is not None:
        instrument._bind(_state.provider, _state.namespace)
        with guard(f"starting {instrument.spec.name} at zero"):
            instrument._start_at_zero()
    return instrument


def attach(provider: MeterProvider, *, namespace: str) -> None:
    """Create every declared instrument with `provider` under `namespace`, and those to come; counters begin at 0."""
    _state.namespace, _state.provider = namespace, provider
    for instrument in tuple(_state.declarations.values()):
        instrument._bind(provider, namespace)
    start_at_zero()


def detach() -> None:
    """Undo `attach`: instruments record nothing until the next one."""
    _state.provider = None
    for instrument in tuple(_state.declarations.values()):
        instrument._record = _ignore


def start_at_zero() -> None:
    """Record 0 for counters without attributes or with closed ones, so that their first increase is seen.

    `rate` and `increase` do not see an increase from nothing to 1.
    """
    for instrument in tuple(_state.declarations.values()):
        with guard(f"starting {instrument.spec.name} at zero"):
            instrument._start_at_zero()
