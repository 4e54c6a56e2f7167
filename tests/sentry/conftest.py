"""One server for all cases of a variant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sentry.served import Run, run


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """What came of a variant; it is served once."""
    runs: dict[str, Run] = {}

    def run_of(variant: str) -> Run:
        if variant not in runs:
            runs[variant] = run(variant, tmp_path_factory.mktemp("sentry"))
        return runs[variant]

    return run_of
