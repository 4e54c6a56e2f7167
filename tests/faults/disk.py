"""Disk rows: unusable directories, damaged files, killed workers, size and age limits."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from blogauto_otel.config import Settings
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.directory import SpoolLimits
from blogauto_otel.spool.file_format import StoredRequest, parse
from blogauto_otel.spool.location import candidates
from blogauto_otel.spool.store import Spool
from testkit import receiver as peer
from testkit.receiver import Receiver
from testkit.servers import Command
from tests.export.peers import refusing
from tests.faults import harness as servers
from tests.faults.harness import Harness, wait_until
from tests.faults.invariants import LOSSY
from tests.faults.network import all_arrive
from tests.faults.service import Service
from tests.spool.damaged_files import DAMAGES, DELETED

LOAD = 100
UNUSABLE = "cannot be kept on disk"

Variables = Mapping[str, Any]
DiskFault = Callable[[Harness], AbstractContextManager[Variables]]


def _directory(harness: Harness) -> Path:
    """The directory of this row's service."""
    return candidates(Settings(spool_dir=str(harness.spool)), {})[0]


# --- unusable disk ----------------------------------------------------------------------------------------------------


def unusable_disk(harness: Harness) -> None:
    for number, fault in enumerate((*DISK_FAULTS, *(MOUNTED if _may_mount(harness) else ()))):
        with fault(harness) as how:
            _delivers_from_memory(harness, with_control=number == 0, **how)
        shutil.rmtree(harness.spool, ignore_errors=True)
    for scene in (_becomes_unusable, _falls_back_to_temporary_directory, _lost_without_any_directory):
        scene(harness)
        shutil.rmtree(harness.spool, ignore_errors=True)


def _delivers_from_memory(harness: Harness, **how: Any) -> None:
    with Receiver() as receiver:
        receiver.stop()
        with harness.service(receiver, **how) as service:
            _is_logged(service)
            service.hit(LOAD)
            receiver.start()
            wait_until(lambda: _waiting(service) == 0, 30.0)
        assert len(service.lines_with(UNUSABLE)) == 1
        assert service.last["delivery"]["spool"]["errors"] >= 1


def _is_logged(service: Service) -> None:
    service.hit(LOAD)
    wait_until(lambda: service.lines_with(UNUSABLE))


def _waiting(service: Service) -> int:
    return int(service.delivery()["queue_items"] + service.delivery("logs")["queue_items"])


@contextlib.contextmanager
def _short_files(harness: Harness) -> Iterator[Variables]:
    """No file may exceed 4 KiB; the output, itself a file, goes through a pipe."""
    script = 'exec > >(exec cat) 2>&1; ulimit -f 4; exec "$@"'
    yield {"server": _behind("bash", "-c", script, "bash"), "PYTHONDONTWRITEBYTECODE": "1"}


@contextlib.contextmanager
def _unwritable(harness: Harness) -> Iterator[Variables]:
    _directory(harness).mkdir(parents=True)
    _directory(harness).chmod(0o500)
    yield {"server": without_privileges()}


def without_privileges() -> Command:
    """File modes restrict root only without these capabilities."""
    without = "-dac_override,-dac_read_search"
    return _behind("setpriv", "--bounding-set", without, "--inh-caps", without) if not os.geteuid() else _behind()


def _behind(*words: str) -> Command:
    return lambda port: [*words, *servers.UVICORN(port)]


@contextlib.contextmanager
def _file_in_its_place(harness: Harness) -> Iterator[Variables]:
    harness.spool.write_text("")
    yield {}
    harness.spool.unlink()


@contextlib.contextmanager
def _link_in_its_place(harness: Harness) -> Iterator[Variables]:
    elsewhere = harness.folder / "elsewhere"
    elsewhere.mkdir()
    harness.spool.mkdir()
    _directory(harness).symlink_to(elsewhere)
    yield {}
    assert not list(elsewhere.iterdir())


