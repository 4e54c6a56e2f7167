"""An extra of a client library installs the instrumentation that belongs to the OpenTelemetry that is installed."""

from __future__ import annotations

import json
import subprocess

import pytest

from testkit.environments import environment as environment_with
from testkit.processes import ROOT

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("versions")]

EXTRAS = {
    "httpx": "httpx",
    "requests": "requests",
    "aiohttp": "aiohttp-client",
    "redis": "redis",
    "celery": "celery",
}


def resolved(*requirements: str) -> dict[str, str]:
    """What pip would install, by name; nothing is installed."""
    python = str(environment_with("resolver"))
    command = [python, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "--ignore-installed"]
    done = subprocess.run([*command, *requirements], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    packages = (item["metadata"] for item in json.loads(done.stdout)["install"])
    return {package["name"].lower().replace("_", "-"): package["version"] for package in packages}


@pytest.mark.parametrize(
    ("installed", "pair", "unpublished"),
    [
        ("1.39.0", "0.60b0", ()),
        ("1.42.1", "0.63b1", ()),
        ("1.45.1", "0.66b1", ()),
        ("1.45.2", "0.66b2", ("aiohttp",)),  # contrib did not publish it with this patch release
    ],
)
def test_every_extra_follows_the_installed_sdk(installed: str, pair: str, unpublished: tuple[str, ...]) -> None:
    extras = [extra for extra in EXTRAS if extra not in unpublished]
    found = resolved(f".[{','.join(extras)}]", f"opentelemetry-sdk=={installed}")
    versions = {extra: found[f"opentelemetry-instrumentation-{EXTRAS[extra]}"] for extra in extras}
    assert set(versions.values()) == {pair}, versions
    assert found["opentelemetry-semantic-conventions"] == pair
    assert found["opentelemetry-api"] == found["opentelemetry-sdk"] == installed


def test_without_an_installed_sdk_all_of_them_are_of_one_release() -> None:
    found = resolved(f".[{','.join(EXTRAS)}]")
    assert len({version for name, version in found.items() if name.startswith("opentelemetry-instrumentation")}) == 1
    assert found["opentelemetry-api"] == found["opentelemetry-sdk"]
