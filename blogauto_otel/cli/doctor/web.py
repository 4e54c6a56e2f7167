"""HTTP requests of the command: an answer of any status is returned, a failure to get one is a text."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from blogauto_otel._threads import start_thread
from blogauto_otel.cli.common import message

T = TypeVar("T")

MAX_BYTES: Final = 8 * 2**20


@dataclass(frozen=True)
class HttpResponse:
    """The answer of a server; status 0 when there is none, and `error` says why."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    error: str = ""

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """The beginning of the body, as one line."""
        return " ".join(self.body[:300].decode("utf-8", "replace").split())

    @property
    def date(self) -> float | None:
        """The server's clock as Unix time; None when the answer does not tell."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, TypeError, ValueError):
            return None


def fetch(
    url: str, *, timeout: float, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> HttpResponse:
    """GET, or POST with a body; at most `timeout` seconds in all, however slowly the server answers."""
    answer = within(timeout, lambda: _fetch(url, timeout, headers, body))
    return answer or HttpResponse(
        0, {}, b"", message("no complete answer within {seconds} s", seconds=f"{timeout:.1f}")
    )


def within(seconds: float, function: Callable[[], T]) -> T | None:
    """What the function returns; None when it takes longer. It may go on until the process ends."""
    found: list[T] = []
    thread = start_thread(lambda: found.append(function()), "blogauto-otel-doctor")
    if thread is not None:
        thread.join(seconds)
    return found[0] if found else None


def _fetch(url: str, timeout: float, headers: Mapping[str, str] | None, body: bytes | None) -> HttpResponse:
    try:
        request = urllib.request.Request(url, data=body, headers=dict(headers or {}))  # noqa: S310 - checked by `web_url`
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310 - likewise
            return _answer(response.status, response.headers, response.read(MAX_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read(MAX_BYTES))
    except Exception as error:  # noqa: BLE001 - http.client raises many kinds, all mean that there is no answer
        reason = getattr(error, "reason", error)
        return HttpResponse(0, {}, b"", f"{type(reason).__name__}: {reason}")


def _answer(status: int, headers: Any, body: bytes) -> HttpResponse:
    return HttpResponse(status, {name.lower(): value for name, value in headers.items()}, body)


def web_url(value: str) -> str:
    """The type of an option: an absolute URL.

    Raises:
        ValueError: it is none; argparse says so and ends with status 2.
    """
    if not value.startswith(("http://", "https://")):
        raise ValueError(value)
    return value.rstrip("/")