@contextlib.contextmanager
def _owned_by_another_user(harness: Harness) -> Iterator[Variables]:
    _directory(harness).mkdir(parents=True)
    try:
        os.chown(_directory(harness), 65_534, -1)
    except OSError:  # only root may change an owner
        yield {"ACTIONS_BEFORE": "change_user_id"}
    else:
        yield {}


@contextlib.contextmanager
def _full(harness: Harness) -> Iterator[Variables]:
    with _mounted(harness.spool, "size=64k"):
        _directory(harness).mkdir(mode=0o700)
        with contextlib.suppress(OSError):
            (_directory(harness) / "ballast").write_bytes(bytes(60 * 1024))
        yield {}


@contextlib.contextmanager
def _read_only(harness: Harness) -> Iterator[Variables]:
    with _mounted(harness.spool, "ro"):
        yield {}


DISK_FAULTS: Sequence[DiskFault] = (
    _short_files,
    _unwritable,
    _file_in_its_place,
    _link_in_its_place,
    _owned_by_another_user,
)
MOUNTED: Sequence[DiskFault] = (_full, _read_only)


@contextlib.contextmanager
def _mounted(directory: Path, options: str) -> Iterator[None]:
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def _may_mount(harness: Harness) -> bool:
    """Containers usually may not; there the file size limit and the directory modes cover the same code."""
    try:
        with _mounted(harness.folder / "mount", "size=64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _becomes_unusable(harness: Harness) -> None:
    """The directory holds files, which are delivered when it is usable again."""
    with Receiver() as receiver:
        receiver.stop()
        with harness.service(receiver, server=without_privileges(), with_control=False) as service:
            service.hit(LOAD)
            wait_until(lambda: _waiting(service) == 0)
            _directory(harness).chmod(0o500)
            _is_logged(service)
            receiver.start()
            wait_until(lambda: _waiting(service) == 0, 30.0)
            assert service.missing()
            service.end()
            _directory(harness).chmod(0o700)  # for the next process


def _falls_back_to_temporary_directory(harness: Harness) -> None:
    """The state directory is a file; the temporary directory does not exist yet."""
    home = harness.folder / "home"
    home.write_text("")
    with Receiver() as receiver:
        receiver.stop()
        places: Variables = {
            "BLOGAUTO_OTEL_SPOOL_DIR": "",
            "XDG_STATE_HOME": str(home),
            "TMPDIR": str(harness.spool / "temporary"),
        }
        with harness.service(receiver, with_control=False, **places) as service:
            service.hit(LOAD)
            wait_until(lambda: _waiting(service) == 0)
            assert harness.spooled("claim")
            receiver.start()
            all_arrive(service, receiver, within=30.0)
        assert not service.lines_with(UNUSABLE)


def _lost_without_any_directory(harness: Harness) -> None:
    with _file_in_its_place(harness), refusing() as refused_url:
        with harness.service(refused_url, tolerance=LOSSY, with_control=False) as service:
            _is_logged(service)
        assert len(service.lines_with("and lost:")) == 1
        assert service.lost()["traces"].keys() == {"shutdown"}


def no_file_locks(harness: Harness) -> None:
    """Two workers store and deliver without the locks that decide which of them drains."""
    with Receiver() as receiver:
        receiver.stop()
        how: Variables = {"ACTIONS_BEFORE": "no_file_locks"}
        with harness.service(receiver, server=servers.GUNICORN, with_control=False, keep_alive=False, **how) as service:
            service.hit(LOAD)
            # Before the receiver answers: then a worker may deliver all from memory and need no lock.
            wait_until(lambda: service.lines_with("file system without locks"), 90.0)
            receiver.start()
            all_arrive(service, receiver, within=60.0)
            wait_until(lambda: not harness.spooled(), 60.0)  # before the workers end
        assert len(service.lines_with("file system without locks")) <= 2  # one a process


# --- damaged files ----------------------------------------------------------------------------------------------------


def _write_files(harness: Harness, files: int) -> Mapping[str, Sequence[str]]:
    """Files of two spans, as an ended process leaves them: the names of the spans by path."""
    spool = Spool(_directory(harness), SpoolLimits(), lambda *_: None)
    outputs = {}
    for number in range(files):
        names = f"{number} a", f"{number} b"
        outputs[str(_directory(harness) / str(spool.write(_stored_request(names)).name))] = names
    return outputs


def _stored_request(names: Sequence[str]) -> StoredRequest:
    spans = [Span(name=name, trace_id=os.urandom(16), span_id=os.urandom(8)) for name in names]
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])
    return StoredRequest(Signal.TRACES, len(names), request.SerializeToString())


