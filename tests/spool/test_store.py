"""The spool directory: bounds, order, claims and locks."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.errors import UnsafeError
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool import directory as directory_module
from blogauto_otel.spool import ownership
from blogauto_otel.spool.directory import SpoolLimits
from blogauto_otel.spool.disk import Disk
from blogauto_otel.spool.file_format import MAGIC, Name, StoredRequest, encode, parse
from blogauto_otel.spool.store import MAX_DAMAGED, Spool
from tests.spool.damaged_files import DAMAGES, DELETED
from tests.spool.failing_disk import Crash, ManualClock, Store, a_request, free_files, items


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


def fill(store: Store, *numbers: int) -> list[StoredRequest]:
    made = [a_request(number) for number in numbers]
    for request in made:
        store.spool.write(request)
    return made


# --- the directory ----------------------------------------------------------------------------------------------------


def test_directories_and_files_are_private(directory: Path) -> None:
    before = os.umask(0)
    try:
        Store(directory).spool.write(a_request(1))
    finally:
        os.umask(before)
    for path in (directory.parent, directory):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_with_open_permissions_is_made_private(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    Store(directory).spool.write(a_request(1))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_of_another_user_is_not_used(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(directory)
    store.spool.write(a_request(1))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for use in (lambda: store.spool.write(a_request(2)), store.spool.scan, store.spool.lock, store.spool.recover):
        with pytest.raises(UnsafeError):
            use()


def test_a_symbolic_link_in_place_of_the_directory_is_not_followed(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    directory.parent.mkdir()
    directory.symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"symbolic|Not a directory"):
        Store(directory).spool.write(a_request(1))
    assert list(elsewhere.iterdir()) == []


def test_a_deleted_directory_is_created_again(directory: Path) -> None:
    store = Store(directory)
    segment = store.spool.write(a_request(1), claim=True)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    assert store.spool.scan() == []
    assert store.spool.exists(segment) is False
    assert store.spool.read(segment) is None
    store.spool.release(segment)
    store.spool.delete(segment)
    assert store.spool.lock() is False
    assert store.drain() == []
    [request] = fill(store, 2)
    assert store.drain() == [request]


def test_scanning_creates_no_directory(directory: Path) -> None:
    assert Store(directory).spool.scan() == []
    assert not directory.parent.exists()


# --- files ------------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read_by_the_next_process_in_order(directory: Path) -> None:
    made = fill(Store(directory), 1, 2, 3)
    assert Store(directory).drain() == made
    assert free_files(directory) == []


def test_order_outlives_a_calendar_that_is_set_back(directory: Path) -> None:
    clock = ManualClock()
    store = Store(directory, clock=clock)
    first = fill(store, 1, 2)
    clock.now -= 86_400
    second = fill(store, 3)
    assert Store(directory, clock=clock).drain() == first + second


def test_a_file_is_replaced_at_once(directory: Path) -> None:
    store = Store(directory)
    segment = store.spool.write(a_request(1), claim=True)
    segment = store.spool.write(a_request(1, 2), claim=True, replaces=segment)
    assert (store.spool.files, store.spool.bytes) == (1, segment.size)
    store.spool.release(segment)
    [path] = free_files(directory)
    assert "-2.traces" in path.name  # the name says how many, wherever it is counted without being read
    assert store.drain() == [a_request(1, 2)]


def test_fsync_reaches_the_file_before_it_gets_its_name_and_then_the_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("create", "write", "sync", "rename"):
        original = getattr(Disk, name)

        def record(self: Disk, *args: Any, name: str = name, original: Any = original) -> Any:
            done.append(name)
            return original(self, *args)

        monkeypatch.setattr(Disk, name, record)
    Spool(directory, SpoolLimits(fsync=True), lambda *_: None).write(a_request(1))
    assert done == ["create", "write", "sync", "rename", "sync"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_quarantined_and_counted_and_the_rest_is_delivered(directory: Path, damage: str) -> None:
    made = fill(Store(directory), 1, 2, 3)
    DAMAGES[damage](free_files(directory)[1])
    store = Store(directory)
    assert store.drain() == [made[0], made[2]]
    assert (store.spool.quarantined, store.losses()) == (1, {"spool_damaged": 1})
    left = [path for path in directory.iterdir() if not path.name.startswith(".")]
    assert [path.suffix for path in left] == ([] if damage in DELETED else [".bad"])
    assert store.drain() == []
    assert store.spool.quarantined == 1


def test_the_number_of_quarantined_files_is_bounded(directory: Path) -> None:
    store = Store(directory)
    fill(store, *range(MAX_DAMAGED + 20))
    for path in free_files(directory):
        path.write_bytes(b"")
    assert store.drain() == []
    assert (store.spool.quarantined, len(list(directory.glob("*.bad")))) == (MAX_DAMAGED + 20, MAX_DAMAGED)


def test_other_files_are_not_touched(directory: Path) -> None:
    store = Store(directory, bytes=2000)
    fill(store, 1)
    (directory / "notes.txt").write_text("x" * 5000)
    (directory / "core").symlink_to("/nowhere")
    made = fill(store, *range(2, 30))
    found = store.drain()
    assert found == made[-len(found) :]
    assert (directory / "notes.txt").read_text() == "x" * 5000
    assert (directory / "core").is_symlink()


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_over_the_budget_the_oldest_are_dropped_and_counted(directory: Path) -> None:
    store = Store(directory, bytes=3000)
    made = fill(store, *range(100))
    size = len(encode(made[0]))
    fitting = 3000 // size
    assert sum(path.stat().st_size for path in directory.iterdir()) == store.spool.bytes == fitting * size
    assert store.losses() == {"spool_full": 100 - fitting}
    assert store.drain() == made[-fitting:]


def test_processes_share_one_budget(directory: Path) -> None:
    stores = [Store(directory, bytes=3000) for _ in range(4)]
    made = [fill(stores[number % 4], number)[0] for number in range(100)]
    found = stores[0].drain()
    assert found == made[-len(found) :]
    assert sum(store.losses()["spool_full"] for store in stores) == 100 - len(found)


def test_claimed_files_are_not_dropped(directory: Path) -> None:
    store, other = Store(directory, bytes=1000), Store(directory, bytes=1000)
    segment = [other.spool.write(a_request(number), claim=True) for number in range(10)]
    with pytest.raises(OSError, match="full of claimed files"):
        store.spool.write(a_request(10, 11, 12, 13))
    assert all(map(other.spool.exists, segment))


def test_a_file_larger_than_the_limit_is_refused_and_drops_no_other(directory: Path) -> None:
    store = Store(directory, bytes=1000)
    made = fill(store, 1)
    with pytest.raises(OSError, match="larger"):
        store.spool.write(a_request(*range(100)))
    assert store.drain() == made


def test_a_file_that_is_too_large_to_be_read_is_dropped_before_good_ones(directory: Path) -> None:
    """It is no older than they are: a limit that it alone exceeds would cost them all."""
    store = Store(directory)
    made = fill(store, 1, 2, 3)
    os.truncate(free_files(directory)[-1], 2**30)
    made += fill(store, 4)
    assert (store.losses(), store.spool.quarantined) == ({"spool_damaged": 1}, 1)
    assert store.drain() == [made[0], made[1], made[3]]


def test_a_directory_of_too_many_files_drops_the_oldest(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "MAX_FILES", 10)
    store = Store(directory)
    made = fill(store, *range(15))
    assert (store.losses(), store.drain()) == ({"spool_full": 5}, made[5:])


def test_a_file_that_cannot_be_written_drops_no_other(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when other files are claimed, nor when the file system is full."""
    store = Store(directory, bytes=1000)
    made = fill(store, 1, 2, 3)
    segment = [store.spool.write(a_request(number), claim=True) for number in range(4, 12)]
    with pytest.raises(OSError, match="full of claimed files"):
        store.spool.write(a_request(*range(12, 17)))
    for one in segment:
        store.spool.delete(one)
    made += fill(store, *range(4, 12))
    assert len(free_files(directory)) == len(made)
    monkeypatch.setattr(directory_module, "_FREE_SHARE", 1.0)
    monkeypatch.setattr(directory_module, "_FREE_BYTES", 2**80)
    with pytest.raises(OSError, match="nearly full"):
        store.spool.write(a_request(*range(12, 17)))
    assert store.losses() == {}
    assert store.drain() == made


