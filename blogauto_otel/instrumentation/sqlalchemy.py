"""SQL statements as spans and durations, for every SQLAlchemy engine of the process, sync or async, old or new.

Three methods of `Connection` are wrapped by class: SQLAlchemy runs every statement through one of them. Public events
would cost 23 us a statement by existing, where a wrapper costs 1, and they leave a span open when a statement is
cancelled (docs/decisions/0020). The span is made when the statement has ended, with its true start.
"""

from __future__ import annotations

import inspect
import re
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from time import perf_counter, time_ns
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_current
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, get_current_span
from opentelemetry.util.types import AttributeValue

from blogauto_otel import semconv
from blogauto_otel._guard import guard, guarded, swallow, tell
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.instrumentation.sqltext import gist, without_values

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect, Engine
    from sqlalchemy.pool import Pool

    from blogauto_otel.redaction import Redactor

NAME: Final = "sqlalchemy"
OLDEST: Final = (2, 0)

# SQLAlchemy's dialect names in the words of the semantic conventions; other names are their own.
SYSTEMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mssql": "microsoft.sql_server",
        "oracle": "oracle.db",
        "redshift": "aws.redshift",
        "db2": "ibm.db2",
        "ibm_db_sa": "ibm.db2",
        "hana": "sap.hana",
        "firebird": "firebirdsql",
        "spanner": "gcp.spanner",
        "clickhousedb": "clickhouse",
    }
)

# https://opentelemetry.io/docs/specs/semconv/db/database-metrics/: the advised edges, in seconds.
BOUNDARIES: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

# A connect or a commit is a span of its own when it failed, or made its request wait for as long as a person notices.
WORTH_A_SPAN: Final = 0.1

# Statements remembered per database, twice over; what comes later pushes out what was not used since.
MAX_STATEMENTS: Final = 500
MAX_MESSAGE: Final = 256

Attributes = dict[str, AttributeValue]


# --- what is said of a database and of a statement: worked out once -------------------------------------------------


@dataclass(frozen=True)
class _Statement:
    """A statement as its spans and its points name it."""

    name: str
    span: Attributes
    point: Attributes


class _Database:
    """Where statements of one engine go, and the statements seen there."""

    def __init__(self, engine: Engine, *, redactor: Redactor, max_text: int) -> None:
        self._dialect = engine.dialect.name
        self._redactor = redactor
        self._max_text = max_text
        self.attributes = _of_engine(engine, redactor)
        self._recent: dict[tuple[str, bool], _Statement] = {}
        self._older: dict[tuple[str, bool], _Statement] = {}

    def statement(self, text: str, *, batched: bool) -> _Statement:
        """What is known of a statement; read once, then remembered."""
        key = (text if len(text) <= self._max_text else text[: self._max_text], batched)
        found = self._recent.get(key)
        return found if found is not None else self._remember(key, whole=len(key[0]) == len(text))

    def _remember(self, key: tuple[str, bool], *, whole: bool) -> _Statement:
        found = self._older.get(key) or self._read(*key, whole=whole)
        if len(self._recent) >= MAX_STATEMENTS:
            self._older, self._recent = self._recent, {}
        self._recent[key] = found
        return found

    def _read(self, text: str, batched: bool, *, whole: bool) -> _Statement:
        bare = self._redactor.text(without_values(text, self._dialect))
        about = gist(bare)
        batch = "BATCH " if batched else ""
        point = dict(self.attributes)
        if about.operation:
            point["db.operation.name"] = batch + about.operation
        if about.collection:
            point["db.collection.name"] = about.collection
        span = {**point, "db.query.text": bare if whole else bare + "..."}
        if about.summary:
            span["db.query.summary"] = batch + about.summary
        return _Statement(batch + about.summary if about.summary else str(point["db.system.name"]), span, point)


def _of_engine(engine: Engine, redactor: Redactor) -> Attributes:
    """The address of a database, never its user or password."""
    url, dialect = engine.url, engine.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    found: Attributes = {"db.system.name": SYSTEMS.get(name, name)}
    namespace = url.database or (":memory:" if dialect.name == "sqlite" else None)
    if namespace:
        found["db.namespace"] = redactor.text(namespace)
    host = url.host or url.query.get("host")
    if isinstance(host, str) and host:
        found["server.address"] = host
        if url.port:
            found["server.port"] = url.port
    return found


