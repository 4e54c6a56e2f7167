"""Hops on this machine: settings, versions, sampling and the spool."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from blogauto_otel.cli.common import message, size
from blogauto_otel.cli.doctor.hop import Result, Run, broken, not_checked, ok, warning
from blogauto_otel.spool import location

SMALLEST_SPACE: Final = 16 * 2**20  # bytes


def settings(run: Run) -> Iterator[Result]:
    """Variables that cannot be used or contradict each other, and settings that keep everything from being sent."""
    found = run.settings
    who = f"{found.service_name} ({found.environment})"
    if found.sdk_disabled:
        yield broken("settings", f"{who}: {message('OTEL_SDK_DISABLED is set')}", message("remove OTEL_SDK_DISABLED"))
    elif not (found.traces_exporter or found.metrics_exporter or found.logs_exporter):
        yield broken(
            "settings", f"{who}: {message('no signal has an exporter')}", message("remove OTEL_*_EXPORTER=none")
        )
    elif run.problems:
        yield broken("settings", f"{who}: {'; '.join(run.problems)}", message("correct the variables that are named"))
    else:
        yield ok("settings", who)
    for note in run.notes:
        yield warning("settings", note)


def sampling(run: Run) -> Iterator[Result]:
    """Whether any trace is sampled."""
    found = run.settings
    if found.sampler is None:
        rate = found.sample_rate
        if rate == 0:
            yield broken(
                "sampling",
                message("BLOGAUTO_OTEL_SAMPLE_RATE is 0: no trace is exported"),
                message("set it to 0.1, or remove it"),
            )
        else:
            yield ok(
                "sampling",
                message("by environment") if rate is None else message("{rate} of the traces", rate=f"{rate:g}"),
            )
        return
    never = found.sampler.endswith("always_off") or (
        "ratio" in found.sampler and re.fullmatch(r"0*\.?0*", found.sampler_arg or "1") is not None
    )
    text = f"OTEL_TRACES_SAMPLER={found.sampler} {found.sampler_arg or ''}".rstrip()
    if never:
        yield broken(
            "sampling",
            message("{text}: no trace is exported", text=text),
            message("remove it, or choose parentbased_traceidratio with 0.1"),
        )
    elif found.sample_rate is not None:
        yield warning(
            "sampling",
            message("{text} decides, and BLOGAUTO_OTEL_SAMPLE_RATE has no effect", text=text),
            message("remove one of them"),
        )
    else:
        yield ok("sampling", text)


def versions(run: Run) -> Iterator[Result]:  # noqa: ARG001 - every hop takes the run
    """The interpreter, and packages of OpenTelemetry that do not belong together."""
    found = {
        re.sub(r"[-_.]+", "-", name).lower(): dist.version
        for dist in metadata.distributions()
        if (name := dist.metadata["Name"]) and "opentelemetry" in name.lower()
    }
    api, sdk = found.get("opentelemetry-api"), found.get("opentelemetry-sdk")
    text = f"Python {platform.python_version()}, OpenTelemetry API {api}, SDK {sdk}"
    if api is None or sdk is None:
        yield broken("versions", text, "pip install opentelemetry-api opentelemetry-sdk")
        return
    base = found.get("opentelemetry-instrumentation")
    other = sorted(
        f"{name} {version}"
        for name, version in found.items()
        if name.startswith("opentelemetry-instrumentation-") and _series(version) != _series(base or version)
    )
    if _series(api) != _series(sdk) or other:
        pair = f"API {api} with SDK {sdk}" if _series(api) != _series(sdk) else f"{', '.join(other)} beside {base}"
        yield warning(
            "versions",
            message("{versions}; of different releases: {pair}", versions=text, pair=pair),
            message("pip install --upgrade all opentelemetry-* together"),
        )
    else:
        yield ok("versions", text)


def instrumentations(run: Run) -> Iterator[Result]:  # noqa: ARG001 - every hop takes the run
    """Installed libraries without an instrumentation, and instrumentations beside ours."""
    from blogauto_otel.instrumentation import clients

    points = {point.name for point in metadata.entry_points(group=clients.GROUP)}
    missing = [name for name, point in clients.EXPECTED.items() if point not in points and _is_installed(name)]
    beside = ", ".join(sorted(points & set(clients.REPLACED)))
    if missing:
        extras = sorted({clients.EXTRAS.get(name, name) for name in missing})
        yield warning(
            "instrumentations",
            message("installed without an instrumentation: {libraries}", libraries=", ".join(missing)),
            f"pip install 'blogauto_otel[{','.join(extras)}]'",
        )
    elif beside:
        yield ok("instrumentations", message("complete; not used beside those of blogauto_otel: {names}", names=beside))
    else:
        yield ok("instrumentations", message("complete"))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def _series(version: str) -> tuple[str, ...]:
    """Major and minor: releases of the same pair of numbers belong together."""
    return tuple(version.split(".")[:2]) if "b" not in version else tuple(version.partition("b")[:1])


def spool(run: Run) -> Iterator[Result]:
    """Whether undelivered telemetry can be stored."""
    if not location.is_wanted(run.settings):
        yield not_checked("spool", message("off"))
        return
    candidates = location.candidates(run.settings, os.environ)
    usable = next((path for path in candidates if _is_writable(path)), None)
    if usable is None:
        tried = ", ".join(str(path) for path in candidates)
        yield broken(
            "spool",
            message("no directory is writable: {tried}", tried=tried),
            message("set BLOGAUTO_OTEL_SPOOL_DIR to a writable directory, or to off"),
        )
        return
    free = shutil.disk_usage(_existing(usable)).free
    if free < SMALLEST_SPACE:
        yield broken(
            "spool",
            message("{directory}: {size} free", directory=usable, size=size(free)),
            message("free disk space, or set BLOGAUTO_OTEL_SPOOL_DIR elsewhere"),
        )
    else:
        yield ok("spool", str(usable))


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _is_writable(path: Path) -> bool:
    existing = _existing(path)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
