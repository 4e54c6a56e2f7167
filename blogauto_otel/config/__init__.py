"""Settings: what the user decided by arguments of `configure()` and by environment variables."""

from blogauto_otel._messages import Language
from blogauto_otel.config.loading import Environment, Loaded, load, read, warn_or_raise
from blogauto_otel.config.settings import (
    MASK,
    OTHER_VARIABLES,
    PREFIX,
    Compression,
    ConsoleFormat,
    ConsoleStream,
    HistogramAggregation,
    Instrumentation,
    Option,
    Protocol,
    SentryProfiles,
    SentryTraces,
    Settings,
    Temporality,
    UnderTest,
    default_of,
    option_of,
)

__all__ = [
    "MASK",
    "OTHER_VARIABLES",
    "PREFIX",
    "Compression",
    "ConsoleFormat",
    "ConsoleStream",
    "Environment",
    "HistogramAggregation",
    "Instrumentation",
    "Language",
    "Loaded",
    "Option",
    "Protocol",
    "SentryProfiles",
    "SentryTraces",
    "Settings",
    "Temporality",
    "UnderTest",
    "default_of",
    "load",
    "option_of",
    "read",
    "warn_or_raise",
]
