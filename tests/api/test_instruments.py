"""Measurements of the application arrive once, under their declared labels; a wrong call never raises."""

from __future__ import annotations

import decimal
import enum
import math
import os
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from opentelemetry.metrics import MeterProvider as ApiMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from blogauto_otel import _guard, metrics
from blogauto_otel.api import instruments
from blogauto_otel.api.catalogue import CATALOGUE
from blogauto_otel.api.metrics import AtMost, counter, gauge, histogram, up_down_counter
from blogauto_otel.errors import MisuseError
from blogauto_otel.testing import capture_telemetry
from tests.api.conftest import Meters

quiet_guard = pytest.mark.quiet_guard
PUBLISHED = "blogauto.wordpress.posts.published"


# --- ours ------------------------------------------------------------------------------------------------------------


def test_a_counter_adds_one_or_the_given_amount(meters: Meters) -> None:
    metrics.business.keywords_analyzed.add()
    metrics.business.keywords_analyzed.add(3)
    assert meters.points("blogauto.keywords.analyzed") == {(): 4}


def test_each_value_of_an_attribute_is_its_own_series(meters: Meters) -> None:
    metrics.business.wordpress_posts_published.add(status="success")
    metrics.business.wordpress_posts_published.add(2, status="failed")
    assert meters.points(PUBLISHED) == {(("status", "success"),): 1, (("status", "failed"),): 2}


def test_a_gauge_keeps_its_last_value(meters: Meters) -> None:
    metrics.security.blocked_ips.set(12)
    metrics.security.blocked_ips.set(3)
    assert meters.points("blogauto.blocked_ips_total") == {(): 3}


def test_counters_exist_at_zero_from_the_start_when_their_series_are_known(meters: Meters) -> None:
    assert meters.points("blogauto.titles.generated") == {(): 0}
    assert meters.points(PUBLISHED) == {(("status", "success"),): 0, (("status", "failed"),): 0}
    assert meters.points("blogauto.security.events") == {}
    assert meters.points("blogauto.blocked_ips_total") == {}


@pytest.mark.needs("opentelemetry-sdk>=1.45")
def test_what_is_emitted_is_what_the_catalogue_says(meters: Meters) -> None:
    metrics.business.api_keys_stored.add(service="openai")
    metrics.security.rate_limit_rejected.add(endpoint="/api/login")
    metrics.security.security_events.add(type="auth_failure")
    metrics.security.blocked_ips.set(1)
    emitted = meters.metrics()
    scopes = meters.scopes()
    for spec in CATALOGUE:
        if spec.domain in {"business", "security"}:
            name = spec.otel_name("blogauto")
            assert (emitted[name].unit, emitted[name].description) == (spec.unit, spec.description)
            assert scopes[name] == spec.scope
            labels = {key for point in meters.points(name) for key, _ in point}
            assert labels == set(spec.attributes)


def test_the_namespace_is_the_prefix() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instruments.attach(provider, namespace="shop")
    metrics.business.keywords_analyzed.add()
    assert Meters(provider, reader).points("shop.keywords.analyzed") == {(): 1}
    instruments.detach()


def test_before_configure_a_call_does_nothing() -> None:
    metrics.business.keywords_analyzed.add(3)
    metrics.business.wordpress_posts_published.add(status="failed")
    assert _guard.swallowed() == {}


def test_a_new_provider_takes_over(meters: Meters) -> None:
    metrics.business.keywords_analyzed.add(3)
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instruments.attach(provider, namespace="blogauto")
    metrics.business.keywords_analyzed.add()
    assert Meters(provider, reader).points("blogauto.keywords.analyzed") == {(): 1}
    assert meters.points("blogauto.keywords.analyzed") == {(): 3}


# --- a wrong call ----------------------------------------------------------------------------------------------------

published: Any = metrics.business.wordpress_posts_published  # untyped on purpose: mypy knows better
keywords: Any = metrics.business.keywords_analyzed
events: Any = metrics.security.security_events


