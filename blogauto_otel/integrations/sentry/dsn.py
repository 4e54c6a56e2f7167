"""Sentry's OTLP endpoint and public key, both read from the DSN."""

from __future__ import annotations

from urllib.parse import urlsplit

from blogauto_otel._dataclass import dataclass


@dataclass(frozen=True)
class OtlpDestination:
    """Sentry's OTLP endpoint (https://docs.sentry.io/concepts/otlp/); `/v1/traces` and `/v1/logs` are below it."""

    endpoint: str
    public_key: str

    @property
    def auth(self) -> str:
        """The value of the header `x-sentry-auth`."""
        return f"sentry sentry_key={self.public_key}"


def otlp_destination(dsn: str) -> OtlpDestination:
    """Read a DSN that `parsers.dsn` has accepted.

    Example:
        >>> otlp_destination("https://key@o1.ingest.sentry.io/42").endpoint
        'https://o1.ingest.sentry.io/api/42/integration/otlp'
    """
    parts = urlsplit(dsn)
    folder, _, project = parts.path.rpartition("/")
    return OtlpDestination(
        endpoint=f"{parts.scheme}://{host_of(dsn)}{folder}/api/{project}/integration/otlp",
        public_key=parts.username or "",
    )


def host_of(dsn: str) -> str:
    """Host and port, without the key: what may be shown."""
    return urlsplit(dsn).netloc.rpartition("@")[2]
