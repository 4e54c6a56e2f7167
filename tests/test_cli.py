"""`blogauto-otel` on the command line."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel import config
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.file_format import CLAIMED, DAMAGED, FREE, Name, new_name
from blogauto_otel.spool.ownership import new_owner
from testkit import receiver as peer
from testkit.ports import free_port
from testkit.processes import environment, python
from testkit.receiver import Receiver

SIGNALS = tuple(signal.value for signal in Signal)


def blogauto_otel(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = python("-m", "blogauto_otel", *arguments)
    return subprocess.run(command, capture_output=True, text=True, env=environment(**variables), timeout=60)


def test_settings_shows_what_this_environment_makes_of_them() -> None:
    done = blogauto_otel("settings", OTEL_SERVICE_NAME="shop", OTEL_EXPORTER_OTLP_HEADERS="api-key=canary")
    assert done.returncode == 0
    assert "\nOTEL_SERVICE_NAME=shop\n" in done.stdout
    assert "\n#OTEL_EXPORTER_OTLP_HEADERS='api-key=****'\n" in done.stdout
    assert "canary" not in done.stdout


def test_settings_fails_with_the_problem_and_the_way_out() -> None:
    done = blogauto_otel("settings", BLOGAUTO_OTEL_SAMPLE_RATE="often")
    assert done.returncode == 1
    assert "! BLOGAUTO_OTEL_SAMPLE_RATE='often': expected a number from 0 to 1" in done.stderr


def test_settings_can_be_copied_back() -> None:
    given = {
        "OTEL_SERVICE_NAME": "a shop",
        "OTEL_BSP_SCHEDULE_DELAY": "2500",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "7500",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.05",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a%2Cb,region=kr",
        "BLOGAUTO_OTEL_METRICS_PATH": "off",
        "BLOGAUTO_OTEL_SAMPLE_ROUTES": "/api/*=0.25,/posts/{id}=1",
        "BLOGAUTO_OTEL_SPOOL_AGE": "3600",
        "BLOGAUTO_OTEL_REDACT_PATTERNS": "abc-[0-9]+ def-[0-9]+",
        "BLOGAUTO_OTEL_TRUST_INCOMING": "10.0.0.0/8,192.168.0.0/16",
    }
    printed = blogauto_otel("settings", **given).stdout
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    copied = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    assert copied.keys() == given.keys()
    assert config.read(copied) == config.read(given)
    assert copied["OTEL_BSP_SCHEDULE_DELAY"] == "2500"


def test_settings_prints_descriptions_units_and_endpoints() -> None:
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:canary@c:4318", "OTEL_LOGS_EXPORTER": "none"}
    printed = blogauto_otel("settings", **where).stdout
    assert "@c:4318/v1/traces (http/protobuf, timeout 10 s)" in printed
    assert "# logs     nowhere" in printed
    assert "# Maximum size of the queue of one signal. In bytes.\n#BLOGAUTO_OTEL_QUEUE_BYTES=33554432" in printed
    assert "canary" not in printed


def test_a_service_that_names_itself_in_code_is_named_by_the_option() -> None:
    assert "\nOTEL_SERVICE_NAME=shop\n" in blogauto_otel("settings", "--service", "shop").stdout
    with Receiver() as receiver:
        done = blogauto_otel("check", "--service", "shop", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.stdout.startswith("shop (development)")


@pytest.mark.parametrize("arguments", [[], ["--help"]], ids=["nothing", "--help"])
def test_the_bare_command_prints_help(arguments: list[str]) -> None:
    done = blogauto_otel(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: blogauto-otel")
    assert "what waits on disk" in done.stdout


@pytest.mark.needs("blogauto_otel")  # its metadata: tests/versions imports it from the checkout
def test_the_version_is_printed() -> None:
    assert blogauto_otel("--version").stdout == f"blogauto-otel {version('blogauto_otel')}\n"


@pytest.mark.parametrize("command", ["settings", "check", "spool", "redact", "sentry"])
def test_problems_of_the_settings_are_printed_where_the_application_would_not_start(command: str) -> None:
    wrong = {"BLOGAUTO_OTEL_STRICT": "true", "BLOGAUTO_OTEL_SAMPLE_RATE": "often"}
    done = blogauto_otel(command, *(["hunter2"] if command == "redact" else []), **wrong)
    assert "Traceback" not in done.stderr
    assert "! BLOGAUTO_OTEL_SAMPLE_RATE='often'" in done.stdout + done.stderr


# --- the way to the Collector ---

CHECKED = "blogauto-otel check"


def check(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return blogauto_otel("check", *options, **variables)


def test_check_reports_that_the_collector_accepted_one_of_each() -> None:
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


def test_check_prints_the_full_report_as_json() -> None:
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


def test_check_fails_with_the_reason_when_nobody_listens_and_stores_nothing(tmp_path: Path) -> None:
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


WITHOUT_GRPC = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "grpc" else found(name, *rest)
from blogauto_otel.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", ["check", "settings"])
def test_grpc_that_cannot_be_used_is_not_called_accepted(command: str) -> None:
    with Receiver() as receiver:
        chosen = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        asking = python("-c", WITHOUT_GRPC, command)
        done = subprocess.run(asking, capture_output=True, text=True, env=environment(**chosen), timeout=60)
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in done.stdout
    assert "pip install" in done.stdout
    if command == "check":
        assert (done.returncode, done.stderr) == (1, "not accepted\n")


def test_check_leaves_out_a_signal_that_goes_nowhere_on_purpose() -> None:
    with Receiver() as receiver:
        done = check(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_LOGS_EXPORTER="none")
    assert done.returncode == 0
    assert "logs         nowhere: nothing sent" in done.stdout


# --- what waits on disk ---

OWN = "blogauto-backend.development"  # the directory of a service in an environment


def record_in_vain(spool: Path) -> None:
    """A process that ends with one undelivered item of each signal."""
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


def of_one_service(spool: Path) -> dict[str, Any]:
    (service,) = json.loads(spooled(spool, "--json"))["services"]
    assert isinstance(service, dict)
    return service


def test_spool_shows_what_could_not_be_sent_and_touches_nothing(tmp_path: Path) -> None:
    record_in_vain(tmp_path)
    before = facts(tmp_path / OWN)
    said = of_one_service(tmp_path)
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


def test_spool_prints_the_owners_of_claims_and_unreadable_files(tmp_path: Path) -> None:
    ended = python("-c", "from blogauto_otel.spool.ownership import new_owner; print(new_owner())")
    former = subprocess.run(ended, capture_output=True, text=True, env=environment(), timeout=60).stdout.strip()
    for serial, (state, owner) in enumerate(
        [(FREE, ""), (CLAIMED, new_owner()), (CLAIMED, former), (CLAIMED, former), (DAMAGED, "")], start=1
    ):
        name = new_name(wall=serial, boot="0" * 8, up=0, pid=1, serial=serial, items=7, signal=Signal.LOGS)
        keep(tmp_path, name.with_state(state, owner))
    (tmp_path / OWN / "notes.txt").write_text("no file of ours")
    said = of_one_service(tmp_path)
    assert said["signals"]["logs"] | {"oldest_age": 0} == {"files": 4, "bytes": 400, "items": 28, "oldest_age": 0}
    assert said["states"] == {"waiting": 1, "claimed": 3, "unfinished": 0, "quarantined": 1}
    pid = int(former.partition("-")[0])
    assert {(holder["pid"], holder["alive"], holder["files"]) for holder in said["holders"]} == {
        (os.getpid(), True, 1),
        (pid, False, 2),
    }
    text = spooled(tmp_path)
    assert f"process {os.getpid()} has claimed 1 file" in text
    assert f"process {pid} has ended; the next process takes back its 2 files" in text
    assert "quarantined  1 file" in text


def test_a_spool_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    said = of_one_service(tmp_path)
    assert said["files"] == 0
    assert "traces       nothing" in spooled(tmp_path)
    assert not (tmp_path / OWN).exists()


def test_a_spool_that_is_off_is_reported(tmp_path: Path) -> None:
    assert spooled("off").startswith("off:")
    assert json.loads(spooled("off", "--json"))["services"] == []


def of_services(spool: Path, *options: str) -> list[str]:
    return [Path(it["directory"]).name for it in json.loads(spooled(spool, "--json", *options))["services"]]


def test_spool_lists_every_service_that_has_one(tmp_path: Path) -> None:
    for name in ("shop.production", "shop.staging", "mail.production"):
        (tmp_path / name).mkdir()
    (tmp_path / "no directory.of ours").write_text("")
    assert of_services(tmp_path) == ["mail.production", "shop.production", "shop.staging"]
    assert of_services(tmp_path, "--service", "shop") == ["shop.production", "shop.staging"]
    assert of_services(tmp_path, "--service", "shop.x") == ["shop.x.development"]  # where it would be


def test_spool_finds_the_services_of_the_usual_places(tmp_path: Path) -> None:
    (tmp_path / "state" / "blogauto-otel" / "shop.production").mkdir(parents=True)
    (tmp_path / f"blogauto-otel-{os.geteuid()}-mail.production").mkdir()
    (tmp_path / "blogauto-otel-1-of.another user").mkdir()
    done = blogauto_otel("spool", "--json", XDG_STATE_HOME=str(tmp_path / "state"), TMPDIR=str(tmp_path))
    found = [Path(it["directory"]).name for it in json.loads(done.stdout)["services"]]
    assert found == [f"blogauto-otel-{os.geteuid()}-mail.production", "shop.production"]


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/")], ids=["a file", "a link"])
def test_a_spool_that_cannot_be_read_is_reported(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / OWN)
    done = blogauto_otel("spool", BLOGAUTO_OTEL_SPOOL_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path / OWN} cannot be read: " in done.stderr
    assert not done.stdout


def test_redact_shows_what_would_leave_and_why() -> None:
    done = blogauto_otel("redact", "Authorization: Bearer abcdefghijklmnop.canary")
    assert "canary" not in done.stdout + done.stderr
    assert "[redacted:" in done.stdout


def test_a_closed_output_pipe_is_no_error() -> None:
    command = " ".join([*python("-m", "blogauto_otel", "settings"), "| head -1"])
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=60)
    assert "Traceback" not in done.stderr
