"""Every test: our guard re-raises, nothing reaches beyond loopback, and the process is left as it was found."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest
from packaging.requirements import Requirement

from blogauto_otel import _guard
from blogauto_otel.api import bound, unbind

# The boards' SDK needs Python 3.11: on 3.10 everything else is tested, and the header of the run says so.
collect_ignore = ["monitoring"] if sys.version_info < (3, 11) else []


def pytest_configure() -> None:
    """The product keeps quiet under a test runner; these tests, and the processes they start, test it as it serves."""
    os.environ.pop("PYTEST_VERSION", None)


def pytest_report_header() -> str:
    return "tests/monitoring needs Python 3.11 and is left out" if collect_ignore else ""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files again instead of comparing")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def _reraising_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """A swallowed error cannot hide in a test; `@pytest.mark.quiet_guard` is for those that prove the swallowing."""
    _guard.reset()
    _guard.set_reraise(request.node.get_closest_marker("quiet_guard") is None)
    yield
    _guard.set_reraise(False)


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    """What a test bound outside of requests ends with it."""
    yield
    unbind(*bound())


@pytest.fixture(autouse=True)
def _clean_environ(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Telemetry settings of the shell do not reach the tests, and those of a test do not leave it.

    What a test, or a child of it, could not deliver waits in a directory of its own: not in the developer's home, and
    not for the next test's receiver.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith(("OTEL_", "BLOGAUTO_OTEL_", "SENTRY_")) and name != "BLOGAUTO_OTEL_STACK_CACHE":
            del os.environ[name]
    os.environ.pop("ENVIRONMENT", None)
    state = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.getbasetemp() / "state" / state)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that connects to anything but this machine fails."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def is_local(family: int, address: Any) -> bool:
        if family not in (socket.AF_INET, socket.AF_INET6):
            return True
        host = str(address[0])
        return host.startswith("127.") or host in {"::1", "localhost", "0.0.0.0", "::"}

    def guarded(self: socket.socket, address: Any) -> None:
        assert is_local(self.family, address), f"a test tried to reach {address}"
        return connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        assert is_local(self.family, address), f"a test tried to reach {address}"
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a marker `needs` and this environment lacks; the development environment lacks nothing."""
    kept = [
        item for item in items if all(_is_installed(need) for mark in item.iter_markers("needs") for need in mark.args)
    ]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _is_installed(requirement: str) -> bool:
    wanted = Requirement(requirement)
    try:
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except PackageNotFoundError:
        return False