def _times(receiver: Receiver, names: Iterable[str]) -> Sequence[int]:
    """How often each name arrived."""
    arrived = Counter(span.name for span in receiver.spans)
    return [arrived[name] for name in names]


def damaged_files(harness: Harness) -> None:
    outputs = list(_write_files(harness, 2 * len(DAMAGES) + 1).items())
    damaged = outputs[1::2]
    for (path, _), damage in zip(damaged, DAMAGES.values(), strict=True):
        damage(Path(path))
    foreign = [_directory(harness) / name for name in ("notes.txt", "core", "old")]
    foreign[0].write_text("not ours")
    foreign[1].symlink_to("/nowhere")
    foreign[2].mkdir()
    with Receiver() as receiver:
        receiver.stop()  # until the baseline is measured: reading must count as growth
        with harness.service(receiver, tolerance=LOSSY) as service:
            receiver.start()
            wait_until(lambda: not harness.spooled(), 60.0)
            service.hit(LOAD)
            all_arrive(service, receiver)
            delivery = service.state()["delivery"]
            assert delivery["spool"]["quarantined"] == len(DAMAGES), delivery["spool"]
            assert delivery["traces"]["dropped"] == {"spool_damaged": 2 * len(DAMAGES)}, delivery["traces"]["dropped"]
        assert set(_times(receiver, _names(outputs[::2]))) == {1}
        assert set(_times(receiver, _names(damaged))) == {0}
    assert len(harness.spooled("bad")) == len(DAMAGES) - len(DELETED)
    assert all(map(os.path.lexists, foreign))