def _pool_name(pool: Pool, engine: Engine, redactor: Redactor) -> str:
    """The semantic conventions' name of a pool that has none: `server.address:server.port/db.namespace`."""
    if pool.logging_name:
        return str(pool.logging_name)
    known = _of_engine(engine, redactor)
    place = ":".join(str(known[key]) for key in ("server.address", "server.port") if key in known)
    return f"{place or known['db.system.name']}/{known.get('db.namespace', '')}"


# --- what is said of a failure --------------------------------------------------------------------------------------

# Messages of databases quote the value that was refused: these are the ways they do it. A quoted value may hold quotes,
# so it ends at the last one of the line; one that was cut has none.
_QUOTED_VALUES: Final = re.compile(
    r"""
    (?<!\w)'(?:.*'(?!\w)|.*\Z)
    | (?:(?<=value\ )|(?<=:\ ))"(?:.*"|.*\Z)
    | (?:(?<=value\ is\ )|(?<==))\((?:.*\)|.*\Z)
    """,
    re.VERBOSE,
)


def _failure(error: BaseException) -> Attributes:
    """`error.type`, the driver's own exception, and the database's code for it."""
    cause = _driver_error(error)
    found: Attributes = {"error.type": f"{type(cause).__module__}.{type(cause).__qualname__}"}
    code = _status_code(error)
    if code:
        found["db.response.status_code"] = code
    return found


def _driver_error(error: BaseException) -> BaseException:
    """SQLAlchemy wraps the driver's exception, and for asyncpg wraps it twice."""
    original = getattr(error, "orig", None) or error
    if type(original).__module__.startswith("sqlalchemy.") and isinstance(original.__cause__, Exception):
        return original.__cause__
    return original if isinstance(original, BaseException) else error


def _status_code(error: BaseException) -> str | None:
    """SQLSTATE where there is one (PostgreSQL, ODBC), else the number or name of MySQL, Oracle and SQLite."""
    original = getattr(error, "orig", None) or error
    for attribute in ("sqlstate", "pgcode", "sqlite_errorname"):
        value = getattr(original, attribute, None)
        if isinstance(value, str) and value:
            return value
    first = original.args[0] if getattr(original, "args", None) else None
    code = getattr(first, "full_code", first)
    is_code = isinstance(code, int) or (isinstance(code, str) and re.fullmatch(r"[A-Z0-9]{5}|[A-Z]{3}-\d+", code))
    return str(code) if is_code and not isinstance(code, bool) else None


def _message(error: BaseException, redactor: Redactor) -> str:
    """What the database said, without the statement, its parameters and the values it quotes."""
    original = getattr(error, "orig", None) or error
    arguments: tuple[Any, ...] = getattr(original, "args", ())
    said = str(arguments[1] if len(arguments) == 2 else original)  # MySQL and ODBC: a number, and the words for it
    first_line = said.partition("\n")[0][: 4 * MAX_MESSAGE]  # PostgreSQL's DETAIL, on the second line, quotes the row
    return redactor.text(_QUOTED_VALUES.sub("?", first_line))[:MAX_MESSAGE]


# --- recording ------------------------------------------------------------------------------------------------------


