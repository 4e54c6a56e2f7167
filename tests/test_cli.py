"""`blogauto-otel` on the command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from blogauto_otel.delivery.owner import new_owner
from blogauto_otel.delivery.signal import Signal
from blogauto_otel.delivery.spoolfile import CLAIMED, DAMAGED, FREE, Name, named
from stack import receiver as peer
from stack.child import free_port
from stack.receiver import Receiver
from tests.support.children import environment, python

SIGNALS = tuple(signal.value for signal in Signal)


def blogauto_otel(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = python("-m", "blogauto_otel.cli", *arguments)
    return subprocess.run(command, capture_output=True, text=True, env=environment(**variables), timeout=60)


def test_settings_shows_what_this_environment_makes_of_them() -> None:
    done = blogauto_otel("settings", OTEL_SERVICE_NAME="shop", OTEL_EXPORTER_OTLP_HEADERS="api-key=canary")
    assert done.returncode == 0
    assert "* OTEL_SERVICE_NAME = shop" in done.stdout
    assert "* OTEL_EXPORTER_OTLP_HEADERS = api-key=****" in done.stdout
    assert "canary" not in done.stdout


def test_settings_fails_with_the_problem_and_the_way_out() -> None:
    done = blogauto_otel("settings", BLOGAUTO_OTEL_SAMPLE_RATE="often")
    assert done.returncode == 1
    assert "! BLOGAUTO_OTEL_SAMPLE_RATE='often': expected a number from 0 to 1" in done.stderr


@pytest.mark.parametrize("command", ["settings", "check", "spool", "redact", "sentry"])
def test_what_is_wrong_with_the_settings_is_told_where_the_application_would_not_start(command: str) -> None:
    wrong = {"BLOGAUTO_OTEL_STRICT": "true", "BLOGAUTO_OTEL_SAMPLE_RATE": "often"}
    done = blogauto_otel(command, *(["hunter2"] if command == "redact" else []), **wrong)
    assert "Traceback" not in done.stderr
    assert "! BLOGAUTO_OTEL_SAMPLE_RATE='often'" in done.stdout + done.stderr


# --- the way to the Collector ---

CHECKED = "blogauto-otel check"


def check(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return blogauto_otel("check", *options, **variables)


def test_check_says_that_the_collector_accepted_one_of_each() -> None:
    with Receiver() as receiver:
        done = check(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert [span.name for span in receiver.spans] == [CHECKED]
        assert [record.body for record in receiver.logs] == [CHECKED]
        assert receiver.metrics
    assert (done.returncode, done.stderr) == (0, "accepted\n")
    assert done.stdout.splitlines() == [
        "blogauto-backend (development)",
        *(f"  {name:<12} {receiver.url}/v1/{name}: accepted" for name in SIGNALS),
    ]


def test_check_tells_all_it_knows_as_plain_data() -> None:
    with Receiver() as receiver:
        said = json.loads(check("--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url).stdout)
    assert said["delivery"]["traces"]["sent"] == 1
    assert said["destinations"]["logs"] == f"{receiver.url}/v1/logs"


@pytest.mark.parametrize(
    "variables",
    [{"ENVIRONMENT": "production", "BLOGAUTO_OTEL_SAMPLE_RATE": "0"}, {"OTEL_TRACES_SAMPLER": "always_off"}],
    ids=["a rate of nothing", "a sampler that drops"],
)
def test_check_sends_its_span_whatever_is_sampled(variables: dict[str, str]) -> None:
    with Receiver() as receiver:
        assert check(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **variables).returncode == 0
        assert [span.name for span in receiver.spans] == [CHECKED]


def test_check_fails_when_nobody_listens_says_why_and_keeps_nothing_for_later(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    done = check(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, BLOGAUTO_OTEL_SPOOL_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "not accepted\n")
    assert done.stdout.count("not accepted: ") == done.stdout.count("Connection refused") == len(SIGNALS)
    assert not list(tmp_path.iterdir())


def test_check_names_the_signal_that_is_refused() -> None:
    with Receiver() as receiver:
        receiver.answer(lambda path: peer.status(401) if path == "/v1/logs" else peer.ok())
        done = check(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines() if "not accepted: " in line] == ["logs"]
    assert "401" in done.stdout


def test_check_fails_where_nothing_is_sent_at_all() -> None:
    done = check(OTEL_SDK_DISABLED="true")
    assert (done.returncode, done.stderr) == (1, "not accepted\n")
    assert done.stdout.count("nowhere (disabled): nothing sent") == len(SIGNALS)


def test_check_leaves_out_a_signal_that_goes_nowhere_on_purpose() -> None:
    with Receiver() as receiver:
        done = check(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_LOGS_EXPORTER="none")
    assert done.returncode == 0
    assert "logs         nowhere: nothing sent" in done.stdout


# --- what waits on disk ---

OWN = "blogauto-backend.development"  # the directory of a service in an environment


def record_in_vain(spool: Path) -> None:
    """A process that ends with one item of each signal that nobody took."""
    recording = """
