"""What may be raised: one tree, each error also what Python would call it, each with a way out."""

from __future__ import annotations

import pytest

from blogauto_otel import errors
from blogauto_otel.errors import BlogautoOtelError, ConfigurationError, MissingDependencyError


def test_one_root_and_what_python_would_call_them() -> None:
    assert issubclass(ConfigurationError, BlogautoOtelError)
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(MissingDependencyError, ConfigurationError)
    assert issubclass(MissingDependencyError, ImportError)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MissingDependencyError("X=grpc", "grpcio"), "X=grpc needs the package grpcio: pip install grpcio"),
        (
            MissingDependencyError("X=grpc", "grpcio", extra="grpc"),
            'X=grpc needs the package grpcio: pip install "blogauto_otel[grpc]"',
        ),
    ],
)
def test_a_missing_package_says_who_wants_it_and_how_to_get_it(error: MissingDependencyError, message: str) -> None:
    assert str(error) == message


def test_the_list_is_complete() -> None:
    public = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert public == set(errors.__all__)