def _names(files: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    return [name for _, names in files for name in names]


# --- several processes ------------------------------------------------------------------------------------------------


def killed_while_draining(harness: Harness, *, kills: int = 6) -> None:
    outputs = {
        Path(path).name.partition(".")[0]: names for path, names in _write_files(harness, 60 + 20 * kills).items()
    }
    rng = random.Random(57)
    under_way: set[str] = set()
    with Receiver() as receiver:
        receiver.answer(lambda _: peer.status(503) if rng.random() < 0.1 else peer.delay(0.05))
        four = servers.GUNICORN_FOUR
        with harness.service(receiver, server=four, with_control=False, keep_alive=False) as service:
            all_arrive(service, receiver)
            for _ in range(kills):
                _draining_process(harness)
                time.sleep(rng.uniform(0.0, 0.5))
                under_way.update(_kill_during_claim(harness))
            wait_until(lambda: not any(map(harness.spooled, ("", "tmp"))), 60.0)  # before the workers end
        assert all(_times(receiver, _names(outputs.items())))
        twice = {file for file, names in outputs.items() if max(_times(receiver, names)) > 1}
        assert twice <= under_way
        assert not harness.spooled("bad")


def _kill_during_claim(harness: Harness) -> Sequence[str]:
    """Kill the process that drains now; the files that it had claimed."""
    while True:
        worker = _draining_process(harness)
        claimed = _claims_when_stopped(worker, harness)
        if claimed:
            worker.kill()
            worker.wait(10.0)
            return claimed
        worker.resume()


def _claims_when_stopped(worker: psutil.Process, harness: Harness) -> Sequence[str]:
    worker.suspend()
    wait_until(lambda: worker.status() == psutil.STATUS_STOPPED)
    return [file for file, pid in _claims(harness) if pid == worker.pid]


def _draining_process(harness: Harness) -> psutil.Process:
    found: list[int] = []

    def look() -> bool:
        found.extend(pid for _, pid in _claims(harness) if psutil.pid_exists(pid))
        return bool(found)

    wait_until(look, 30.0)
    return psutil.Process(found[0])


def _claims(harness: Harness) -> Sequence[tuple[str, int]]:
    """Claimed files, each with the process that holds it."""
    names = filter(None, (parse(path.name) for path in harness.spooled("claim")))
    return [(str(name).partition(".")[0], int(name.owner.partition("-")[0])) for name in names if name.owner]


# --- size and age limit -----------------------------------------------------------------------------------------------


def over_budget_and_age(harness: Harness) -> None:
    _over_the_budget(harness)
    shutil.rmtree(harness.spool)
    _over_the_age(harness)


BUDGET = 256 * 1024
SPANS, AT_ONCE = 400, 40


def _over_the_budget(harness: Harness) -> None:
    """Three times the size limit; the newest third is kept."""
    with Receiver() as receiver:
        receiver.stop()
        small: Variables = {"BLOGAUTO_OTEL_SPOOL_BYTES": str(BUDGET), "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with harness.service(receiver, tolerance=LOSSY, **small) as service:
            with _monitored(_directory(harness)) as seen:
                for first in range(0, SPANS, AT_ONCE):
                    service.run_action("numbered_spans", numbers=list(range(first, first + AT_ONCE)), size=4000)
                    wait_until(lambda: _waiting(service) == 0)
            assert seen.total <= BUDGET + seen.largest
            receiver.start()
            wait_until(lambda: not harness.spooled(), 60.0)
            dropped = service.delivery()["dropped"]
        times = _times(receiver, [f"number {number}" for number in range(SPANS)])
        assert set(times[-SPANS // 5 :]) == {1}
        assert 0 < times.count(0) <= dropped["spool_full"]
        assert dropped.keys() == {"spool_full"}
        assert len(service.lines_with("traces are being lost: spool_full")) == 1


@dataclass
class Seen:
    """The peak size of a directory in bytes, and its largest file."""

    total: int = 0
    largest: int = 0


@contextlib.contextmanager
def _monitored(directory: Path) -> Iterator[Seen]:
    """Sample the directory continuously."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        while not over.wait(0.001):
            sizes = [0]
            with contextlib.suppress(FileNotFoundError):  # renamed meanwhile: sample again
                sizes += [path.stat().st_size for path in directory.iterdir()]
                seen.total = max(seen.total, sum(sizes))
            seen.largest = max(seen.largest, *sizes)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
    assert seen.largest


def _over_the_age(harness: Harness) -> None:
    """One process left files two days ago, another just now; a third has an age limit of one day.

    The newer processes have clocks that are ahead. One of them runs first, or it would drop the old files.
    """
    later: Variables = {"ACTIONS_BEFORE": "advance_clock_two_days", "BLOGAUTO_OTEL_SPOOL_AGE": str(86_400)}
    with refusing() as refused_url:
        new = _ended_with_files(harness, refused_url, **later)
        old = _ended_with_files(harness, refused_url)
    with Receiver() as receiver:
        with harness.service(receiver, tolerance=LOSSY, with_control=False, **later) as service:
            wait_until(lambda: not harness.spooled(), 30.0)
            service.hit(LOAD)
            dropped = {signal: service.delivery(signal)["dropped"] for signal in ("traces", "logs")}
            all_arrive(service, receiver)
        assert dropped["traces"] == {"spool_expired": len(old.expected_spans)}, dropped
        assert dropped["logs"]["spool_expired"] >= len(old.expected_logs)
        arrived = service.received().spans
        assert not any(span in arrived for span in old.expected_spans)
        assert all(span in arrived for span in new.expected_spans)


def _ended_with_files(harness: Harness, refused_url: str, **variables: Any) -> Service:
    with harness.unchecked(refused_url, with_control=False, **variables) as service:
        service.end()
    return service