class _Recorder:
    """Turns statements that have ended into points and spans; lives from `instrument` to `uninstrument`."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._redactor = context.redactor
        self._root_spans = settings.sql_root_spans
        self._max_text = settings.max_span_attribute_length or settings.max_attribute_length
        self._databases: weakref.WeakKeyDictionary[Dialect, _Database] = weakref.WeakKeyDictionary()
        self._tracer: Tracer = context.tracer_provider.get_tracer(semconv.SCOPE_SQL)
        meter = context.meter_provider.get_meter(semconv.SCOPE_SQL)
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BOUNDARIES,
        )
        _observe_pools(meter, self)

    def statement(
        self, connection: Connection, text: str, size: int, elapsed: float, error: BaseException | None
    ) -> None:
        """Record one statement that has ended, or `size` of them that were executed as one batch."""
        context = get_current()
        if context.get(_SUPPRESS_INSTRUMENTATION_KEY) or not getattr(connection, "_allow_autobegin", True):
            return  # SQLAlchemy asks a new connection for its version and the like: no statement of the application
        statement = self.database(connection.engine).statement(text, batched=size > 1)
        failure = _failure(error) if error is not None else None
        self._duration.record(elapsed, {**statement.point, **failure} if failure else statement.point, context)
        if self._root_spans or get_current_span(context).get_span_context().trace_flags & 1:
            batch: Attributes = {"db.operation.batch.size": size} if size > 1 else {}
            attributes = {**statement.span, **batch, **(failure or {})}
            self._span(statement.name, attributes, elapsed, error)

    def wait(self, name: str, engine: Engine, elapsed: float, error: BaseException | None) -> None:
        """Record a connect or a commit that failed or took long, in a trace that is kept."""
        context = get_current()
        if (
            context.get(_SUPPRESS_INSTRUMENTATION_KEY)
            or not get_current_span(context).get_span_context().trace_flags & 1
        ):
            return
        failure = _failure(error) if error is not None else {}
        self._span(name, {**self.database(engine).attributes, "db.operation.name": name, **failure}, elapsed, error)

    def database(self, engine: Engine) -> _Database:
        """What is known of an engine's database; options of an engine make it another engine with the same dialect."""
        found = self._databases.get(engine.dialect)
        if found is None:
            found = _Database(engine, redactor=self._redactor, max_text=self._max_text)
            self._databases[engine.dialect] = found
        return found

    def name_pool(self, engine: Engine) -> str:
        """The name under which the connections of an engine are counted."""
        return _pool_name(engine.pool, engine, self._redactor)

    def _span(self, name: str, attributes: Attributes, elapsed: float, error: BaseException | None) -> None:
        end = time_ns()
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, start_time=end - int(elapsed * 1e9)
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, _message(error, self._redactor)))
        span.end(end)


_active: _Recorder | None = None


def _ended(
    connection: Connection, execution: Any, text: str | None, started: float, error: BaseException | None = None
) -> None:
    """Record a statement that has ended, well or with `error`; `text` is given where it is not the execution's own."""
    elapsed = perf_counter() - started
    if _active is None:
        return
    try:
        if text is None:
            _active.statement(connection, execution.statement, len(execution.parameters), elapsed, error)
        else:
            _active.statement(connection, text, 1, elapsed, error)
    except Exception as ours:
        if not swallow("recording a statement", ours):
            raise


# --- wrappers -------------------------------------------------------------------------------------------------------


def _around_single(original: Callable[..., Any]) -> Callable[..., Any]:
    def _exec_single_context(self: Connection, dialect: Any, context: Any, statement: Any, parameters: Any) -> Any:
        started = perf_counter()
        try:
            result = original(self, dialect, context, statement, parameters)
        except BaseException as error:
            _ended(self, context, None, started, error)
            raise
        _ended(self, context, None, started)
        return result

    return _exec_single_context


def _around_insertmany(original: Callable[..., Any]) -> Callable[..., Any]:
    """One operation of the application, in however many pieces it is sent: one span, and its text is the template."""

    def _exec_insertmany_context(self: Connection, dialect: Any, context: Any) -> Any:
        started = perf_counter()
        try:
            result = original(self, dialect, context)
        except BaseException as error:
            _ended(self, context, None, started, error)
            raise
        _ended(self, context, None, started)
        return result

    return _exec_insertmany_context


