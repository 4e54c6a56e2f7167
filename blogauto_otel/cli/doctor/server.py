"""Servers on the way of telemetry whose address is an option: asked once, and what follows depends on their answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from blogauto_otel.cli.common import message
from blogauto_otel.cli.doctor.hop import Result, Run, broken, clock_difference, not_checked
from blogauto_otel.cli.doctor.web import HttpResponse, fetch
from blogauto_otel.errors import HopEndError

# By hop: the option that has the address, and an example.
OPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "collector queues": ("--collector-metrics", "http://otel-collector:8888/metrics"),
    "application": ("--app", "http://localhost:8000"),
    "jaeger": ("--jaeger", "http://localhost:16686"),
    "prometheus": ("--prometheus", "http://localhost:9090"),
    "loki": ("--loki", "http://localhost:3100"),
    "grafana": ("--grafana", "http://localhost:3000"),
}


def address(run: Run, hop: str) -> str:
    """The address that the option of the hop gives.

    Raises:
        HopEndError: it is not given.
    """
    option, example = OPTIONS[hop]
    given: str | None = getattr(run.options, option.lstrip("-").replace("-", "_"))
    if given is None:
        raise HopEndError(not_checked(hop, message("pass {option} {example}", option=option, example=example)))
    return given


def ask(
    run: Run, hop: str, path: str = "", *, seconds: float = 3.0, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """The server's answer.

    Raises:
        HopEndError: no address is given, or there is no answer.
    """
    url = address(run, hop) + path
    answer = fetch(url, timeout=run.seconds(seconds), headers=headers)
    if answer.status == 0:
        raise HopEndError(unreachable(hop, url, answer))
    return answer


def ask_backend(run: Run, hop: str, path: str, *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """The backend's answer with status 200.

    Raises:
        HopEndError: no address is given, there is no answer, or it has another status.
    """
    answer = ask(run, hop, path, headers=headers)
    if answer.status != 200:
        raise HopEndError(unreachable(hop, address(run, hop), answer))
    return answer


def unreachable(hop: str, url: str, answer: HttpResponse) -> Result:
    """The server does not answer as it should."""
    option, _ = OPTIONS[hop]
    fix = message("start it, or correct {option}", option=option)
    return broken(hop, f"{url}: {answer.error or f'{answer.status} {answer.text}'}", fix)


def clock(whose: str, theirs: float | None, ours: float) -> Iterator[Result]:
    """A result when another clock differs too much from that of this machine; none when it is not known."""
    difference = None if theirs is None else clock_difference("clock", whose, theirs - ours)
    if difference is not None:
        yield difference
