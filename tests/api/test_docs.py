"""The generated pages are up to date with their sources; `make docs` writes them again."""

from __future__ import annotations

import dataclasses

import pytest

from blogauto_otel.api.catalogue import CATALOGUE
from blogauto_otel.api.sdk_metrics import SDK_METRICS
from blogauto_otel.config import Settings, option_of
from tools.generate_docs import PAGES, ROOT, settings_page, telemetry_page


@pytest.mark.parametrize("path", PAGES)
def test_the_committed_page_is_the_generated_one(path: str) -> None:
    assert (ROOT / path).read_text() == PAGES[path](), "run: make docs"


def test_every_setting_has_its_line() -> None:
    page = settings_page()
    for field in dataclasses.fields(Settings):
        assert f"| `{option_of(field.name).variable}`" in page
        assert f"| `{field.name}` |" in page


def test_every_metric_has_its_line() -> None:
    page = telemetry_page()
    for metric in (*CATALOGUE, *SDK_METRICS):
        assert metric.name in page
        assert metric.description in page


def test_times_are_shown_in_the_unit_of_their_variable() -> None:
    page = settings_page()
    assert "| `OTEL_METRIC_EXPORT_INTERVAL` | `metric_interval` | `15000` ms |" in page
    assert "| `BLOGAUTO_OTEL_SLOW_REQUEST_SECONDS` | `slow_request_seconds` | `2` s |" in page
