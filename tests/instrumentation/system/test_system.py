from __future__ import annotations

import asyncio
import builtins
import gc
import logging
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from blogauto_otel import _process
from blogauto_otel.instrumentation import State, event_loop, host, system
from blogauto_otel.instrumentation.host import CpuTime, Memory, Roots
from testkit.recording import Recording

GIB, MIB = 2**30, 2**20
CPUS = os.cpu_count() or 1

SNMP = (
    "Ip: Forwarding DefaultTTL\nIp: 1 64\n"
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs\n"
    "Tcp: 1 200 120000 -1 406 235 90 14 17 111720\n"
)
MEMINFO = f"MemTotal: {8 * MIB} kB\nMemFree: {MIB} kB\nMemAvailable: {6 * MIB} kB\n"


class Machine:
    """A /proc and a /sys/fs/cgroup under a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.roots = Roots(proc=folder / "proc", cgroup=folder / "cgroup", disk=folder)
        self.ticks(busy=100, idle=900)
        self.proc("meminfo", MEMINFO)
        self.proc("net/snmp", SNMP)
        self.proc("self/statm", "5000 1200 300 1 0 400 0\n")
        self.proc("self/stat", "7 (a (strange) name) S 1 7 7 0 -1 4194560 0 0 0 0 1 2 3 4 20 0 9 0 100 0 0\n")
        for number in range(4):
            self.proc(f"self/fd/{number}", "")

    def proc(self, name: str, content: str) -> None:
        write(self.roots.proc / name, content)

    def cgroup(self, name: str, content: object) -> None:
        write(self.roots.cgroup / name, f"{content}\n")

    def ticks(self, *, busy: int, idle: int) -> None:
        self.proc("stat", f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n")


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    yield Machine(tmp_path)
    system.uninstrument()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that passes when the test says so."""
    clock = SimpleNamespace(now=1000.0)
    for module in (host, system):
        monkeypatch.setattr(module, "monotonic", lambda: clock.now)
    return clock


def values(recording: Recording) -> Mapping[str, float]:
    return {
        name.removeprefix("blogauto."): next(iter(points.values()))
        for name in recording.metrics
        if name.startswith("blogauto.") and (points := recording.points(name))
    }


# --- the host ---


def test_the_contracts_gauges_have_its_names_units_and_kinds(machine: Machine) -> None:
    recording = Recording()
    assert system.instrument(recording.context, roots=machine.roots).state is State.ON
    metrics = recording.metrics
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "blogauto.cpu.usage": "%",
        "blogauto.memory.usage": "By",
        "blogauto.memory.available": "By",
        "blogauto.memory.total": "By",
        "blogauto.disk.usage": "%",
        "blogauto.active_connections": "{connection}",
        "process.memory.usage": "By",
        "process.thread.count": "{thread}",
        "process.unix.file_descriptor.count": "{file_descriptor}",
        "cpython.gc.collections": "{collection}",
    }
    assert recording.points("blogauto.active_connections") == {(("type", "tcp"),): 17}


def test_the_namespace_is_a_setting(machine: Machine) -> None:
    recording = Recording(namespace="shop")
    system.instrument(recording.context, roots=machine.roots)
    assert "shop.cpu.usage" in recording.metrics


def test_without_limits_it_is_the_host_that_is_measured(machine: Machine, clock: SimpleNamespace) -> None:
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    machine.ticks(busy=175, idle=925)
    found = values(recording)
    assert (found["memory.total"], found["memory.available"], found["memory.usage"]) == (8 * GIB, 6 * GIB, 2 * GIB)
    assert found["cpu.usage"] == 75.0
    assert 0 < found["disk.usage"] <= 100


def test_the_first_collection_right_after_the_start_has_a_cpu_value(machine: Machine) -> None:
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    assert values(recording)["cpu.usage"] == 10.0, "nothing has passed since: the average since the machine started"


def test_two_readers_share_one_window(machine: Machine, clock: SimpleNamespace) -> None:
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    machine.ticks(busy=150, idle=950)
    assert values(recording)["cpu.usage"] == 50.0
    machine.ticks(busy=151, idle=950)
    clock.now += 1
    assert values(recording)["cpu.usage"] == 50.0, "a scrape a second later is no window of its own"
    machine.ticks(busy=160, idle=1040)
    clock.now += system.SHARED_FOR
    assert values(recording)["cpu.usage"] == 10.0