def _around_cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    """What SQLAlchemy asks besides, such as the next value of a sequence."""

    def _cursor_execute(self: Connection, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> Any:
        started = perf_counter()
        try:
            result = original(self, cursor, statement, parameters, context)
        except BaseException as error:
            _ended(self, context, statement, started, error)
            raise
        _ended(self, context, statement, started)
        return result

    return _cursor_execute


def _around_commit(original: Callable[..., Any]) -> Callable[..., Any]:
    def _commit_impl(self: Connection) -> Any:
        with _Wait("COMMIT", self.engine):
            return original(self)

    return _commit_impl


def _around_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    def raw_connection(self: Engine) -> Any:
        with _Wait("connect", self):
            connection = original(self)
        _know_pool(self)
        return connection

    return raw_connection


class _Wait:
    """Time a block that is quick when all is well."""

    __slots__ = ("engine", "name", "started")

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self.started = perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        elapsed = perf_counter() - self.started
        if _active is not None and (error is not None or elapsed >= WORTH_A_SPAN):
            with guard("recording a wait for the database"):
                _active.wait(self.name, self.engine, elapsed, error)


@dataclass(frozen=True)
class _Patch:
    """A method to wrap, and the parameters it must have for that."""

    owner: str
    method: str
    parameters: tuple[str, ...]
    around: Callable[[Callable[..., Any]], Callable[..., Any]]


PATCHES: Final = (
    _Patch(
        "Connection", "_exec_single_context", ("self", "dialect", "context", "statement", "parameters"), _around_single
    ),
    _Patch("Connection", "_exec_insertmany_context", ("self", "dialect", "context"), _around_insertmany),
    _Patch("Connection", "_cursor_execute", ("self", "cursor", "statement", "parameters", "context"), _around_cursor),
    _Patch("Connection", "_commit_impl", ("self",), _around_commit),
    _Patch("Engine", "raw_connection", ("self",), _around_connect),
)


def _problem_with(base: ModuleType) -> str | None:
    """The first method that is not there, or not as we know it."""
    for patch in PATCHES:
        if patch in _installed:
            continue
        method = getattr(getattr(base, patch.owner, None), patch.method, None)
        if method is None or tuple(inspect.signature(method).parameters) != patch.parameters:
            return f"{patch.owner}.{patch.method} is not what it was"
    return None


# What stands in SQLAlchemy because of us: the original and our wrapper, by patch.
_installed: dict[_Patch, tuple[Any, Any]] = {}


def _patch(base: ModuleType) -> None:
    """Wrap the methods; what is wrapped already stays so."""
    for patch in PATCHES:
        if patch not in _installed:
            owner = getattr(base, patch.owner)
            original = owner.__dict__[patch.method]
            wrapper = patch.around(original)
            wrapper.__doc__ = original.__doc__
            _installed[patch] = (original, wrapper)
            setattr(owner, patch.method, wrapper)


def _unpatch(base: ModuleType) -> None:
    """Put the methods back; under somebody else's wrapper ours stays, and passes through."""
    for patch, (original, wrapper) in tuple(_installed.items()):
        owner = getattr(base, patch.owner)
        if owner.__dict__[patch.method] is wrapper:
            setattr(owner, patch.method, original)
            del _installed[patch]


# --- connection pools -----------------------------------------------------------------------------------------------

_Labels = tuple[tuple[str, str], ...]
_Count = Callable[[Any], Mapping[_Labels, int]]

_pools: dict[int, tuple[weakref.ref[Pool], str]] = {}


def _know_pool(engine: Engine) -> None:
    """Remember the pool of an engine that was made before us as well as after; it is forgotten when it goes."""
    pool = engine.pool
    if _active is None or id(pool) in _pools:
        return
    with guard("counting connections"):
        key = id(pool)

        def forget(_: weakref.ref[Pool]) -> None:
            _pools.pop(key, None)

        _pools[key] = (weakref.ref(pool, forget), _active.name_pool(engine))


def _observe_pools(meter: Meter, owner: _Recorder) -> None:
    """Ask the pools when somebody collects, so that a checkout costs nothing."""

    def observing(count: _Count) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            with guard("counting connections"):
                return _totals(count) if _active is owner else ()
            return ()

        return observe

    meter.create_observable_up_down_counter(
        "db.client.connection.count",
        [observing(_in_use_and_idle)],
        unit="{connection}",
        description="The number of connections that are currently in state described by the state attribute.",
    )
    meter.create_observable_up_down_counter(
        "db.client.connection.max",
        [observing(_most)],
        unit="{connection}",
        description="The maximum number of open connections allowed.",
    )


def _totals(count: _Count) -> list[Observation]:
    """Pools of the same name are counted together: one name is one series."""
    totals: dict[_Labels, int] = {}
    for reference, name in tuple(_pools.values()):
        pool = reference()
        if pool is not None and hasattr(pool, "checkedout"):  # NullPool and StaticPool keep no count
            for state, number in count(pool).items():
                key = (("db.client.connection.pool.name", name), *state)
                totals[key] = totals.get(key, 0) + number
    return [Observation(number, dict(key)) for key, number in totals.items()]


def _in_use_and_idle(pool: Any) -> Mapping[_Labels, int]:
    state = "db.client.connection.state"
    return {((state, "used"),): pool.checkedout(), ((state, "idle"),): pool.checkedin()}


def _most(pool: Any) -> Mapping[_Labels, int]:
    overflow = getattr(pool, "_max_overflow", -1)
    return {(): pool.size() + overflow} if overflow >= 0 and pool.size() > 0 else {}


# --- on and off -----------------------------------------------------------------------------------------------------

_BASE: Final = "sqlalchemy.engine.base"
_waiting = False


def instrument(context: Context) -> Report:
    """Record every statement from now on; SQLAlchemy itself is not imported for it."""
    if context.settings.sqlalchemy == "off":
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_SQLALCHEMY")
    if "sqlalchemy" not in sys.modules and util.find_spec("sqlalchemy") is None:
        return Report(NAME, State.MISSING, "SQLAlchemy is not installed")
    version = _version()
    if context.settings.sqlalchemy == "contrib":
        refusal = _hand_over(context)
        if refusal is None:
            return Report(NAME, State.ON, f"by the contrib instrumentor, SQLAlchemy {version}")
        ours = _instrument(context, version)
        return Report(NAME, refusal.state, f"{refusal.detail}; instead ours is {ours.state.value}")
    return _instrument(context, version)


def _instrument(context: Context, version: str) -> Report:
    global _active
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        return Report(NAME, State.WRONG_VERSION, f"SQLAlchemy {version}; 2.0 or later is needed")
    base = sys.modules.get(_BASE)
    problem = _problem_with(base) if base is not None else None
    if problem:
        return Report(NAME, State.WRONG_VERSION, f"SQLAlchemy {version}: {problem}")
    _active = _Recorder(context)
    if base is not None:
        _patch(base)
    else:
        _patch_when_imported()
    return Report(NAME, State.ON, f"SQLAlchemy {version}")


def _version() -> str:
    imported = getattr(sys.modules.get("sqlalchemy"), "__version__", None)
    return str(imported or metadata.version("sqlalchemy"))


def _patch_when_imported() -> None:
    """Importing SQLAlchemy for an application that may never use it would cost every process of it 100 ms and more."""
    global _waiting
    if not _waiting:
        from wrapt import register_post_import_hook

        _waiting = True
        register_post_import_hook(_imported, _BASE)


@guarded("instrumenting SQLAlchemy", None)
def _imported(base: ModuleType) -> None:
    problem = _problem_with(base)
    if problem:
        tell("sqlalchemy version", "SQLAlchemy is not instrumented: %s", problem)
    elif _active is not None:
        _patch(base)


def _hand_over(context: Context) -> Report | None:
    """Switch the contrib instrumentor on; a report says why it could not be."""
    try:
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    except ImportError as error:
        return Report(NAME, State.MISSING, f'{error}: pip install "blogauto_otel[sqlalchemy]"')
    from blogauto_otel.instrumentation.clients import prefer_stable_conventions

    instrumentor = SQLAlchemyInstrumentor()
    conflict = instrumentor._check_dependency_conflicts()
    if conflict is not None:
        return Report(NAME, State.WRONG_VERSION, f"contrib takes {conflict.required} and found {conflict.found}")
    prefer_stable_conventions()
    with guard("importing sqlalchemy.ext.asyncio"):
        # Imported after the instrumentor, it would make two tracers of every async engine (contrib issue 2149).
        import sqlalchemy.ext.asyncio  # noqa: F401
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(tracer_provider=context.tracer_provider, meter_provider=context.meter_provider)
    return None


def uninstrument() -> None:
    """Put SQLAlchemy's methods back."""
    global _active
    _active = None
    _pools.clear()
    base = sys.modules.get(_BASE)
    if base is not None:
        _unpatch(base)
    contrib = sys.modules.get("opentelemetry.instrumentation.sqlalchemy")
    if contrib is not None:
        instrumentor = contrib.SQLAlchemyInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


def after_fork_in_child() -> None:
    """Connections of the parent are not the child's: a pool is known again once the child takes one from it."""
    _pools.clear()
