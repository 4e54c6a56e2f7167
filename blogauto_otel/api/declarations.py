"""Declarations of instruments: a function's signature declares the attributes, and its docstring describes.

    @counter("orders.placed", unit="{order}")
    def orders_placed(*, channel: Literal["web", "app"], country: Annotated[str, AtMost(50)]) -> None:
        \"\"\"Orders accepted by the shop.\"\"\"

    orders_placed.add(channel="web", country="KR")      # one
    orders_placed.add(3, channel="app", country="DE")   # three

mypy checks calls against the signature.
"""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Annotated, Any, Literal, ParamSpec

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import guard
from blogauto_otel.api.instruments import Counter, Gauge, Histogram, UpDownCounter, add_declaration, label_text
from blogauto_otel.api.metric_spec import AttributeSpec, Kind, MetricSpec

P = ParamSpec("P")


@dataclass(frozen=True)
class AtMost:
    """How many different values an open attribute may take: `country: Annotated[str, AtMost(50)]`."""

    values: int


def counter(name: str, *, unit: str, domain: str = "application") -> Callable[[Callable[P, None]], Counter[P]]:
    """Declare a counter: a function whose keyword parameters are its attributes and whose docstring describes it.

    Args:
        name: dotted, without the namespace: `orders.placed` becomes `blogauto.orders.placed`, in Prometheus
            `blogauto_orders_placed_total`.
        unit: what is counted, in braces (`{order}`), or `s`, `By`.
        domain: which part of the application it belongs to; for readers of `spec.domain`.

    An attribute is `Literal["a", "b"]`, an `Enum`, `bool` (all closed: they begin at 0), `str` (at most 100 different
    values) or `Annotated[str, AtMost(n)]`. Measurements before `configure()` are not recorded.
    """

    def declare(declaration: Callable[P, None]) -> Counter[P]:
        return add_declaration(Counter(_spec(declaration, name, Kind.COUNTER, unit, domain)))

    return declare


def up_down_counter(
    name: str, *, unit: str, domain: str = "application"
) -> Callable[[Callable[P, None]], UpDownCounter[P]]:
    """Declare an up-down counter, in the way of `counter`."""

    def declare(declaration: Callable[P, None]) -> UpDownCounter[P]:
        return add_declaration(UpDownCounter(_spec(declaration, name, Kind.UP_DOWN_COUNTER, unit, domain)))

    return declare


def gauge(name: str, *, unit: str, domain: str = "application") -> Callable[[Callable[P, None]], Gauge[P]]:
    """Declare a gauge, in the way of `counter`."""

    def declare(declaration: Callable[P, None]) -> Gauge[P]:
        return add_declaration(Gauge(_spec(declaration, name, Kind.GAUGE, unit, domain)))

    return declare


def histogram(
    name: str, *, unit: str, boundaries: tuple[float, ...], domain: str = "application"
) -> Callable[[Callable[P, None]], Histogram[P]]:
    """Declare a histogram, in the way of `counter`; `boundaries` are its bucket edges, ascending, in `unit`."""
    edges = tuple(float(edge) for edge in boundaries)

    def declare(declaration: Callable[P, None]) -> Histogram[P]:
        return add_declaration(Histogram(_spec(declaration, name, Kind.HISTOGRAM, unit, domain, edges)))

    return declare


def _spec(
    declaration: Callable[..., None], name: str, kind: Kind, unit: str, domain: str, edges: tuple[float, ...] = ()
) -> MetricSpec:
    description = inspect.getdoc(declaration) or ""
    attributes = MappingProxyType(dict(_attributes_of(declaration)))
    return MetricSpec(name, kind, unit, description.partition("\n\n")[0], domain, attributes, edges)


def _attributes_of(declaration: Callable[..., None]) -> Iterator[tuple[str, AttributeSpec]]:
    hints: dict[str, Any] = {}
    with guard(f"reading the declaration of {declaration.__name__}"):
        hints = typing.get_type_hints(declaration, include_extras=True)
    for name in inspect.signature(declaration).parameters:
        yield name, _attribute(hints.get(name, str))


def _attribute(hint: Any) -> AttributeSpec:
    if typing.get_origin(hint) is Literal:
        return AttributeSpec(tuple(map(label_text, typing.get_args(hint))))
    if typing.get_origin(hint) is Annotated:
        limits = [extra.values for extra in hint.__metadata__ if isinstance(extra, AtMost)]
        inner = _attribute(hint.__origin__)
        return AttributeSpec(max_values=limits[0]) if limits and not inner.closed else inner
    if hint is bool:
        return AttributeSpec(("true", "false"))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return AttributeSpec(tuple(label_text(member) for member in hint))
    return AttributeSpec()
