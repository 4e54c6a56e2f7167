"""Instruments accept anything: an invalid value affects only its measurement, a failing callback only its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation

from testkit.receiver import Receiver
from tests.sdk.providers import Providers, providing

SYNCHRONOUS = {
    "create_counter": "add",
    "create_up_down_counter": "add",
    "create_gauge": "set",
    "create_histogram": "record",
}
OBSERVABLE = ("create_observable_counter", "create_observable_up_down_counter", "create_observable_gauge")


class Raises:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    def __repr__(self) -> str:
        return "Raises()"


def cyclic() -> object:
    made: list[object] = []
    made.append(made)
    return made


def meter(providers: Providers) -> Any:
    return providers.metering.get_meter("tests")


@pytest.mark.parametrize("create", SYNCHRONOUS)
@pytest.mark.parametrize("make", [Raises, cyclic])
def test_an_attribute_that_cannot_be_read_is_replaced(
    receiver: Receiver, create: str, make: Callable[[], object]
) -> None:
    with providing(receiver) as providers:
        instrument = getattr(meter(providers), create)("odd")
        getattr(instrument, SYNCHRONOUS[create])(3, {"good": "yes", "odd": make()})
        providers.flush()
    point = receiver.point("odd")
    assert point.attributes["good"] == "yes"
    odd = str(point.attributes["odd"])
    assert "<unserialisable>" in odd or "too-deep" in odd  # an older SDK does not read it itself


@pytest.mark.quiet_guard
@pytest.mark.parametrize("create", SYNCHRONOUS)
def test_an_invalid_amount_is_no_measurement(receiver: Receiver, create: str) -> None:
    with providing(receiver) as providers:
        instrument = getattr(meter(providers), create)("odd")
        getattr(instrument, SYNCHRONOUS[create])("many", {})
        getattr(instrument, SYNCHRONOUS[create])(3, {})
        providers.flush()
    assert (receiver.point("odd").value or receiver.point("odd").count) in (1, 3)


@pytest.mark.quiet_guard
@pytest.mark.parametrize("create", [*SYNCHRONOUS, *OBSERVABLE])
@pytest.mark.parametrize("name", [None, "", "5", "x" * 300])
def test_a_name_that_is_none_makes_an_instrument_that_does_nothing(receiver: Receiver, create: str, name: Any) -> None:
    with providing(receiver) as providers:
        instrument = getattr(meter(providers), create)(name)
        getattr(instrument, SYNCHRONOUS.get(create, "__str__"))(*([1] if create in SYNCHRONOUS else []))
        providers.flush()
    assert receiver.metrics == ()


def test_the_same_name_is_the_same_instrument_and_counts_once(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        for _ in range(3):
            meter(providers).create_counter("sold").add(1)
        providers.flush()
    assert receiver.point("sold").value == 3


@pytest.mark.parametrize("create", OBSERVABLE)
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_callback_that_raises_system_exit_affects_only_its_own_metrics(
    receiver: Receiver, create: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def exits(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(1, {"before": True})
        raise error

    with providing(receiver) as providers:
        getattr(meter(providers), create)("odd", [exits])
        getattr(meter(providers), create)("well", [lambda _: [Observation(5)]])
        providers.flush()
    assert receiver.point("well").value == 5
    assert receiver.point("odd").value == 1
    assert "a metric callback raised" in caplog.text


def test_a_callback_that_is_a_generator_under_way_is_called_as_before(receiver: Receiver) -> None:
    def under_way() -> Any:
        number = 0
        yield
        while True:
            number += 1
            yield [Observation(number)]

    with providing(receiver) as providers:
        meter(providers).create_observable_gauge("well", [under_way()])
        providers.flush()
    assert receiver.point("well").value == 1
