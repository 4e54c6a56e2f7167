"""The comparison of other projects' suites: what fails only with telemetry must be listed."""

from __future__ import annotations

import pytest

from tools.peer_suites import Suite, compare, load_suites


def suite(**expected: str) -> Suite:
    return Suite(name="x", version="1", requirements=[], arguments=[], expected=expected)


def test_failures_of_both_runs_do_not_count() -> None:
    found = compare(suite(), 5, failed_with={"broken"}, failed_without={"broken"})
    assert found.passed
    assert (found.tests, found.failed_without) == (5, 1)


def test_a_failure_with_telemetry_only_is_unexpected() -> None:
    found = compare(suite(), 5, failed_with={"a", "broken"}, failed_without={"broken"})
    assert not found.passed
    assert found.unexpected == ["a"]


def test_a_listed_failure_is_expected() -> None:
    assert compare(suite(**{"b*": "reason"}), 5, failed_with={"b[1]", "b[2]"}, failed_without=set()).passed


def test_a_listed_failure_that_does_not_happen_is_reported() -> None:
    assert compare(suite(c="reason"), 5, failed_with=set(), failed_without=set()).unused == ["c"]


@pytest.mark.parametrize("name", load_suites())
def test_each_expected_failure_has_a_reason(name: str) -> None:
    assert all(len(reason) > 10 for reason in load_suites()[name].expected.values())