import blogauto_otel
from opentelemetry import _logs, trace

blogauto_otel.configure(console="off", logging=False)
with trace.get_tracer("shop").start_as_current_span("a secret of the shop"):
    _logs.get_logger("shop").emit(body="a secret of the shop")
"""
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "BLOGAUTO_OTEL_SPOOL_DIR": str(spool)}
    subprocess.run(python("-c", recording), check=True, capture_output=True, env=environment(**where), timeout=60)


def spooled(spool: Path | str, *options: str) -> str:
    done = blogauto_otel("spool", *options, BLOGAUTO_OTEL_SPOOL_DIR=str(spool))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_spool_shows_what_could_not_be_sent_and_touches_nothing(tmp_path: Path) -> None:
    record_in_vain(tmp_path)
    before = facts(tmp_path / OWN)
    said = json.loads(spooled(tmp_path, "--json"))
    assert said["directory"] == str(tmp_path / OWN)
    assert said["signals"]["traces"]["items"] == said["signals"]["logs"]["items"] == 1
    assert said["files"] == said["states"]["waiting"] == len(Signal)
    assert said["bytes"] == sum(size for name, (_, size) in before.items() if name.endswith(SIGNALS))
    assert 0 < said["oldest_age"] < 60
    assert said["limits"]["bytes"] == 64 * 2**20
    text = spooled(tmp_path)
    assert "traces       1 file, 0." in text
    assert "1 item, the oldest for" in text
    assert "a secret of the shop" not in text  # which is in the files
    assert facts(tmp_path / OWN) == before


def facts(spool: Path) -> dict[str, tuple[int, int]]:
    """When the directory and each file were changed, and how large they are."""
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in (spool, *spool.iterdir())}


def keep(spool: Path, name: Name) -> None:
    (spool / OWN).mkdir(exist_ok=True)
    (spool / OWN / str(name)).write_bytes(b"x" * 100)


def test_spool_tells_whose_files_are_and_what_cannot_be_read(tmp_path: Path) -> None:
    ended = python("-c", "from blogauto_otel.delivery.owner import new_owner; print(new_owner())")
    former = subprocess.run(ended, capture_output=True, text=True, env=environment(), timeout=60).stdout.strip()
    for serial, (state, owner) in enumerate(
        [(FREE, ""), (CLAIMED, new_owner()), (CLAIMED, former), (CLAIMED, former), (DAMAGED, "")], start=1
    ):
        name = named(wall=serial, boot="0" * 8, up=0, pid=1, serial=serial, items=7, signal=Signal.LOGS)
        keep(tmp_path, name.as_(state, owner))
    (tmp_path / OWN / "somebody else's").write_text("no file of ours")
    said = json.loads(spooled(tmp_path, "--json"))
    assert said["signals"]["logs"] | {"oldest_age": 0} == {"files": 4, "bytes": 400, "items": 28, "oldest_age": 0}
    assert said["states"] == {"waiting": 1, "claimed": 3, "unfinished": 0, "quarantined": 1}
    pid = int(former.partition("-")[0])
    assert {(holder["pid"], holder["alive"], holder["files"]) for holder in said["holders"]} == {
        (os.getpid(), True, 1),
        (pid, False, 2),
    }
    text = spooled(tmp_path)
    assert f"process {os.getpid()} is working on 1 file" in text
    assert f"process {pid} has ended, and the next to look takes back 2 files" in text
    assert "quarantined  1 file" in text


def test_a_spool_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    said = json.loads(spooled(tmp_path, "--json"))
    assert said["files"] == 0
    assert "traces       nothing" in spooled(tmp_path)
    assert not (tmp_path / OWN).exists()


def test_a_spool_that_is_off_is_said_to_be(tmp_path: Path) -> None:
    assert spooled("off").startswith("off:")
    assert json.loads(spooled("off", "--json")) == {"directory": "off"}


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/")], ids=["a file", "a link"])
def test_a_spool_that_cannot_be_read_is_said_to_be(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / OWN)
    done = blogauto_otel("spool", BLOGAUTO_OTEL_SPOOL_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path / OWN} cannot be read: " in done.stderr
    assert not done.stdout


def test_redact_shows_what_would_leave_and_why() -> None:
    done = blogauto_otel("redact", "Authorization: Bearer abcdefghijklmnop.canary")
    assert "canary" not in done.stdout + done.stderr
    assert "[redacted:" in done.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = " ".join([*python("-m", "blogauto_otel.cli", "settings"), "| head -1"])
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=60)
    assert "Traceback" not in done.stderr
