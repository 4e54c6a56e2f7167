"""Values that another thread changes, and values of misleading types."""

from __future__ import annotations

import dataclasses
import enum
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pydantic
from opentelemetry import metrics, trace

import blogauto_otel
from testkit.results import print_result

TIMES = 50

telemetry = blogauto_otel.configure()
tracer = trace.get_tracer("faults")
counter = metrics.get_meter("faults").create_counter("faults.changing")
log = logging.getLogger("faults")
shared: dict[str, Any] = {f"key{number}": [number] for number in range(50)}
stop = threading.Event()
raised: list[str] = []


def change() -> None:
    """Change a map that was passed as attributes."""
    number = 0
    while not stop.is_set():
        number += 1
        shared[f"new{number % 100}"] = [number] * (number % 20)
        shared.pop(f"new{(number + 50) % 100}", None)


class Growing(dict[str, Any]):
    """A map that grows when read."""

    def items(self) -> Any:
        for number in range(len(self) + 1):
            self[f"more{number}"] = number
            yield from list(super().items())

    def __iter__(self) -> Iterator[str]:
        for key in super().__iter__():
            self[f"{key}'"] = 1
            yield key


class Text(str):
    """A string whose methods raise."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return -1  # noqa: PLE0303 - on purpose

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def encode(self, *_: Any) -> bytes:
        raise RuntimeError("no")


class Number(int):
    def __index__(self) -> int:
        raise RuntimeError("no")

    def __int__(self) -> int:
        raise RuntimeError("no")

    def __lt__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Scalar:
    """As a numpy scalar: not a Python number, but with array attributes."""

    dtype, ndim, shape = "float64", 0, ()

    def item(self) -> float:
        return 1.5

    def __float__(self) -> float:
        return 1.5

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]


class Color(enum.Enum):
    RED = "red"


class Level(str, enum.Enum):
    HIGH = "high"


@dataclasses.dataclass
class Point:
    x: int = 1
    secret: Any = dataclasses.field(default_factory=lambda: Text("x"))


class Model(pydantic.BaseModel):
    name: str = "a name"
    parts: list[dict[str, int]] = [{"a": 1}]


class OutOfMemory:
    def __str__(self) -> str:
        raise MemoryError

    __repr__ = __str__


def endless() -> Iterator[int]:
    while True:
        yield 1


VALUES: dict[str, Callable[[], Any]] = {
    "shared": lambda: shared,
    "growing": lambda: Growing(a=1),
    "text": lambda: Text("text"),
    "number": lambda: Number(7),
    "scalar": Scalar,
    "enum": lambda: Color.RED,
    "text enum": lambda: Level.HIGH,
    "dataclass": Point,
    "model": Model,
    "out of memory": OutOfMemory,
    "generator": endless,
    "view": shared.values,
    "everything": lambda: [make() for name, make in VALUES.items() if name != "everything"],
}


def hand_over(value: Any) -> None:
    """Pass the value to each part of the API."""
    extra: Any = {"value": value}
    attributes = value if isinstance(value, dict) else extra
    with tracer.start_as_current_span("mutating", attributes=attributes) as span:
        span.set_attribute("value", value)
        span.set_attributes(attributes)
        span.add_event("event", attributes)
        counter.add(1, attributes)
        log.warning("mutating", extra=extra)
        log.warning("mutating %s", value)
        blogauto_otel.bind(value=value)
        with blogauto_otel.operation("mutating", value=value):
            pass


changing = threading.Thread(target=change)
changing.start()
sys.setswitchinterval(1e-5)
for name, make in VALUES.items():
    for _ in range(TIMES if name in ("shared", "view") else 5):
        try:
            hand_over(make())
        except BaseException:
            raised.append(f"{name}: {traceback.format_exc(limit=-3)}")
            break
stop.set()
changing.join()
blogauto_otel.unbind("value")
recorded = 2 * (2 * TIMES + 5 * (len(VALUES) - 2))
complete = telemetry.shutdown(10.0)
status = telemetry.status().as_dict()
print_result(
    {
        "raised": raised,
        "complete": complete,
        "recorded": recorded,
        "swallowed": status["swallowed"],
        "dropped": {name: status["delivery"][name]["dropped"] for name in ("traces", "logs")},
    }
)
