"""How the machine stands, or the container when it has limits: CPU, memory, disk, connections.

Read from /proc and the control groups; by psutil where there is no /proc. Values are taken when somebody collects,
never on the event loop, and shared for a few seconds: a scrape beside the push must not shorten the window of the CPU.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from opentelemetry.metrics import CallbackOptions, Observation

from blogauto_otel import semconv
from blogauto_otel._guard import log_once, swallow
from blogauto_otel.api.catalogue import Kind, spec
from blogauto_otel.instrumentation import Context, Report, State

NAME: Final = "system"

# Seconds for which a value is shared by all who collect, and the shortest window of the CPU.
SHARED_FOR: Final = 5.0

T = TypeVar("T")


@dataclass(frozen=True)
class Roots:
    """Where the machine is looked at."""

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")
    disk: Path = Path("/")


@dataclass(frozen=True)
class Memory:
    """In bytes; `total` is the limit where there is one."""

    total: int
    available: int

    @property
    def used(self) -> int:
        """What cannot be taken without swapping."""
        return max(0, self.total - self.available)


@dataclass(frozen=True)
class CpuTime:
    """Seconds of CPU used so far, of how many there could have been; `of` says whose, as the two must not be mixed."""

    busy: float
    possible: float
    of: str


# --- control groups: https://docs.kernel.org/admin-guide/cgroup-v2.html, and cgroup-v1 ------------------------------


def _levels(roots: Roots, controller: str) -> Iterator[Path]:
    """Directories of our control group, innermost first: each of them may hold the limit that counts.

    A container sees its own group as the root of the file system, whatever path /proc names; then only the root exists.
    """
    base, path = roots.cgroup, None
    for line in _text(roots.proc / "self" / "cgroup").splitlines():
        controllers, colon, found = line.partition(":")[2].partition(":")
        if not colon:
            continue
        if controller in controllers.split(","):
            joint = (
                roots.cgroup / controllers
            )  # "cpu,cpuacct" is one directory, and not everywhere has it a second name
            base, path = joint if joint.is_dir() else roots.cgroup / controller, found
            break
        if not controllers:
            path = found
    if path is None:
        return
    inner = base / path.lstrip("/") if ".." not in path else base
    for level in (inner, *inner.parents):
        if level.is_dir():
            yield level
        if level == base:
            return


def _memory_limit(roots: Roots) -> tuple[int, Path] | None:
    """The tightest limit, in bytes, and where it stands."""
    limits = [
        (limit, level)
        for level in _levels(roots, "memory")
        if (limit := _number(level / "memory.max") or _number(level / "memory.limit_in_bytes")) is not None
    ]
    return min(limits, key=lambda found: found[0], default=None)


def _container_memory(limit: int, level: Path) -> Memory:
    """As Kubernetes counts: page cache that can be dropped at once is not in use."""
    stat = _pairs(level / "memory.stat")
    used = _number(level / "memory.current") or _number(level / "memory.usage_in_bytes") or 0
    reclaimable = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    return Memory(total=limit, available=max(0, limit - max(0, used - reclaimable)))


def _cpu_quota(roots: Roots) -> tuple[float, Path] | None:
    """The tightest quota, in cores, and where it stands."""
    quotas = [(cores, level) for level in _levels(roots, "cpu") if (cores := _cores(level)) is not None]
    return min(quotas, key=lambda found: found[0], default=None)


def _cores(level: Path) -> float | None:
    quota, _, period = _text(level / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(level / "cpu.cfs_quota_us"), _text(level / "cpu.cfs_period_us")
    if not quota.strip().isdigit() or not period.strip().isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _container_cpu(roots: Roots, cores: float, level: Path) -> CpuTime | None:
    possible = monotonic() * cores
    used = _pairs(level / "cpu.stat").get("usage_usec")
    if used is not None:
        return CpuTime(used / 1e6, possible, of=f"{level} {cores}")
    for accounting in _levels(roots, "cpuacct"):
        nanoseconds = _number(accounting / "cpuacct.usage")
        if nanoseconds is not None:
            return CpuTime(nanoseconds / 1e9, possible, of=f"{level} {cores}")
    return None


# --- what is measured -----------------------------------------------------------------------------------------------


def memory(roots: Roots) -> Memory | None:
    """Memory of the container when it has a limit below the host's, else of the host."""
    host = _host_memory(roots)
    limit = _memory_limit(roots)
    if limit is None or (host is not None and limit[0] >= host.total):
        return host
    own = _container_memory(*limit)
    return own if host is None else Memory(own.total, min(own.available, host.available))


