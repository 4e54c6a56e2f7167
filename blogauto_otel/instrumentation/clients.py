"""The OpenTelemetry instrumentations installed beside us, switched on, except those that would tell things twice.

They come by the entry point group `opentelemetry_instrumentor`, as under the launcher; what is in `DOUBLES` stays off,
because ours records the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from importlib import util
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation import Context, Report, State, conventions
from blogauto_otel.instrumentation.imports import when_imported

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from blogauto_otel.config import Settings

NAME: Final = "clients"
GROUP: Final = "opentelemetry_instrumentor"

_REQUESTS: Final = "requests are recorded by blogauto_otel"
_LINES: Final = "log records are exported by blogauto_otel"
_STATEMENTS: Final = "statements are recorded above it, at SQLAlchemy"

# Instrumentations that record what ours records, by entry point name, and why they stay off.
DOUBLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "asgi": _REQUESTS,
        "fastapi": _REQUESTS,
        "starlette": _REQUESTS,
        "sqlalchemy": "statements are recorded by blogauto_otel",
        "logging": _LINES,
        "structlog": _LINES,
        "system_metrics": "the system is measured by blogauto_otel",
        "threading": "context is carried by blogauto_otel",
        "asyncio": "it taxes every task and names metrics after coroutines",
    }
)

# Drivers below SQLAlchemy: doubles only where SQLAlchemy is there and recorded.
DRIVERS: Final = frozenset(
    {
        "aiopg",
        "asyncpg",
        "dbapi",
        "mysql",
        "mysqlclient",
        "psycopg",
        "psycopg2",
        "pymssql",
        "pymysql",
        "sqlite3",
    }
)

# Libraries whose users expect spans: import name and entry point name, so that a missing instrumentation is named.
# Each has an extra called like the library: a contrib package by itself would bring its own pair of OpenTelemetry.
EXPECTED: Final[Mapping[str, str]] = MappingProxyType(
    {"httpx": "httpx", "requests": "requests", "aiohttp": "aiohttp-client", "redis": "redis", "celery": "celery"}
)

# What to wait for, where the entry point is not called like the library.
LIBRARIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aiohttp-client": "aiohttp",
        "aiohttp-server": "aiohttp",
        "grpc_aio_client": "grpc",
        "grpc_aio_server": "grpc",
        "grpc_client": "grpc",
        "grpc_server": "grpc",
    }
)

_switched_on: list[Any] = []
_awaited: set[str] = set()  # entry points whose library nobody has imported yet


def decide(name: str, settings: Settings) -> Report | None:
    """Why the instrumentation with this entry point name stays off; `None`: switch it on."""
    disabled = settings.disabled_instrumentations
    if "*" in disabled or name in disabled:
        return Report(name, State.OFF, "by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
    if name in DOUBLES:
        return Report(name, State.SKIPPED, DOUBLES[name])
    if name in DRIVERS and settings.sqlalchemy != "off" and "sqlalchemy" not in disabled and _is_there("sqlalchemy"):
        return Report(name, State.SKIPPED, _STATEMENTS)
    return None


def instrument(context: Context) -> Report:
    """Switch on what is installed; the report names each."""
    if not context.settings.clients:
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_CLIENTS")
    return _summary(reports(context))


def reports(context: Context) -> tuple[Report, ...]:
    """One report for each instrumentation that is installed, and for each that is expected and not installed."""
    found = {name: _switch_on(point, context) for name, point in sorted(_entry_points().items())}
    missing = (
        Report(point, State.MISSING, f'pip install "blogauto_otel[{library}]"')
        for library, point in EXPECTED.items()
        if point not in found and decide(point, context.settings) is None and _is_there(library)
    )
    return (*found.values(), *missing)


def uninstrument() -> None:
    """Switch off what `instrument` switched on."""
    _awaited.clear()
    while _switched_on:
        with guard("switching an instrumentation off"):
            instrumentor = _switched_on.pop()
            conventions.leave(*_packages_of(instrumentor))
            instrumentor.uninstrument()


def _entry_points() -> dict[str, EntryPoint]:
    """By name: the launcher, too, lets one distribution speak for a name."""
    from blogauto_otel._otel import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _switch_on(point: EntryPoint, context: Context) -> Report:
    decided = decide(point.name, context.settings)
    if decided is not None:
        return decided
    try:
        return _conflict_of(point) or _when_imported(point, context)
    except ModuleNotFoundError as error:
        return Report(point.name, State.MISSING, _said_by(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code failed in whatever way: that costs its spans only
        return Report(point.name, State.BROKEN, f"{type(error).__name__}: {error}")


def _said_by(error: ModuleNotFoundError) -> str:
    return f"{error.name} is not installed" if error.name else str(error)


def _conflict_of(point: EntryPoint) -> Report | None:
    """What the instrumentation says of the library's version, read from metadata: nothing is imported for it."""
    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

    conflict = get_dist_dependency_conflicts(point.dist) if point.dist is not None else None
    if conflict is None:
        return None
    found = conflict.found or ", ".join(map(str, conflict.found_any or ()))
    wanted = conflict.required or " or ".join(map(str, conflict.required_any or ()))
    if found:
        return Report(point.name, State.WRONG_VERSION, f"{found}; it takes {_without_marker(wanted)}")
    return Report(point.name, State.MISSING, f"{_without_marker(wanted)} is not installed")


