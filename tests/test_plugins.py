"""Plugins: what installed packages register for OpenTelemetry, found without parsing what they register for others."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel import _otel, plugins
from blogauto_otel.errors import NotInstalledError

GROUP = "opentelemetry_propagator"


@pytest.fixture(autouse=True)
def _read_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    _otel._registered.cache_clear()
    yield
    monkeypatch.undo()
    _otel._registered.cache_clear()


def install(site: Path, package: str, entry_points: str) -> None:
    folder = site / f"{package}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(entry_points)


def test_what_any_package_registers_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "shop_plugins", f"[{GROUP}]\nshop = collections:Counter\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert plugins.load(GROUP, "shop")("aab") == {"a": 2, "b": 1}
    assert {"shop", "tracecontext", "baggage"} <= set(plugins.installed(GROUP))
    [point] = _otel.entry_points(group=GROUP, name="shop")
    assert point.dist is not None
    assert point.dist.metadata["Name"] == "shop_plugins"


def test_of_two_installations_the_first_on_the_path_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("second", "first"):
        install(tmp_path / name, "shop_plugins", f"[{GROUP}]\nshop = collections:Counter\n")
        monkeypatch.syspath_prepend(tmp_path / name)
    importlib.invalidate_caches()
    [point] = _otel.entry_points(group=GROUP, name="shop")
    assert point.dist is not None
    assert point.dist.locate_file("").samefile(tmp_path / "first")  # type: ignore[attr-defined,unused-ignore]


def test_a_name_that_nobody_registers_is_not_installed() -> None:
    with pytest.raises(NotInstalledError, match="nowhere"):
        plugins.load(GROUP, "nowhere")


def test_the_same_is_found_as_by_the_standard_library() -> None:
    """In the environment of these tests, which has plugins of a dozen packages."""
    found: Any = importlib.metadata.entry_points()
    every = dict.values(found) if isinstance(found, dict) else [found]  # before Python 3.12, by group
    expected = {
        (point.group, point.name, point.value) for points in every for point in points
        if point.group.startswith("opentelemetry_")
    }  # fmt: skip
    groups = {group for group, _, _ in expected}
    ours = {(point.group, point.name, point.value) for group in groups for point in _otel.entry_points(group=group)}
    assert ours == expected
    assert len(ours) > 10