def test_many_threads_that_collect_at_once_read_once(machine: Machine) -> None:
    reads = []

    def slow() -> Memory:
        reads.append(1)
        started.wait(5)
        return Memory(2, 1)

    started = threading.Event()
    shared = system._Shared(slow)
    threads = [threading.Thread(target=shared.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    started.set()
    for thread in threads:
        thread.join()
    assert len(reads) == 1


# --- containers ---


def with_v2(machine: Machine, *, path: str = "/") -> None:
    machine.proc("self/cgroup", f"0::{path}\n")


def with_v1(machine: Machine, *, path: str = "/") -> None:
    machine.proc("self/cgroup", f"9:name=systemd:{path}\n4:memory:{path}\n2:cpu,cpuacct:{path}\n0::/\n")


def test_a_v2_memory_limit_is_the_total_and_droppable_cache_is_not_in_use(machine: Machine) -> None:
    with_v2(machine)
    machine.cgroup("memory.max", 512 * MIB)
    machine.cgroup("memory.current", 300 * MIB)
    machine.cgroup("memory.stat", f"anon 1\ninactive_file {100 * MIB}\n")
    assert host.memory(machine.roots) == Memory(total=512 * MIB, available=312 * MIB)


def test_a_v1_memory_limit_counts_alike(machine: Machine) -> None:
    with_v1(machine, path="/docker/abc")  # named as the host names it; only the root is there
    machine.cgroup("memory/memory.limit_in_bytes", 512 * MIB)
    machine.cgroup("memory/memory.usage_in_bytes", 300 * MIB)
    machine.cgroup("memory/memory.stat", f"cache 1\ninactive_file 5\ntotal_inactive_file {100 * MIB}\n")
    assert host.memory(machine.roots) == Memory(total=512 * MIB, available=312 * MIB)


@pytest.mark.parametrize("limit", ["max", str(0x7FFFFFFFFFFFF000), str(9 * GIB)])
def test_no_limit_or_one_above_the_hosts_memory_is_the_host(machine: Machine, limit: str) -> None:
    with_v2(machine)
    machine.cgroup("memory.max", limit)
    machine.cgroup("memory.current", 300 * MIB)
    assert host.memory(machine.roots) == Memory(total=8 * GIB, available=6 * GIB)


def test_the_tightest_limit_above_us_counts(machine: Machine) -> None:
    with_v2(machine, path="/system.slice/blog.service")
    machine.cgroup("system.slice/blog.service/memory.max", "max")
    machine.cgroup("system.slice/memory.max", GIB)
    machine.cgroup("system.slice/memory.current", 100 * MIB)
    machine.cgroup("memory.max", 2 * GIB)
    assert host.memory(machine.roots) == Memory(total=GIB, available=GIB - 100 * MIB)


def test_a_container_cannot_have_more_left_than_its_host(machine: Machine) -> None:
    with_v2(machine)
    machine.proc("meminfo", f"MemTotal: {8 * MIB} kB\nMemAvailable: 1024 kB\n")
    machine.cgroup("memory.max", GIB)
    machine.cgroup("memory.current", 0)
    assert host.memory(machine.roots) == Memory(total=GIB, available=MIB)


def test_a_v2_quota_is_one_hundred_percent(machine: Machine, clock: SimpleNamespace) -> None:
    with_v2(machine)
    cores = CPUS / 2
    machine.cgroup("cpu.max", f"{int(cores * 100_000)} 100000")
    machine.cgroup("cpu.stat", "usage_usec 5000000\nuser_usec 1\n")
    recording = Recording()
    report = system.instrument(recording.context, roots=machine.roots)
    assert report.detail == f"CPU quota {cores:g} cores"
    clock.now += 10
    machine.cgroup("cpu.stat", f"usage_usec {5_000_000 + int(cores * 4_000_000)}\n")
    assert values(recording)["cpu.usage"] == pytest.approx(40.0)
    clock.now += 10
    machine.cgroup("cpu.stat", "usage_usec 900000000\n")
    assert values(recording)["cpu.usage"] == 100.0, "a burst above the quota is 100 %"


def test_a_v1_quota_counts_alike(machine: Machine, clock: SimpleNamespace) -> None:
    with_v1(machine)
    machine.cgroup("cpu,cpuacct/cpu.cfs_quota_us", int(CPUS / 2 * 100_000))
    machine.cgroup("cpu,cpuacct/cpu.cfs_period_us", 100_000)
    machine.cgroup("cpu,cpuacct/cpuacct.usage", 5_000_000_000)
    found = host.cpu_time(machine.roots)
    assert found is not None
    assert (found.busy, found.possible) == (5.0, 1000.0 * CPUS / 2)


@pytest.mark.parametrize(
    ("quota", "period"), [("max", "100000"), ("-1", "100000"), ("100000", "0"), (str(CPUS * 100_000), "100000")]
)
def test_no_quota_or_one_that_is_no_limit_is_the_host(machine: Machine, quota: str, period: str) -> None:
    with_v2(machine)
    machine.cgroup("cpu.max", f"{quota} {period}")
    machine.cgroup("cpu.stat", "usage_usec 5000000")
    assert host.cpu_time(machine.roots) == CpuTime(100, 1000, of="host")


def test_a_quota_that_is_changed_while_we_run_begins_a_new_window(machine: Machine, clock: SimpleNamespace) -> None:
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    with_v2(machine)
    machine.cgroup("cpu.max", f"{CPUS * 50_000} 100000")
    machine.cgroup("cpu.stat", "usage_usec 1")
    assert 0 <= values(recording)["cpu.usage"] <= 100


def test_a_path_outside_the_namespace_falls_back_to_the_root(machine: Machine) -> None:
    with_v2(machine, path="/../../other")
    machine.cgroup("memory.max", GIB)
    machine.cgroup("memory.current", 0)
    assert host.memory(machine.roots) == Memory(total=GIB, available=GIB)


# --- what is missing or broken ---


@pytest.mark.parametrize("content", ["", "nonsense\n", "0::\n", "::::\n"])
def test_unusable_control_groups_are_ignored(machine: Machine, content: str) -> None:
    machine.proc("self/cgroup", content)
    assert host.memory(machine.roots) == Memory(total=8 * GIB, available=6 * GIB)


def test_connections_are_counted_from_sockstat_where_there_is_no_snmp(machine: Machine) -> None:
    (machine.roots.proc / "net" / "snmp").unlink()
    machine.proc("net/sockstat", "sockets: used 16\nTCP: inuse 27 orphan 0 tw 97\nUDP: inuse 4\n")
    machine.proc("net/sockstat6", "TCP6: inuse 3\n")
    assert host.tcp_connections(machine.roots) == 30


def test_a_gauge_that_cannot_be_read_is_left_out_and_logged_once(
    machine: Machine, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: object) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", refuse)
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.now += 100
            found = values(recording)
    assert "disk.usage" not in found
    assert len(found) == 5
    assert [record.getMessage() for record in caplog.records] == [
        "disk.usage cannot be measured here: OSError: [Errno 5] Input/output error"
    ]


class CpuTimes(NamedTuple):
    """As psutil has them on a system without `iowait`."""

    user: float
    system: float
    idle: float


class Psutil:
    """As much of psutil as is used where there is no /proc."""

    @staticmethod
    def virtual_memory() -> Any:
        return SimpleNamespace(total=4 * GIB, available=GIB)

    @staticmethod
    def cpu_times() -> Any:
        return CpuTimes(30.0, 20.0, 50.0)

    @staticmethod
    def net_connections(kind: str) -> Any:
        return [SimpleNamespace(status=status) for status in ("ESTABLISHED", "LISTEN", "ESTABLISHED")]


def test_where_there_is_no_proc_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", Psutil)
    recording = Recording()
    report = system.instrument(recording.context, roots=Roots(tmp_path / "no", tmp_path / "no", tmp_path))
    assert (report.state, report.detail) == (State.ON, "by psutil")
    found = values(recording)
    assert (found["cpu.usage"], found["memory.usage"], found["active_connections"]) == (50.0, 3 * GIB, 2)
    system.uninstrument()


@pytest.mark.parametrize("error", [ImportError("no psutil"), OSError("wrong ELF class"), AttributeError("old")])
def test_without_proc_and_psutil_the_application_runs_and_the_disk_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "psutil":
            raise error
        return real_import(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "psutil", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    recording = Recording()
    report = system.instrument(recording.context, roots=Roots(tmp_path / "no", tmp_path / "no", tmp_path))
    assert report.state is State.MISSING
    assert set(values(recording)) == {"disk.usage"}
    system.uninstrument()


# --- on, off, forked, real ---


def test_on_linux_psutil_is_not_even_imported(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "psutil_or_none", lambda: pytest.fail("/proc has the answer"))
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    assert len(values(recording)) == 6


def test_switched_off_it_makes_no_instruments(machine: Machine) -> None:
    recording = Recording(system_metrics=False)
    assert system.instrument(recording.context, roots=machine.roots).state is State.OFF
    assert recording.metrics == {}


def test_after_uninstrument_the_gauges_are_silent(machine: Machine) -> None:
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    system.uninstrument()
    assert values(recording) == {}


def test_a_forked_child_measures_although_the_lock_was_held(machine: Machine) -> None:
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    assert system._state.readings is not None
    system._state.readings._memory._lock.acquire()
    system.after_fork_in_child()
    assert values(recording)["memory.total"] == 8 * GIB


def test_the_gauges_of_this_machine_have_values(clock: SimpleNamespace) -> None:
    recording = Recording()
    assert system.instrument(recording.context).state is State.ON
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        found = values(recording)
        assert found["active_connections"] >= 2
    system.uninstrument()
    assert set(found) == {
        "cpu.usage",
        "memory.usage",
        "memory.available",
        "memory.total",
        "disk.usage",
        "active_connections",
    }
    assert 0 <= found["cpu.usage"] <= 100
    assert 0 < found["disk.usage"] <= 100
    assert found["memory.usage"] + found["memory.available"] == found["memory.total"] > 2**20


# --- the process ---


def test_the_process_has_memory_threads_open_files_and_collections(machine: Machine) -> None:
    recording = Recording()
    system.instrument(recording.context, roots=machine.roots)
    assert recording.points("process.memory.usage") == {(): 1200 * os.sysconf("SC_PAGE_SIZE")}
    assert recording.points("process.thread.count") == {(): 9}
    assert recording.points("process.unix.file_descriptor.count") == {(): 3}
    before = recording.points("cpython.gc.collections")[(("cpython.gc.generation", "2"),)]
    gc.collect()
    assert recording.points("cpython.gc.collections")[(("cpython.gc.generation", "2"),)] == before + 1


def test_the_real_process_is_measured() -> None:
    recording = Recording()
    system.instrument(recording.context)
    assert next(iter(recording.points("process.memory.usage").values())) > 10 * MIB
    assert next(iter(recording.points("process.thread.count").values())) >= 1
    assert next(iter(recording.points("process.unix.file_descriptor.count").values())) >= 3
    system.uninstrument()
    assert recording.points("process.memory.usage") == {}


# --- the event loop ---

LAG = "blogauto.event_loop.lag"


def lags(recording: Recording) -> list[Any]:
    return list(recording.metrics[LAG].data.data_points) if LAG in recording.metrics else []


def test_a_blocked_loop_is_seen_for_as_long_as_it_is_blocked() -> None:
    async def serve() -> None:
        system.instrument(recording.context)
        await asyncio.sleep(0.4)
        time.sleep(0.6)  # noqa: ASYNC251 - the fault that is measured
        await asyncio.sleep(0.05)

    recording = Recording()
    asyncio.run(serve())
    (point,) = lags(recording)
    assert point.count == 2
    assert 0.3 < point.max < 0.7
    system.uninstrument()


def test_a_loop_that_starts_later_is_measured_from_the_start_of_its_application() -> None:
    async def serve() -> None:
        _process.on_lifespan_startup()
        _process.on_lifespan_startup()
        await asyncio.sleep(0.6)

    recording = Recording()
    system.instrument(recording.context)
    assert lags(recording) == []
    asyncio.run(serve())
    (point,) = lags(recording)
    assert point.count in {1, 2}  # one timer, however often it is started
    system.uninstrument()


def test_after_uninstrument_the_timer_ends() -> None:
    async def serve() -> None:
        system.instrument(recording.context)
        system.uninstrument()
        await asyncio.sleep(0.6)

    recording = Recording()
    asyncio.run(serve())
    assert lags(recording) == []


def test_measuring_the_loop_costs_less_than_a_thousandth_of_a_core() -> None:
    """The CPU of many timers in a row, each a turn of the loop, and of the same turns without the measurement."""

    async def turns(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            await asyncio.sleep(0.0001)
        return time.process_time() - began

    recording = Recording()
    bare = asyncio.run(turns(2000))

    async def measured() -> float:
        event_loop.measure(recording.context)
        await turns(2000)
        return await turns(2000)

    interval, event_loop.INTERVAL = event_loop.INTERVAL, 0.0001  # type: ignore[misc]
    try:
        with_timer = asyncio.run(measured())
    finally:
        event_loop.INTERVAL = interval  # type: ignore[misc]
        event_loop.stop()
    (point,) = lags(recording)
    assert point.count > 2000
    assert (with_timer - bare) / 2000 / interval < 0.001