def test_of_many_files_only_the_new_ones_are_examined(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage leaves thousands, and each write asks how much there is."""
    looked: list[str] = []

    def look(name: str) -> Name | None:
        looked.append(name)
        return parse(name)

    monkeypatch.setattr(directory_module, "parse", look)
    one, other = Store(directory), Store(directory)
    fill(one, *range(50))
    fill(other, 50)
    looked.clear()
    made = fill(one, 51)
    assert len([name for name in looked if not name.startswith(".")]) == 2  # the latest of each
    assert one.spool.files == 52
    assert one.drain()[-1:] == made


def test_expired_files_are_dropped_and_counted(directory: Path) -> None:
    clock = ManualClock()
    store = Store(directory, clock=clock, age=100.0)
    fill(store, 1, 2)
    clock.pass_(60.0)
    made = fill(store, 3)
    clock.pass_(60.0)
    assert store.spool.has_work(store.spool.scan())
    assert store.drain() == made
    assert store.losses() == {"spool_expired": 2}


def test_metrics_expire_after_an_hour(directory: Path) -> None:
    clock = ManualClock()
    store = Store(directory, clock=clock)
    store.spool.write(a_request(1, signal=Signal.METRICS))
    made = fill(store, 2)
    clock.pass_(3700.0)
    assert store.drain() == made


@pytest.mark.parametrize("jump", [-1e9, -86_400.0, 86_400.0, 1e9])
def test_a_calendar_that_jumps_expires_nothing(directory: Path, jump: float) -> None:
    clock = ManualClock()
    made = fill(Store(directory, clock=clock), 1, 2)
    clock.now += jump
    store = Store(directory, clock=clock)
    made += fill(store, 3)
    found = store.drain()
    assert sorted(map(items, found)) == sorted(map(items, made))
    assert store.losses() == {}


def test_after_a_restart_of_the_machine_the_calendar_decides(directory: Path) -> None:
    before, after = ManualClock("0badcafe"), ManualClock("deadbeef")
    fill(Store(directory, clock=before, age=100.0), 1)
    after.uptime, after.now = 1.0, before.now + 99.0
    assert Store(directory, clock=after, age=100.0).spool.recover() != []
    after.now = before.now + 101.0
    assert Store(directory, clock=after, age=100.0).spool.recover() == []


# --- a disk that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EMFILE])
def test_a_failed_write_leaves_nothing_behind(directory: Path, problem: int) -> None:
    store = Store(directory)
    made = fill(store, 1)
    store.disk.error = OSError(problem, "no")
    with pytest.raises(OSError, match="no"):
        store.spool.write(a_request(2))
    store.disk.error = None
    assert len(free_files(directory)) == 1
    assert store.drain() == made


@pytest.mark.parametrize("changes", range(4))  # create, write, write, rename
def test_a_failure_at_any_change_leaves_whole_files(
    directory: Path, changes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(directory)
    segment = store.spool.write(a_request(1), claim=True)
    countdown = iter(range(changes))

    def fail() -> None:
        if next(countdown, None) is None and not failed:
            failed.append(True)
            raise OSError(errno.ENOSPC, "no")

    failed: list[bool] = []
    monkeypatch.setattr(store.disk, "_next", fail)
    try:
        segment = store.spool.write(a_request(1, 2), claim=True, replaces=segment)
        expected = a_request(1, 2)
    except OSError:
        expected = a_request(1)
    assert not list(directory.glob("*.tmp-*"))
    store.spool.release(segment)
    assert store.drain() == [expected]


@pytest.fixture
def small_place(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where there is leave to mount one; else any place, with a disk that says it is full."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = os.geteuid() == 0 and _mount("-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(place))
    yield place
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def _write_until_it_refuses(store: Store, written: list[StoredRequest]) -> None:
    for number in range(100):
        written += fill(store, number)


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


def test_a_full_file_system_refuses_writes_and_loses_nothing(small_place: Path) -> None:
    store = Store(small_place / "spool")
    if not small_place.is_mount():
        store.disk.full_after = 10
    written: list[StoredRequest] = []
    with pytest.raises(OSError, match=r"No space|nearly full"):
        _write_until_it_refuses(store, written)
    assert 5 < len(written) <= 16
    store.disk.full_after = None
    assert store.drain() == written
    assert fill(store, 100) == store.drain()


def test_a_read_only_directory_refuses_writes(small_place: Path) -> None:
    fill(Store(small_place / "spool"), 1)
    if not (small_place.is_mount() and _mount("-o", "remount,ro", str(small_place))):
        (small_place / "spool").chmod(0o500)
    with pytest.raises(OSError, match=r"Read-only|Permission denied"):
        Store(small_place / "spool").spool.write(a_request(2))


def test_the_spool_does_not_fill_the_file_system(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(directory)
    fill(store, 1)
    real = os.fstatvfs

    def nearly_full(file: int) -> Any:
        fields = list(real(file))
        fields[4] = int(fields[2] * 0.04)  # f_bavail of f_blocks
        fields[2] = min(fields[2], 2**30 // fields[1])
        fields[4] = int(fields[2] * 0.04)
        return os.statvfs_result(fields)

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    with pytest.raises(OSError, match="nearly full"):
        store.spool.write(a_request(2))


# --- claims -----------------------------------------------------------------------------------------------------------


def test_a_claimed_file_cannot_be_claimed_until_it_is_released(directory: Path) -> None:
    one, other = Store(directory), Store(directory)
    fill(one, 1)
    assert one.spool.lock()
    [file] = one.spool.recover()
    segment = one.spool.claim(file)
    assert segment is not None
    assert other.spool.claim(file) is None
    assert other.spool.recover() == []
    assert not other.spool.has_work(other.spool.scan())
    one.spool.release(segment)
    assert len(other.spool.recover()) == 1


def test_only_one_drains(directory: Path) -> None:
    one, other = Store(directory), Store(directory)
    fill(one, 1)
    assert one.spool.lock()
    assert one.spool.lock()
    assert not other.spool.lock()
    one.spool.unlock()
    assert other.spool.lock()


def test_claims_of_an_ended_owner_are_taken_back_with_their_current_size(directory: Path) -> None:
    gone, store = Store(directory), Store(directory)
    segment = gone.spool.write(a_request(1), claim=True)
    gone.spool.write(a_request(1, 2, 3), claim=True, replaces=segment)
    gone.die()
    assert store.spool.has_work(store.spool.scan())
    [file] = store.spool.recover()
    assert file.name.items == 3
    assert store.drain() == [a_request(1, 2, 3)]


def in_a_process(work: Callable[[], object]) -> BaseProcess:
    """Do it in another process, which stays until it is killed."""
    context = multiprocessing.get_context("fork")
    done = context.Event()

    def run() -> None:
        work()
        done.set()
        signal.pause()

    child = context.Process(target=run, daemon=True)
    child.start()
    assert done.wait(30.0)
    return child


def test_a_claim_is_taken_back_when_its_process_was_killed(directory: Path) -> None:
    child = in_a_process(lambda: Store(directory).spool.write(a_request(1), claim=True))
    store = Store(directory)
    assert store.spool.recover() == []
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert len(store.spool.recover()) == 1  # a zombie has ended, though its parent does not know yet
    child.join()


def test_a_forked_child_does_not_take_its_parents_claims(directory: Path) -> None:
    parent = Store(directory)
    segment = parent.spool.write(a_request(1), claim=True)
    child = in_a_process(lambda: (directory / "seen").write_text(str(len(Store(directory).spool.recover()))))
    child.kill()
    child.join()
    assert (directory / "seen").read_text() == "0"
    assert parent.spool.exists(segment)


def test_the_lock_of_a_killed_drainer_is_free(directory: Path) -> None:
    fill(Store(directory), 1)
    child = in_a_process(Store(directory).spool.lock)
    store = Store(directory)
    assert not store.spool.lock()
    child.kill()
    child.join()
    assert store.spool.lock()


@pytest.mark.parametrize("work", ["write", "drain"])
def test_a_child_that_was_forked_in_the_middle_does_not_keep_its_parents_locks(directory: Path, work: str) -> None:
    """It has a copy of every descriptor, and knows nothing of it; it may live for days."""
    store, other = Store(directory), Store(directory)
    fill(store, 1)
    assert store.spool.lock()
    children: list[BaseProcess] = []

    class Forking(Disk):
        def rename(self, *names: Any) -> None:
            children.append(in_a_process(lambda: None))
            super().rename(*names)

    store.spool._disk = Forking()
    fill(store, 2)
    store.spool.unlock()
    try:
        with (directory / f".{work}.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert other.spool.lock()
    finally:
        for child in children:
            child.kill()
            child.join()


def test_a_forked_child_that_closes_its_parents_lock_leaves_it_locked(directory: Path) -> None:
    parent, other = Store(directory), Store(directory)
    fill(parent, 1)
    assert parent.spool.lock()
    child = in_a_process(lambda: parent.spool.unlock(forked=True))
    assert not other.spool.lock()
    child.kill()
    child.join()
    assert not other.spool.lock()
    parent.spool.unlock()
    assert other.spool.lock()


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_on_a_file_system_without_locks_files_are_written_drained_and_it_is_logged_once(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    one, other = Store(directory), Store(directory)
    made = fill(one, 1, 2)
    assert other.drain() == made
    made = fill(one, 3)
    assert one.drain() + other.drain() == made
    assert (one.spool.lock_errors, other.spool.lock_errors) == (1, 2)
    assert caplog.text.count("file system without locks") == 1


def test_a_lock_that_another_process_holds_is_not_taken_for_a_missing_one(directory: Path) -> None:
    one, other = Store(directory), Store(directory)
    fill(one, 1)
    assert one.spool.lock()
    assert not other.spool.lock()
    assert other.spool.lock_errors == 0


# --- versions ---------------------------------------------------------------------------------------------------------


def make_newer(path: Path) -> None:
    """Turn a file into one of the next version."""
    path.write_bytes(MAGIC + b"\x02" + path.read_bytes()[len(MAGIC) + 1 :])


def test_a_file_of_a_newer_version_stays_and_the_rest_is_delivered(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = fill(Store(directory), 1, 2, 3)
    newer = free_files(directory)[1]
    make_newer(newer)
    store = Store(directory)
    assert store.drain() == [made[0], made[2]]
    assert not store.spool.has_work(store.spool.scan())  # the lock is left to a process that can read it
    assert (store.drain(), free_files(directory)) == ([], [newer])
    assert (store.spool.quarantined, store.losses()) == (0, {})
    assert caplog.text.count("files of a newer version") == 1


def test_a_file_of_a_newer_version_is_deleted_at_its_age_and_counted(directory: Path) -> None:
    clock = ManualClock()
    store = Store(directory, clock=clock, age=100.0)
    fill(store, 1)
    make_newer(free_files(directory)[0])
    assert store.drain() == []
    clock.pass_(101.0)
    assert store.spool.has_work(store.spool.scan())
    assert (store.drain(), free_files(directory)) == ([], [])
    assert store.losses() == {"spool_expired": 1}


def test_a_claim_of_a_newer_version_is_taken_back_unread(directory: Path) -> None:
    gone, store = Store(directory), Store(directory)
    gone.spool.write(a_request(1), claim=True)
    [claimed] = directory.glob("*.claim-*")
    make_newer(claimed)
    gone.die()
    assert store.drain() == []
    assert len(free_files(directory)) == 1


def test_an_unfinished_file_of_a_killed_process_is_deleted(directory: Path) -> None:
    gone, store = Store(directory), Store(directory)
    fill(gone, 1)
    gone.disk.die_at(3)
    with pytest.raises(Crash):
        gone.spool.write(a_request(2))
    assert list(directory.glob("*.tmp-*"))
    gone.die()
    assert store.drain() == [a_request(1)]
    assert not list(directory.glob("*.tmp-*"))
    assert store.losses() == {}  # it was never acknowledged


def test_a_claim_of_a_reused_pid_is_dead() -> None:
    mine = ownership.new_owner()
    _, start, rest = mine.split("-", 2)
    assert not ownership.is_dead(mine, 0.0)
    parent = f"{os.getppid()}-{ownership._state_and_start(os.getppid())[1]}-{rest}"
    assert not ownership.is_dead(parent, 1e9)
    assert ownership.is_dead(f"{os.getppid()}-{int(start) + 10**9}-{rest}", 0.0)
    assert ownership.is_dead(f"{2**22 + 5}-{start}-{rest}", 0.0)


def test_a_claim_from_another_container_holds_for_a_minute() -> None:
    pid, start, namespace, serial = ownership.new_owner().split("-")
    foreign = f"{pid}-{start}-{int(namespace, 16) + 1:x}-{serial}"
    assert not ownership.is_dead(foreign, 30.0)
    assert ownership.is_dead(foreign, 61.0)
    assert not ownership.is_dead("nonsense", 30.0)
    assert ownership.is_dead("nonsense", 61.0)


def test_a_process_that_cannot_be_examined_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor left, for one: its claims must not be taken from it for that."""
    _, start, rest = ownership.new_owner().split("-", 2)
    parent = f"{os.getppid()}-{start}-{rest}"

    def fail(*_: object) -> Any:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(ownership, "_state_and_start", fail)
    assert not ownership.is_dead(parent, 1e9)


def test_without_proc_a_process_with_the_pid_counts_as_the_owner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ownership, "_PROC", tmp_path)
    mine = ownership.new_owner()
    assert mine.split("-")[1:3] == ["0", "0"]
    assert not ownership.is_dead(mine, 0.0)
    assert not ownership.is_dead(f"{os.getppid()}-0-0-1", 0.0)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert ownership.is_dead(f"{ended.pid}-0-0-1", 0.0)


def test_a_lock_whose_descriptor_was_reused_is_not_closed(directory: Path) -> None:
    store = Store(directory)
    fill(store, 1)
    assert store.spool.lock()
    [lock] = [int(link.name) for link in Path("/proc/self/fd").iterdir() if link.resolve().parent == directory]
    os.dup2(os.open(os.devnull, os.O_RDONLY), lock)  # a daemon has closed all that it found, and opened its own
    store.spool.unlock()
    os.close(lock)  # it was there still