def _without_marker(requirement: object) -> str:
    return str(requirement).partition(";")[0].strip()


def _when_imported(point: EntryPoint, context: Context) -> Report:
    """Now, if the library is imported; else when it is: importing redis and httpx for nobody costs a quarter second."""
    library = LIBRARIES.get(point.name, point.name)
    if not _is_there(library) and library in _wanted_by(point):  # one package for httpx and httpx2, and one is there
        return Report(point.name, State.MISSING, f"{library} is not installed")
    if library in sys.modules or not _is_there(library):
        return _load(point, context)

    def load(_: object) -> None:
        if point.name in _awaited:
            _awaited.discard(point.name)
            with guard(f"instrumenting {point.name}"):
                _load(point, context)

    _awaited.add(point.name)
    when_imported(library, load)
    return Report(point.name, State.ON, "when it is imported")


def _wanted_by(point: EntryPoint) -> frozenset[str]:
    requires = point.dist.requires if point.dist is not None else None
    return frozenset(re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requires or ())


def _load(point: EntryPoint, context: Context) -> Report:
    instrumentor = point.load()()
    if getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
        return Report(point.name, State.ON, "already")
    conventions.prefer_stable(*_packages_of(instrumentor))
    instrumentor.instrument(
        skip_dep_check=True,
        tracer_provider=context.tracer_provider,
        meter_provider=context.meter_provider,
        logger_provider=context.logger_provider,
    )
    _switched_on.append(instrumentor)
    return Report(point.name, State.ON)


def _packages_of(instrumentor: Any) -> tuple[str, ...]:
    """Whose questions about conventions are the instrumentor's: drivers ask through `dbapi`."""
    package = type(instrumentor).__module__.removeprefix(conventions.ROOT).partition(".")[0]
    return (package, "dbapi") if package in DRIVERS else (package,)


def _is_there(module: str) -> bool:
    try:
        return sys.modules[module] is not None if module in sys.modules else util.find_spec(module) is not None
    except ValueError:  # a module that was put in place by hand has no spec
        return True


def _summary(all_reports: tuple[Report, ...]) -> Report:
    """All of it as one report: `httpx, requests; missing: redis (pip install ...); skipped: fastapi`."""
    worst = next((state for state in _IN_ORDER if any(report.state is state for report in all_reports)), State.MISSING)
    return Report(NAME, worst, "; ".join(_lines(all_reports)) or "no instrumentation is installed")


_IN_ORDER: Final = (State.ON, State.BROKEN, State.WRONG_VERSION, State.MISSING, State.SKIPPED, State.OFF)
# States whose reason is the same for all, or told elsewhere. Of the missing, only what to install is worth the room.
_WITHOUT_REASON: Final = frozenset({State.ON, State.SKIPPED, State.OFF})


def _lines(all_reports: tuple[Report, ...]) -> Iterator[str]:
    for state in _IN_ORDER:
        names = [report.name + _reason(report) for report in all_reports if report.state is state]
        if names:
            yield ("" if state is State.ON else f"{state.value}: ") + ", ".join(names)


def _reason(report: Report) -> str:
    is_told = report.state not in _WITHOUT_REASON and (report.state is not State.MISSING or "pip" in report.detail)
    return f" ({report.detail})" if is_told and report.detail else ""