def _host_memory(roots: Roots) -> Memory | None:
    found = _pairs(roots.proc / "meminfo")
    if "MemTotal:" in found:
        free = sum(found.get(key, 0) for key in ("MemFree:", "Buffers:", "Cached:"))  # before Linux 3.14
        return Memory(found["MemTotal:"] * 1024, found.get("MemAvailable:", free) * 1024)
    psutil = _psutil()
    if psutil is None:
        return None
    virtual = psutil.virtual_memory()
    return Memory(int(virtual.total), int(virtual.available))


def cpu_time(roots: Roots) -> CpuTime | None:
    """CPU of the container when it has a quota below the host's cores, else of the host."""
    quota = _cpu_quota(roots)
    if quota is not None and quota[0] < (os.cpu_count() or 1):
        own = _container_cpu(roots, *quota)
        if own is not None:
            return own
    first, _, _ = _text(roots.proc / "stat").partition("\n")
    ticks = [int(word) for word in first.split()[1:9]]  # the guests' time is part of the user's
    if len(ticks) >= 5:
        return CpuTime(sum(ticks) - ticks[3] - ticks[4], sum(ticks), of="host")
    psutil = _psutil()
    if psutil is None:
        return None
    times = psutil.cpu_times()
    return CpuTime(sum(times) - times.idle - getattr(times, "iowait", 0.0), sum(times), of="host")


def disk_percent(roots: Roots) -> float:
    """Used space as `df` has it: of what is not reserved for root."""
    usage = shutil.disk_usage(roots.disk)
    return 100.0 * usage.used / max(1, usage.used + usage.free)


def tcp_connections(roots: Roots) -> int | None:
    """Open TCP connections of this network namespace: one line of text however many there are."""
    lines = [line.split() for line in _text(roots.proc / "net" / "snmp").splitlines() if line.startswith("Tcp:")]
    if len(lines) == 2 and "CurrEstab" in lines[0]:
        return int(lines[1][lines[0].index("CurrEstab")])
    in_use = [_after(_text(roots.proc / "net" / name), "inuse") for name in ("sockstat", "sockstat6")]
    if any(count is not None for count in in_use):
        return sum(count or 0 for count in in_use)
    psutil = _psutil()
    if psutil is None:
        return None
    return len([one for one in psutil.net_connections(kind="tcp") if one.status == "ESTABLISHED"])


def _after(text: str, word: str) -> int | None:
    """The number after `word` in the line on TCP."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in ("TCP:", "TCP6:") and word in words[:-1]:
            return int(words[words.index(word) + 1])
    return None


def _text(path: Path) -> str:
    """What a file of the kernel says; nothing where it has no such file."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""


def _number(path: Path) -> int | None:
    word = _text(path).strip()
    return int(word) if word.isdigit() else None


def _pairs(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    lines = (line.split() for line in _text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) >= 2 and words[1].isdigit()}


def _psutil() -> Any:
    """Psutil, or None where it is not there or does not work; asked only where /proc has no answer."""
    try:
        import psutil
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a compiled package can fail to import in any way
        log_once(
            "psutil", "psutil cannot be used (%s: %s): no system metrics but the disk", type(error).__name__, error
        )
        return None
    return psutil


# --- sharing --------------------------------------------------------------------------------------------------------


class _Shared(Generic[T]):
    """A value that is taken at most once every few seconds, however many collect."""

    def __init__(self, take: Callable[[], T]) -> None:
        self._take = take
        self._lock = threading.RLock()  # a signal handler may collect in the middle of a collection
        self._value: T | None = None
        self._until = float("-inf")

    def get(self) -> T:
        with self._lock:
            if self._value is None or monotonic() >= self._until:
                self._value = self._take()
                self._until = monotonic() + SHARED_FOR
            return self._value


