"""The OpenTelemetry instrumentations that are installed, switched on unless they would duplicate our telemetry.

They are found by the entry point group `opentelemetry_instrumentor`, as the launcher finds them.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib import util
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._guard import guard, log_once
from blogauto_otel._process import register
from blogauto_otel.instrumentation import Context, Report, State, ai, client_hooks, conventions
from blogauto_otel.instrumentation.import_hooks import when_imported

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from blogauto_otel.config import Settings

NAME: Final = "clients"
GROUP: Final = "opentelemetry_instrumentor"

_REQUESTS: Final = "requests are recorded by blogauto_otel"
_LOGS: Final = "log records are exported by blogauto_otel"
_STATEMENTS: Final = "statements are recorded by blogauto_otel, at SQLAlchemy"

# Instrumentations that would duplicate our telemetry, by entry point name, and why they stay off.
REPLACED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "asgi": _REQUESTS,
        "fastapi": _REQUESTS,
        "starlette": _REQUESTS,
        "sqlalchemy": "statements are recorded by blogauto_otel",
        "logging": _LOGS,
        "structlog": _LOGS,
        "system_metrics": "the system is measured by blogauto_otel",
        "threading": "context is propagated by blogauto_otel",
        "asyncio": "it slows down every task and names metrics after coroutines",
    }
)

# Drivers below SQLAlchemy: duplicates only where SQLAlchemy is installed and recorded.
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
    {
        "httpx": "httpx",
        "httpx2": "httpx2",
        "requests": "requests",
        "aiohttp": "aiohttp-client",
        "redis": "redis",
        "celery": "celery",
        "openai": "openai",
        "anthropic": "anthropic",
        "google.genai": "google-genai",
    }
)

# Extras that are not called like the library: one package instruments both versions of httpx.
EXTRAS: Final[Mapping[str, str]] = MappingProxyType({"httpx2": "httpx", "google.genai": "google-genai"})

# What to wait for, where the entry point is not called like the library.
LIBRARIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aiohttp-client": "aiohttp",
        "aiohttp-server": "aiohttp",
        "google-genai": "google.genai",
        "grpc_aio_client": "grpc",
        "grpc_aio_server": "grpc",
        "grpc_client": "grpc",
        "grpc_server": "grpc",
    }
)


class _State:
    """What was switched on, by entry point name."""

    def __init__(self) -> None:
        self.reports: dict[str, Report] = {}
        self.instrumentors: list[Any] = []
        self.waiting: set[str] = set()  # entry points whose library is not imported yet

    def reset(self) -> None:
        """Switch off what `instrument` switched on."""
        self.waiting.clear()
        self.reports.clear()
        while self.instrumentors:
            with guard("switching an instrumentation off"):
                instrumentor = self.instrumentors.pop()
                conventions.forget(*_packages_of(instrumentor))
                instrumentor.uninstrument()


class _Loading(threading.local):
    """The entry points that a thread has to load; loading one may import the library of another."""

    def __init__(self) -> None:
        self.is_busy = False
        self.points: list[tuple[EntryPoint, Context]] = []


_state: Final = register(_State())
_loading: Final = _Loading()


def decide(name: str, settings: Settings) -> Report | None:
    """Why the instrumentation with this entry point name stays off, or None to switch it on."""
    disabled = settings.disabled_instrumentations
    if "*" in disabled or name in disabled:
        return Report(name, State.OFF, "by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
    if name in REPLACED:
        return Report(name, State.SKIPPED, REPLACED[name])
    if name in DRIVERS and settings.sqlalchemy != "off" and "sqlalchemy" not in disabled and _is_found("sqlalchemy"):
        return Report(name, State.SKIPPED, _STATEMENTS)
    return None


def instrument(context: Context) -> Report:
    """Switch on what is installed; the report names each."""
    if not context.settings.clients:
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_CLIENTS")
    summary = _summary(reports(context))
    client_hooks.log_unused(context, _instrumented())
    return summary


def reports(context: Context) -> tuple[Report, ...]:
    """One report for each instrumentation that is installed, and for each that is expected and not installed."""
    _state.reports.clear()
    points = _entry_points()
    for name, point in sorted(points.items()):
        _state.reports[name] = _switch_on(point, context)
    for library, name in EXPECTED.items():
        if name not in points and decide(name, context.settings) is None and _is_found(library):
            detail = f'pip install "blogauto_otel[{EXTRAS.get(library, library)}]"'
            _state.reports[name] = Report(name, State.MISSING, detail)
    return tuple(_state.reports.values())


def report() -> Report | None:
    """The current report: a library that was imported since `instrument` may have failed to be instrumented."""
    return _summary(tuple(_state.reports.values())) if _state.reports else None


def uninstrument() -> None:
    """Switch off what `instrument` switched on."""
    _state.reset()


def _instrumented() -> frozenset[str]:
    return frozenset(name for name, report in _state.reports.items() if report.state is State.ON)


def _entry_points() -> dict[str, EntryPoint]:
    """The entry points by name; of several with one name, one is used, as in OpenTelemetry's launcher."""
    from blogauto_otel._otel import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _switch_on(point: EntryPoint, context: Context) -> Report:
    decided = decide(point.name, context.settings)
    if decided is not None:
        return decided
    try:
        return _missing(point) or _when_imported(point, context)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - another package's metadata: a failure costs its spans only
        return _failed(point, error)


