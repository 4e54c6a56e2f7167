"""The domain metrics, typed: `metrics.business`, `metrics.security`, and the decorators that declare your own."""

from blogauto_otel.api import business, security
from blogauto_otel.api.declarations import AtMost, counter, gauge, histogram, up_down_counter
from blogauto_otel.api.instruments import Counter, Gauge, Histogram, UpDownCounter

__all__ = [
    "AtMost",
    "Counter",
    "Gauge",
    "Histogram",
    "UpDownCounter",
    "business",
    "counter",
    "gauge",
    "histogram",
    "security",
    "up_down_counter",
]