class _System:
    """Samples of one process; a forked child begins with its own."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._before = self._now()
        self._memory = _Shared(lambda: memory(roots))
        self._cpu = _Shared(self._cpu_percent)
        self._disk = _Shared(lambda: disk_percent(roots))
        self._tcp = _Shared(lambda: tcp_connections(roots))

    def readings(self) -> Mapping[str, Callable[[], float | None]]:
        """How to read each gauge, by its name in the catalogue."""
        return {
            "cpu.usage": self._cpu.get,
            "memory.usage": lambda: found.used if (found := self._memory.get()) else None,
            "memory.available": lambda: found.available if (found := self._memory.get()) else None,
            "memory.total": lambda: found.total if (found := self._memory.get()) else None,
            "disk.usage": self._disk.get,
            "active_connections": self._tcp.get,
        }

    def _now(self) -> CpuTime | None:
        try:
            return cpu_time(self._roots)
        except (OSError, ValueError):
            return None  # told when it is collected

    def _cpu_percent(self) -> float | None:
        """Since the last look; where nothing has passed since then, since the machine started."""
        before, now = self._before, cpu_time(self._roots)
        self._before = now
        if now is None:
            return None
        if before is None or before.of != now.of or now.possible - before.possible <= 0:
            before = CpuTime(0.0, 0.0, now.of)
        return min(100.0, max(0.0, 100.0 * (now.busy - before.busy) / max(1e-9, now.possible - before.possible)))


# --- on and off -----------------------------------------------------------------------------------------------------

_ATTRIBUTES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({"active_connections": {"type": "tcp"}})

_system: _System | None = None
_failed: set[str] = set()


def instrument(context: Context, *, roots: Roots | None = None) -> Report:
    """Observe the machine from now on."""
    global _system
    if not context.settings.system_metrics:
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_SYSTEM_METRICS")
    places = roots or Roots()
    _system = _System(places)
    _failed.clear()
    meter = context.meter_provider.get_meter(semconv.SCOPE_SYSTEM)
    create = {
        Kind.OBSERVABLE_GAUGE: meter.create_observable_gauge,
        Kind.OBSERVABLE_UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
    }
    for name in _system.readings():
        metric = spec(name)
        create[metric.kind](
            metric.otel_name(context.settings.namespace),
            [_observing(name, _ATTRIBUTES.get(name, {}))],
            unit=metric.unit,
            description=metric.description,
        )
    return _report(places)


def _observing(name: str, attributes: Mapping[str, str]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """A gauge that cannot be read is left out, told once, and costs the others nothing."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        if _system is None:
            return ()
        try:
            value = _system.readings()[name]()
        except (Exception, SystemExit) as error:
            if not isinstance(error, (OSError, ValueError, IndexError)) and not swallow(f"measuring {name}", error):
                raise
            _tell_once(name, error)
            return ()
        return () if value is None else (Observation(value, dict(attributes)),)

    return observe


def _tell_once(name: str, error: BaseException) -> None:
    if name not in _failed:
        _failed.add(name)
        log_once(f"system {name}", "%s cannot be measured here: %s: %s", name, type(error).__name__, error)


def _report(roots: Roots) -> Report:
    if not _text(roots.proc / "stat"):
        if _psutil() is None:
            return Report(NAME, State.MISSING, "neither /proc nor psutil: only the disk is measured")
        return Report(NAME, State.ON, "by psutil")
    host, limit, quota = _host_memory(roots), _memory_limit(roots), _cpu_quota(roots)
    said = []
    if limit is not None and (host is None or limit[0] < host.total):
        said.append(f"memory limit {limit[0] // 2**20} MiB")
    if quota is not None and quota[0] < (os.cpu_count() or 1):
        said.append(f"CPU quota {quota[0]:g} cores")
    return Report(NAME, State.ON, ", ".join(said))


def uninstrument() -> None:
    """Observe nothing any more; the instruments stay, and are silent."""
    global _system
    _system = None


def after_fork_in_child() -> None:
    """A lock may have been held when the process forked, and the child's window begins now."""
    global _system
    if _system is not None:
        _system = _System(_system._roots)
