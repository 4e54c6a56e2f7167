"""Bound values belong to their request: all of its code sees them, and no other request does."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from blogauto_otel.api.context import (
    MAX_BOUND,
    begin_request,
    bind,
    bound,
    current_request_id,
    end_request,
    unbind,
)


@pytest.fixture(autouse=True)
def _fresh_context() -> Iterator[None]:
    names = list(bound())
    unbind(*names)
    yield
    unbind(*bound())


def test_a_bound_user_id_is_user_dot_id() -> None:
    bind(user_id="42")
    assert bound() == {"user.id": "42"}


def test_other_names_stay_and_values_of_other_types_become_text() -> None:
    class Site:
        def __str__(self) -> str:
            return "example.org"

    bind(site=Site(), attempt=2, share=0.5, draft=True)
    assert bound() == {"site": "example.org", "attempt": 2, "share": 0.5, "draft": True}


class Unprintable:
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_binding_none_unbinds() -> None:
    bind(user_id="42", site="a")
    bind(user_id=None)
    assert bound() == {"site": "a"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(2**64, str(2**64)), (Unprintable(), "<Unprintable without text: ZeroDivisionError>")],
    ids=["a number beyond 64 bits", "an object without words"],
)
def test_a_value_without_text_is_bound_as_a_description_and_other_values_stay(value: object, text: str) -> None:
    bind(odd=value, tenant="acme")
    assert bound() == {"odd": text, "tenant": "acme"}


def test_unbinding_an_unbound_name_does_nothing() -> None:
    unbind("never")
    assert bound() == {}


def test_a_request_carries_its_id_and_what_it_binds_until_it_ends() -> None:
    token = begin_request("r1")
    bind(user_id="42")
    assert current_request_id() == "r1"
    assert bound() == {"request.id": "r1", "user.id": "42"}
    end_request(token)
    assert current_request_id() is None
    assert bound() == {}


def test_values_of_one_request_are_not_visible_in_the_next() -> None:
    first = begin_request("r1")
    bind(user_id="42")
    end_request(first)
    second = begin_request("r2")
    assert bound() == {"request.id": "r2"}
    end_request(second)


def test_a_pipelined_request_that_starts_in_the_context_of_the_one_before_does_not_inherit() -> None:
    bind(region="eu")
    first = begin_request("r1")
    bind(user_id="42")
    second = begin_request("r2")
    assert bound() == {"region": "eu", "request.id": "r2"}
    end_request(second)
    end_request(first)


def test_values_bound_outside_requests_apply_to_each_request() -> None:
    bind(region="eu")
    token = begin_request("r1")
    bind(user_id="42")
    unbind("region")
    assert bound() == {"request.id": "r1", "user.id": "42"}
    end_request(token)
    assert bound() == {"region": "eu"}


async def test_a_bind_in_an_inner_task_is_visible_to_the_rest_of_the_request() -> None:
    token = begin_request("r1")

    async def inner() -> None:
        bind(user_id="42")

    await asyncio.create_task(inner())
    assert bound()["user.id"] == "42"
    end_request(token)


async def test_a_bind_in_a_thread_is_visible_to_the_rest_of_the_request() -> None:
    token = begin_request("r1")
    await asyncio.to_thread(bind, user_id="42")
    assert bound()["user.id"] == "42"
    end_request(token)


async def test_concurrent_requests_do_not_see_each_other() -> None:
    async def request(number: int) -> None:
        token = begin_request(f"r{number}")
        await asyncio.sleep(0)
        bind(user_id=number)
        await asyncio.sleep(0.001)
        assert bound() == {"request.id": f"r{number}", "user.id": number}
        end_request(token)

    await asyncio.gather(*(asyncio.create_task(request(number)) for number in range(20)))


async def test_outside_requests_a_task_keeps_what_it_binds_to_itself() -> None:
    bind(job="nightly")

    async def inner() -> None:
        bind(step="one")
        assert bound() == {"job": "nightly", "step": "one"}

    await asyncio.create_task(inner())
    assert bound() == {"job": "nightly"}


def test_many_threads_of_one_request_bind_at_once_and_nothing_is_lost() -> None:
    token = begin_request("r1")
    context = [contextvars.copy_context() for _ in range(8)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(300):
                bind(**{f"n{number}": number})
                bound()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=context[n].run, args=(work, n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert {f"n{number}" for number in range(8)} <= bound().keys()
    end_request(token)


def test_a_request_that_is_ended_in_another_context_leaves_nothing_bound() -> None:
    token = contextvars.copy_context().run(begin_request, "r1")
    end_request(token)
    assert bound() == {}


def test_a_request_that_the_garbage_collector_ends_does_not_affect_another() -> None:
    other = contextvars.copy_context().run(begin_request, "r1")
    token = begin_request("r2")
    end_request(other)
    assert current_request_id() == "r2"
    end_request(token)


def test_bound_values_are_limited_and_a_warning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        bind(long="x" * 5000, **{f"name{number}": number for number in range(100)})
    assert len(bound()) == MAX_BOUND
    assert bound()["long"] == "x" * 1024
    assert "left out" in caplog.text


def test_a_bound_value_can_be_changed_when_the_limit_is_reached() -> None:
    bind(**{f"name{number}": number for number in range(MAX_BOUND)})
    bind(name0="new")
    assert bound()["name0"] == "new"


def test_binding_puts_the_values_on_the_current_span_too() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        bind(user_id="42")
        assert dict(getattr(span, "attributes")) == {"user.id": "42"}  # noqa: B009 - the API's Span has none
