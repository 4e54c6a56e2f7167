"""What mypy says of calls: each `type: ignore` is an error that it must report, or the ignore itself is reported.

Checked by test_typing.py, never run.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from blogauto_otel import Hooks, bind, configure, metrics, operation, unbind
from blogauto_otel.api.metrics import AtMost, Counter, Gauge, counter, gauge, histogram, up_down_counter
from blogauto_otel.testing import capture_telemetry

# --- ours ------------------------------------------------------------------------------------------------------------

metrics.business.keywords_analyzed.add()
metrics.business.keywords_analyzed.add(3)
metrics.business.titles_generated.add(2.0)
metrics.business.content_generated.add()
metrics.business.wordpress_posts_published.add(status="success")
metrics.business.wordpress_posts_published.add(2, status="failed")
metrics.business.api_keys_stored.add(service="openai")
metrics.security.rate_limit_rejected.add(endpoint="/api/login")
metrics.security.security_events.add(type="auth_failure")
metrics.security.blocked_ips.set(12)

metrics.business.keyword_analyzed.add()  # type: ignore[attr-defined]
metrics.bussiness.keywords_analyzed.add()  # type: ignore[attr-defined]
metrics.business.keywords_analyzed.add("3")  # type: ignore[arg-type]
metrics.business.keywords_analyzed.add(amount=3)  # type: ignore[call-arg]
metrics.business.keywords_analyzed.add(language="ko")  # type: ignore[call-arg]
metrics.business.keywords_analyzed.set(3)  # type: ignore[attr-defined]
metrics.business.wordpress_posts_published.add()  # type: ignore[call-arg]
metrics.business.wordpress_posts_published.add(status="sucess")  # type: ignore[arg-type]
metrics.business.wordpress_posts_published.add(state="success")  # type: ignore[call-arg]
metrics.business.wordpress_posts_published.add(status="success", site="a")  # type: ignore[call-arg]
metrics.business.wordpress_posts_published.add("success")  # type: ignore[call-arg, arg-type]
metrics.business.api_keys_stored.add(service=1)  # type: ignore[arg-type]
metrics.security.security_events.add(kind="auth_failure")  # type: ignore[call-arg]
metrics.security.blocked_ips.add(1)  # type: ignore[attr-defined]
metrics.security.blocked_ips.set()  # type: ignore[call-arg]


@metrics.business.titles_generated.count_calls()
def titles(topic: str) -> list[str]:
    return [topic]


@metrics.business.wordpress_posts_published.count_calls(status="success")
async def publish(post: int) -> bool:
    return bool(post)


@metrics.business.wordpress_posts_published.count_calls(status="published")  # type: ignore[arg-type]
def publish_wrongly() -> None: ...


# A decorated function keeps its types.
titles("seo").append("more")
titles(3)  # type: ignore[arg-type]


async def use() -> bool:
    return await publish(3)


# --- a user's own ----------------------------------------------------------------------------------------------------


class Channel(Enum):
    WEB = "web"
    APP = "app"


@counter("orders.placed", unit="{order}")
def orders_placed(*, channel: Channel, country: Annotated[str, AtMost(50)], gift: bool) -> None:
    """Orders accepted."""


@up_down_counter("carts.open", unit="{cart}")
def carts_open() -> None:
    """Carts that are open."""


@gauge("stock.level", unit="{item}")
def stock_level(*, warehouse: Literal["north", "south"]) -> None:
    """Items in stock."""


@histogram("basket.value", unit="{krw}", boundaries=(1.0, 10.0))
def basket_value() -> None:
    """What a basket is worth."""


orders_placed.add(channel=Channel.WEB, country="KR", gift=False)
orders_placed.add(channel="web", country="KR", gift=False)  # type: ignore[arg-type]
orders_placed.add(channel=Channel.WEB, country="KR")  # type: ignore[call-arg]
carts_open.add(-1)
stock_level.set(3, warehouse="north")
stock_level.set(3, warehouse="west")  # type: ignore[arg-type]
basket_value.record(12.5)
basket_value.record()  # type: ignore[call-arg]
plain: Counter[[]] = metrics.business.keywords_analyzed
level: Gauge[[]] = metrics.security.blocked_ips

# --- operation and bind ----------------------------------------------------------------------------------------------

with operation("wordpress.publish", site="example.org", attempt=2, draft=True) as span:
    span.set_attribute("post.id", 3)

operation()  # type: ignore[call-overload]
operation("x", site=object())  # type: ignore[call-overload]


@operation("content.generate", provider="openai")
async def generate(title: str) -> str:
    async with operation("ai.request"):
        return title


@operation
def publish_now(title: str) -> str:
    return title


publish_now(3)  # type: ignore[arg-type]


@operation("content.generate")
def generate_now(title: str) -> str:
    return title


async def use_operations() -> str:
    await generate(3)  # type: ignore[arg-type]
    generate_now("a").nothing()  # type: ignore[attr-defined]
    return await generate("a")


bind(user_id=3, site="a", anything=object())
bind("user")  # type: ignore[call-arg]
unbind("site")

# --- configure -------------------------------------------------------------------------------------------------------


def use_configure() -> None:
    configure(service_name="shop", sample_rate=0.5, console="json", untraced_routes=("/health",), strict=True)
    configure(headers={"api-key": "x"}, span_delay=0.5, redact="false", endpoint=None)
    configure(hooks=Hooks(sql_statement=lambda span, text, given: span.set_attribute("shop.bound", given)))
    configure(hooks=Hooks(server_respons=print))  # type: ignore[call-arg]
    configure(servce_name="shop")  # type: ignore[call-arg]
    configure(sample_rate=object())  # type: ignore[arg-type]
    configure(console="jsn")  # type: ignore[arg-type]
    with capture_telemetry(service_name="shop") as telemetry:
        telemetry.span("x")
    capture_telemetry(servce_name="shop")  # type: ignore[call-arg]
