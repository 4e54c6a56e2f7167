"""The tutorial works as it stands: each version of its application, its commands and its test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.ports import free_port
from testkit.processes import environment, eventually, running

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ENGLISH = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "docs/tutorial.ko.md").read_text(encoding="utf-8")


def files(page: str, name: str) -> list[str]:
    return re.findall(rf'^```python title="{name}"[^\n]*\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)


APPLICATIONS = files(ENGLISH, "main.py")
(TEST,) = files(ENGLISH, "test_main.py")
(TREE,) = re.findall(r"^```text\n(.*?)^```$", ENGLISH, re.DOTALL | re.MULTILINE)


def without_numbers(text: str) -> str:
    return re.sub(r"\d+\.\d ms", "N ms", text)


def test_the_korean_page_has_the_same_code() -> None:
    assert re.findall(r"^```.*?^```$", KOREAN, re.DOTALL | re.MULTILINE) == re.findall(
        r"^```.*?^```$", ENGLISH, re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("version", range(1, len(APPLICATIONS)))
def test_the_lines_that_are_new_are_highlighted(version: int) -> None:
    marked = re.findall(r'title="main.py" hl_lines="([^"]*)"', ENGLISH)[version]
    before, code = APPLICATIONS[version - 1].split("\n"), APPLICATIONS[version].split("\n")
    ranges = [[int(number) for number in part.split("-")] for part in marked.split()]
    highlighted = {code[number - 1].strip() for part in ranges for number in range(part[0], part[-1] + 1)}
    known = {line.strip() for line in before}
    assert {line.strip() for line in code} - known <= highlighted
    assert not {code[part[0] - 1].strip() for part in ranges} & known


@pytest.mark.slow
def test_its_test_passes(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATIONS[-1])
    (tmp_path / "test_main.py").write_text(TEST)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("version", range(len(APPLICATIONS)))
def test_its_application_sells_two_teas_and_shows_it(version: int, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATIONS[version])
    port = free_port()
    command = [str(BIN / "blogauto-otel"), "dev", "--terminal", "--", str(BIN / "uvicorn"), "main:app"]
    options = ["--port", str(port), "--app-dir", str(tmp_path)]
    with running([*command, *options], tmp_path / "log", port=port) as child:
        child.wait_until_it_answers("/openapi.json")
        answers = [buy(port) for _ in range(3)]
        assert answers == ["200", "200", "409"]
        eventually(lambda: without_numbers(child.output), lambda text: text.count("POST /orders/{article}") >= 3)
        if version == len(APPLICATIONS) - 1:
            eventually(lambda: without_numbers(child.output), lambda text: without_numbers(TREE) in text)
        _, page = child.get("/metrics")
    assert (b'shop_orders_placed_total{outcome="sold_out",' in page) == (version > 0)
    assert (b"shop_operation_duration_seconds_count" in page) == (version > 1)


def buy(port: int) -> str:
    words = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", "-X", "POST", f"localhost:{port}/orders/tea"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
