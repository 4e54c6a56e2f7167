"""A script that starts several workers: its own process serves nothing, and logs so."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from testkit.ports import free_port
from testkit.processes import python, running

SCRIPT = """
import uvicorn
from fastapi import FastAPI

import blogauto_otel

app = FastAPI()

if __name__ == "__main__":
    blogauto_otel.configure(service_name="shop", traces_exporter="none", metrics_exporter="none", logs_exporter="none")
    uvicorn.run("shop:app", port={port}, {how})
"""
SAID = "this process supervises uvicorn's workers and serves nothing itself"


@pytest.mark.slow
@pytest.mark.parametrize(("how", "times"), [("workers=2", 1), ("reload=True", 1), ("workers=1", 0)])
def test_a_parent_of_workers_logs_that_it_serves_nothing(how: str, times: int, tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "shop.py"
    script.write_text(SCRIPT.format(port=port, how=how))
    with running(python(str(script)), tmp_path / "log", port=port, PYTHONPATH=_importable(tmp_path)) as child:
        child.wait_until_it_answers("/")
        child.terminate(signal.SIGTERM)
        assert child.output.count(SAID) == times


def _importable(folder: Path) -> str:
    return f"{folder}:{Path(__file__).resolve().parents[2]}"