@quiet_guard
@pytest.mark.parametrize(
    "attributes",
    [{"status": "sucess"}, {"state": "success"}, {}, {"status": None}, {"status": ["success"]}, {"status": 7}],
    ids=str,
)
def test_a_wrong_attribute_is_counted_as_other_and_logged(
    meters: Meters, attributes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    published.add(2, **attributes)
    assert meters.points(PUBLISHED)[("status", "_OTHER"),] == 2
    assert _guard.swallowed()["measuring wordpress.posts.published"] >= 1
    assert "wordpress.posts.published" in caplog.text
    assert Path(__file__).name in caplog.text


@quiet_guard
def test_an_undeclared_attribute_is_left_out(meters: Meters) -> None:
    published.add(status="success", site="example.org")
    assert meters.points(PUBLISHED)[("status", "success"),] == 1


@quiet_guard
def test_a_mistake_is_logged_once_and_counted_each_time(meters: Meters, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(50):
        published.add(status="sucess")
    assert _guard.swallowed() == {"measuring wordpress.posts.published": 50}
    assert len(caplog.records) == 1


@quiet_guard
@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, -math.inf, "3 posts", None, [], 10**400], ids=str)
def test_an_invalid_amount_is_dropped_and_counted(meters: Meters, amount: Any) -> None:
    keywords.add(amount)
    assert meters.points("blogauto.keywords.analyzed") == {(): 0}
    assert _guard.swallowed() == {"measuring keywords.analyzed": 1}


@pytest.mark.parametrize("amount", [True, 2.5, decimal.Decimal("2.5"), "2"], ids=repr)
def test_an_amount_of_another_type_counts_as_its_number(meters: Meters, amount: Any) -> None:
    keywords.add(amount)
    assert meters.points("blogauto.keywords.analyzed") == {(): float(amount)}


def test_a_whole_number_beyond_64_bits_does_not_poison_the_metric(meters: Meters) -> None:
    keywords.add(2**70)
    assert type(meters.points("blogauto.keywords.analyzed")[()]) is float


@quiet_guard
def test_a_value_with_a_hostile_text_is_counted_under_other(meters: Meters) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no")

    events.add(type=Hostile())
    events.add(type="auth_failure")
    assert meters.points("blogauto.security.events") == {(("type", "auth_failure"),): 1, (("type", "_OTHER"),): 1}


