"""Readings of the host, or of the container when it has limits: CPU, memory, disk, connections.

They come from /proc and the control groups, and from psutil where there is no /proc.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import log_once


@dataclass(frozen=True)
class Roots:
    """Where the files of the kernel are, and the disk."""

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
    """Seconds of CPU used so far, and the seconds possible; `of` names whose, because the two must not be mixed."""

    busy: float
    possible: float
    of: str


# --- control groups: https://docs.kernel.org/admin-guide/cgroup-v2.html, and cgroup-v1 ------------------------------


def _levels(roots: Roots, controller: str) -> Iterator[Path]:
    """Directories of our control group, innermost first: each of them may hold the limit in force.

    A container sees its own group as the root of the file system, whatever path /proc names; then only the root exists.
    """
    base, path = roots.cgroup, None
    for line in text_of(roots.proc / "self" / "cgroup").splitlines():
        controllers, colon, found = line.partition(":")[2].partition(":")
        if not colon:
            continue
        if controller in controllers.split(","):
            joint = roots.cgroup / controllers  # "cpu,cpuacct" is one directory, not everywhere with a second name
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


def memory_limit(roots: Roots) -> tuple[int, Path] | None:
    """The tightest limit, in bytes, and its directory."""
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


def cpu_quota(roots: Roots) -> tuple[float, Path] | None:
    """The tightest quota, in cores, and its directory."""
    quotas = [(cores, level) for level in _levels(roots, "cpu") if (cores := _cores(level)) is not None]
    return min(quotas, key=lambda found: found[0], default=None)


def _cores(level: Path) -> float | None:
    quota, _, period = text_of(level / "cpu.max").partition(" ")
    if not quota:
        quota, period = text_of(level / "cpu.cfs_quota_us"), text_of(level / "cpu.cfs_period_us")
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


# --- readings ----------------------------------------------------------------------------------------------------


def memory(roots: Roots) -> Memory | None:
    """Memory of the container when it has a limit below the host's, else of the host."""
    host = host_memory(roots)
    limit = memory_limit(roots)
    if limit is None or (host is not None and limit[0] >= host.total):
        return host
    own = _container_memory(*limit)
    return own if host is None else Memory(own.total, min(own.available, host.available))


def host_memory(roots: Roots) -> Memory | None:
    """Memory of the host, whatever limits the container has."""
    found = _pairs(roots.proc / "meminfo")
    if "MemTotal:" in found:
        free = sum(found.get(key, 0) for key in ("MemFree:", "Buffers:", "Cached:"))  # before Linux 3.14
        return Memory(found["MemTotal:"] * 1024, found.get("MemAvailable:", free) * 1024)
    psutil = psutil_or_none()
    if psutil is None:
        return None
    virtual = psutil.virtual_memory()
    return Memory(int(virtual.total), int(virtual.available))


def cpu_time(roots: Roots) -> CpuTime | None:
    """CPU of the container when it has a quota below the host's cores, else of the host."""
    quota = cpu_quota(roots)
    if quota is not None and quota[0] < (os.cpu_count() or 1):
        own = _container_cpu(roots, *quota)
        if own is not None:
            return own
    first, _, _ = text_of(roots.proc / "stat").partition("\n")
    ticks = [int(word) for word in first.split()[1:9]]  # the guests' time is part of the user's
    if len(ticks) >= 5:
        return CpuTime(sum(ticks) - ticks[3] - ticks[4], sum(ticks), of="host")
    psutil = psutil_or_none()
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
    lines = [line.split() for line in text_of(roots.proc / "net" / "snmp").splitlines() if line.startswith("Tcp:")]
    if len(lines) == 2 and "CurrEstab" in lines[0]:
        return int(lines[1][lines[0].index("CurrEstab")])
    in_use = [_after(text_of(roots.proc / "net" / name), "inuse") for name in ("sockstat", "sockstat6")]
    if any(count is not None for count in in_use):
        return sum(count or 0 for count in in_use)
    psutil = psutil_or_none()
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


def text_of(path: Path) -> str:
    """The content of a file of the kernel; empty where it has no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""


def _number(path: Path) -> int | None:
    word = text_of(path).strip()
    return int(word) if word.isdigit() else None


def _pairs(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    lines = (line.split() for line in text_of(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) >= 2 and words[1].isdigit()}


def psutil_or_none() -> Any:
    """Psutil, or None where it is not installed or does not import; only where /proc has no answer."""
    try:
        import psutil
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a compiled package can fail to import in any way
        log_once(
            "psutil", "psutil cannot be used (%s: %s): no system metrics but the disk", type(error).__name__, error
        )
        return None
    return psutil
