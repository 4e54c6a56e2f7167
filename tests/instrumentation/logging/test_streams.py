"""stdout belongs to the application: it contains only what the program prints."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from testkit.ports import free_port
from testkit.processes import ROOT, environment, python, running

DATA = """
import json, logging, sys
import blogauto_otel
nowhere = dict.fromkeys(("traces_exporter", "metrics_exporter", "logs_exporter"), "none")
blogauto_otel.configure(**nowhere)
log = logging.getLogger("data")
log.info("reading")
log.warning("two\\nlines")
print(json.dumps({"rows": 3}))
log.error("done")
"""
BASIC = "import logging\nlogging.basicConfig(level=logging.INFO, format='MINE %(message)s')\n"
STREAMS = {"own": "", "basicConfig": BASIC}


def run(tmp_path: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "data.py"
    script.write_text(program)
    return subprocess.run(
        python(str(script)),
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize("console", ["auto", "json", "text", "off"])
@pytest.mark.parametrize("where", ["development", "production"])
@pytest.mark.parametrize("before", STREAMS.values(), ids=STREAMS.keys())
def test_a_program_s_output_can_be_piped(tmp_path: Path, console: str, where: str, before: str) -> None:
    done = run(tmp_path, before + DATA, BLOGAUTO_OTEL_CONSOLE=console, BLOGAUTO_OTEL_ENVIRONMENT=where)
    assert done.stdout == '{"rows": 3}\n'
    assert ("reading" in done.stderr) is (console != "off" or before != "")


def test_a_setting_chooses_stdout(tmp_path: Path) -> None:
    done = run(tmp_path, DATA, BLOGAUTO_OTEL_CONSOLE="json", BLOGAUTO_OTEL_CONSOLE_STREAM="stdout")
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["message"] for line in lines if line.get("logger") == "data"] == ["reading", "two\nlines", "done"]


@pytest.mark.slow
@pytest.mark.parametrize(("where", "stream"), [("production", "out"), ("development", "err")])
def test_a_server_writes_to_stdout_in_production(tmp_path: Path, where: str, stream: str) -> None:
    port = free_port()
    out, err = tmp_path / "out", tmp_path / "err"
    shell = f'exec "$@" 2>{err}'
    command = ["sh", "-c", shell, "sh", *python("-m", "uvicorn", "tests.instrumentation.logging.service:app")]
    variables = {"BLOGAUTO_OTEL_ENVIRONMENT": where, "BLOGAUTO_OTEL_CONSOLE": "json", "OTEL_LOGS_EXPORTER": "none"}
    with running([*command, "--port", str(port)], out, port=port, **variables) as child:
        child.wait_until_it_answers("/ready")
        assert child.get("/order")[0] == 200
        child.terminate()
    written = {"out": out.read_text(), "err": err.read_text()}
    assert "order placed" in written.pop(stream)
    assert "order placed" not in "".join(written.values())
    assert "Application startup complete." in err.read_text()  # uvicorn's own handler keeps its stream