@quiet_guard
def test_a_provider_that_raises_is_counted_as_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MeterProvider):
        def get_meter(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("no meter")

    provider: ApiMeterProvider = Broken(shutdown_on_exit=False)
    instruments.attach(provider, namespace="blogauto")
    keywords.add()
    instruments.detach()
    assert _guard.swallowed()["creating keywords.analyzed"] == 1


def test_in_tests_a_wrong_call_raises(meters: Meters) -> None:
    with pytest.raises(MisuseError, match="status='sucess' is none of success, failed"):
        published.add(status="sucess")


# --- labels and series -----------------------------------------------------------------------------------------------


def test_label_values_are_text(meters: Meters) -> None:
    events.add(type=3)
    events.add(type="3")
    events.add(type=True)
    assert meters.points("blogauto.security.events") == {(("type", "3"),): 2, (("type", "true"),): 1}


def test_a_label_that_cannot_be_encoded_is_changed_so_that_it_can(meters: Meters) -> None:
    events.add(type="bad\ud800")
    events.add(type="한" * 500)
    labels = [value for ((_, value),) in meters.points("blogauto.security.events")]
    assert labels == ["bad?", "한" * 200]


def test_an_open_attribute_has_a_limited_number_of_values(
    meters: Meters, declarations: None, caplog: pytest.LogCaptureFixture
) -> None:
    @counter("visits", unit="{visit}")
    def visits(*, country: Annotated[str, AtMost(5)]) -> None:
        """Visits."""

    for number in range(100):
        visits.add(country=f"c{number}")
    points = meters.points("blogauto.visits")
    assert len(points) == 5 == visits.spec.max_series
    assert points[("country", "_OTHER"),] == 96
    assert sum(points.values()) == 100
    assert "different values" in caplog.text


def test_the_series_of_a_declared_counter_are_limited_by_the_setting(declarations: None) -> None:
    with capture_telemetry(series_limit=3_500) as telemetry:

        @counter("visitors", unit="{visitor}")
        def visitors(*, id: Annotated[str, AtMost(10_000)]) -> None:  # noqa: A002
            """Visitors."""

        for number in range(3_000):
            visitors.add(id=str(number))
        assert len(telemetry.points("blogauto.visitors")) == 3_000
        for number in range(3_000, 4_000):
            visitors.add(id=str(number))
        points = telemetry.points("blogauto.visitors")
        assert len(points) == 3_501
        assert points[("otel.metric.overflow", True),] == 500


def test_the_order_of_attributes_in_a_call_does_not_matter(meters: Meters, declarations: None) -> None:
    @counter("both", unit="{x}")
    def both(*, a: str, b: str) -> None:
        """Both."""

    both.add(a="1", b="2")
    both.add(b="2", a="1")
    assert meters.points("blogauto.both") == {(("a", "1"), ("b", "2")): 2}


def test_many_threads_count_at_once_and_nothing_is_lost(meters: Meters) -> None:
    def work() -> None:
        for number in range(500):
            events.add(type=f"t{number % 7}")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(meters.points("blogauto.security.events").values()) == 4000


# --- a user's own ----------------------------------------------------------------------------------------------------


class Channel(enum.Enum):
    WEB = "web"
    APP = "app"


@pytest.mark.needs("opentelemetry-sdk>=1.45")  # the SDK's own gauge loses its value at a collection before
def test_a_user_declares_instruments_as_ours_are(meters: Meters, declarations: None) -> None:
    @counter("orders.placed", unit="{order}")
    def orders_placed(*, channel: Channel, gift: bool) -> None:
        """Orders accepted by the shop.

        Only those that were paid.
        """

    @up_down_counter("carts.open", unit="{cart}")
    def carts_open() -> None:
        """Carts that are open."""

    @gauge("stock.level", unit="{item}")
    def stock_level(*, warehouse: Literal["north", "south"]) -> None:
        """Items in stock."""

    @histogram("basket.value", unit="{krw}", boundaries=(10, 100))
    def basket_value() -> None:
        """What a basket is worth."""

    orders_placed.add(channel=Channel.WEB, gift=True)
    carts_open.add(3)
    carts_open.add(-1)
    stock_level.set(7, warehouse="north")
    basket_value.record(42)
    assert orders_placed.spec.description == "Orders accepted by the shop."
    assert orders_placed.spec.prometheus_name("shop") == "shop_orders_placed_total"
    assert meters.points("blogauto.orders.placed") == {
        (("channel", "web"), ("gift", "true")): 1,
        (("channel", "web"), ("gift", "false")): 0,
        (("channel", "app"), ("gift", "true")): 0,
        (("channel", "app"), ("gift", "false")): 0,
    }
    assert meters.points("blogauto.carts.open") == {(): 2}
    assert meters.points("blogauto.stock.level") == {(("warehouse", "north"),): 7}
    (point,) = meters.metrics()["blogauto.basket.value"].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert tuple(point.explicit_bounds) == (10.0, 100.0)
    assert tuple(point.bucket_counts) == (0, 1, 0)


def test_positional_attributes_are_taken_in_their_order(meters: Meters, declarations: None) -> None:
    @counter("legs", unit="{leg}")
    def legs(side: Literal["left", "right"]) -> None:
        """Legs."""

    legs.add(1, "left")
    assert meters.points("blogauto.legs") == {(("side", "left"),): 1, (("side", "right"),): 0}


@quiet_guard
def test_a_declaration_whose_types_cannot_be_read_accepts_any_value(
    meters: Meters, declarations: None, caplog: pytest.LogCaptureFixture
) -> None:
    @counter("tickets", unit="{ticket}")
    def tickets(*, kind: Unknown) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Tickets."""

    tickets.add(kind="hard")
    assert meters.points("blogauto.tickets") == {(("kind", "hard"),): 1}
    assert "tickets" in caplog.text


@quiet_guard
def test_a_metric_name_that_the_sdk_refuses_disables_the_metric_and_raises_nothing(
    meters: Meters, declarations: None, caplog: pytest.LogCaptureFixture
) -> None:
    @counter("no such name!", unit="{x}")
    def bad() -> None:
        """Bad."""

    bad.add()
    assert "no such name!" in caplog.text


# --- decorating functions --------------------------------------------------------------------------------------------


def test_a_decorated_function_counts_the_calls_that_return(meters: Meters) -> None:
    @metrics.business.titles_generated.count_calls()
    def titles(topic: str) -> str:
        if not topic:
            raise LookupError("no topic")
        return topic.title()

    assert titles("seo") == "Seo"
    with pytest.raises(LookupError):
        titles("")
    assert titles.__name__ == "titles"
    assert meters.points("blogauto.titles.generated") == {(): 1}


async def test_a_decorated_coroutine_function_counts_when_it_was_awaited(meters: Meters) -> None:
    @metrics.business.wordpress_posts_published.count_calls(status="success")
    async def publish() -> str:
        return "done"

    waiting = publish()
    assert meters.points(PUBLISHED)[("status", "success"),] == 0
    assert await waiting == "done"
    assert meters.points(PUBLISHED)[("status", "success"),] == 1


@pytest.mark.slow
def test_a_forked_child_starts_at_zero_again(meters: Meters) -> None:
    metrics.business.keywords_analyzed.add(5)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            reader = InMemoryMetricReader()
            provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
            instruments.attach(provider, namespace="blogauto")
            os.write(write, repr(Meters(provider, reader).points("blogauto.keywords.analyzed")).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 1000) == b"{(): 0}"
