"""Forks before and after `configure`, and a fork of a fork."""

from __future__ import annotations

import os
from collections.abc import Callable

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result


def span(name: str) -> None:
    with trace.get_tracer("faults").start_as_current_span(name):
        pass


def in_child(work: Callable[[], None]) -> None:
    """Fork, work, and end the child as a server's worker ends."""
    pid = os.fork()
    if pid == 0:
        work()
        blogauto_otel.configure().shutdown()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def child() -> None:
    span("child")
    in_child(lambda: span("grandchild"))


def before() -> None:
    blogauto_otel.configure()
    span("before")


in_child(before)
blogauto_otel.configure()
span("parent")
in_child(child)
print_result("done")
