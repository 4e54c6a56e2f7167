"""A receiver for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testkit.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