def _failed(point: EntryPoint, error: BaseException) -> Report:
    if isinstance(error, ModuleNotFoundError):
        return Report(point.name, State.MISSING, f"{error.name} is not installed" if error.name else str(error))
    return Report(point.name, State.BROKEN, f"{type(error).__name__}: {error}")


def _conflict_of(point: EntryPoint) -> Report | None:
    """The conflict of the library's version with the instrumentation's metadata, for which nothing is imported."""
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


def _missing(point: EntryPoint) -> Report | None:
    """The report of an instrumentation whose library is known by name, and not there."""
    library = LIBRARIES.get(point.name, point.name)
    if _is_found(library):
        return None
    is_known = point.name in LIBRARIES or library in _required_by(point)  # one package instruments httpx and httpx2
    return Report(point.name, State.MISSING, f"{library} is not installed") if is_known else None


def _when_imported(point: EntryPoint, context: Context) -> Report:
    """Now, if the library is imported; else when it is: importing redis and httpx unused costs a quarter second.

    Its version is examined then too: reading and comparing versions would be a fifth of the start.
    """
    library = LIBRARIES.get(point.name, point.name)
    if library in sys.modules or not _is_found(library):
        return _load_now(point, context)

    def load(_: object) -> None:
        if point.name in _state.waiting:
            _state.waiting.discard(point.name)
            with guard(f"instrumenting {point.name}"):
                report = _load_now(point, context)
                if report.state is State.WRONG_VERSION:  # long after the status was logged
                    log_once(f"instrumentation {point.name}", "%s is not instrumented: %s", point.name, report.detail)

    _state.waiting.add(point.name)
    when_imported(library, load)
    return Report(point.name, State.ON, "when it is imported")


def _required_by(point: EntryPoint) -> frozenset[str]:
    requires = point.dist.requires if point.dist is not None else None
    return frozenset(re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requires or ())


def _load_now(point: EntryPoint, context: Context) -> Report:
    """Load this instrumentation, and those whose libraries it imports afterwards.

    The instrumentation of httpx imports httpx2 as well, at a moment at which it cannot be used itself.
    """
    _loading.points.append((point, context))
    if not _loading.is_busy:
        _loading.is_busy = True
        try:
            while _loading.points:
                each, its_context = _loading.points.pop(0)
                _state.reports[each.name] = _try_load(each, its_context)
        finally:
            _loading.is_busy = False
    return _state.reports[point.name]


def _try_load(point: EntryPoint, context: Context) -> Report:
    try:
        return _load(point, context)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - another package's code: a failure costs its spans only
        report = _failed(point, error)
        if report.state is State.BROKEN:  # perhaps long after the status was logged
            log_once(f"instrumentation {point.name}", "the instrumentation of %s fails: %s", point.name, report.detail)
        return report


def _load(point: EntryPoint, context: Context) -> Report:
    conflict = _conflict_of(point)
    if conflict is not None:
        return conflict
    instrumentor = point.load()()
    if getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
        return Report(point.name, State.ON, "already")
    conventions.prefer_stable(*_packages_of(instrumentor))
    instrumentor.instrument(
        skip_dep_check=True,
        tracer_provider=ai.tracer_provider_for(point.name, context.tracer_provider),
        meter_provider=ai.meter_provider_for(point.name, context.meter_provider),
        logger_provider=context.logger_provider,
        **client_hooks.arguments(point.name, context),
    )
    ai.count_streamed_tokens_once(point.name)
    _state.instrumentors.append(instrumentor)
    return Report(point.name, State.ON)


def _packages_of(instrumentor: Any) -> tuple[str, ...]:
    """The packages that choose conventions for the instrumentor: drivers do it in `dbapi`."""
    package = type(instrumentor).__module__.removeprefix(conventions.ROOT).partition(".")[0]
    return (package, "dbapi") if package in DRIVERS else (package,)


def _is_found(module: str) -> bool:
    try:
        return sys.modules[module] is not None if module in sys.modules else util.find_spec(module) is not None
    except ValueError:  # a module that was put in place by hand has no spec
        return True
    except ImportError:  # the package around it is missing
        return False


def _summary(all_reports: tuple[Report, ...]) -> Report:
    """All of it as one report: `httpx, requests; missing: redis (pip install ...); skipped: fastapi`."""
    first = next((state for state in _IN_ORDER if any(report.state is state for report in all_reports)), State.MISSING)
    return Report(NAME, first, "; ".join(_by_state(all_reports)) or "no instrumentation is installed")


_IN_ORDER: Final = (State.ON, State.BROKEN, State.WRONG_VERSION, State.MISSING, State.SKIPPED, State.OFF)
# States whose reason is the same for all, or stated elsewhere. Of the missing, only what to install is worth the space.
_WITHOUT_REASON: Final = frozenset({State.ON, State.SKIPPED, State.OFF})


def _by_state(all_reports: tuple[Report, ...]) -> Iterator[str]:
    for state in _IN_ORDER:
        names = [report.name + _reason(report) for report in all_reports if report.state is state]
        if names:
            yield ("" if state is State.ON else f"{state.value}: ") + ", ".join(names)


def _reason(report: Report) -> str:
    has_reason = report.state not in _WITHOUT_REASON and (report.state is not State.MISSING or "pip" in report.detail)
    return f" ({report.detail})" if has_reason and report.detail else ""
