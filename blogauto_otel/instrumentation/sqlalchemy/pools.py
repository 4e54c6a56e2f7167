"""Connections of every pool of the process, counted at collection, so that a checkout costs nothing."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from blogauto_otel import _process
from blogauto_otel._guard import guard
from blogauto_otel.api.catalogue import spec
from blogauto_otel.instrumentation.sqlalchemy.databases import database_attributes

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import Pool

    from blogauto_otel.redaction import Redactor

_Labels = tuple[tuple[str, str], ...]
_Count = Callable[[Any], Mapping[_Labels, int]]

_POOL_NAME: Final = "db.client.connection.pool.name"


class _State:
    """The pools of this process by identity, with their names."""

    def __init__(self) -> None:
        self.pools: dict[int, tuple[weakref.ref[Pool], str]] = {}
        self.pending: dict[int, int] = {}  # a request for a connection -> its pool
        self.timeouts: dict[str, int] = {}  # by the name of the pool

    def after_fork_in_child(self) -> None:
        """Connections of the parent are not the child's: a pool is added when the child takes one from it."""
        self.pools.clear()
        self.pending.clear()
        self.timeouts.clear()


state: Final = _process.register(_State())


def add(engine: Engine, redactor: Redactor) -> None:
    """Count the pool that an engine takes a connection from, as long as it exists."""
    pool = engine.pool
    key = id(pool)
    if key in state.pools:
        return
    with guard("counting connections"):

        def remove(_: weakref.ref[Pool]) -> None:
            state.pools.pop(key, None)

        state.pools[key] = (weakref.ref(pool, remove), _name(pool, engine, redactor))


def count_timeout(pool: Pool, error: BaseException) -> None:
    """A request for a connection failed; SQLAlchemy's `TimeoutError` says that the pool had none."""
    if (type(error).__module__, type(error).__name__) == ("sqlalchemy.exc", "TimeoutError"):
        with guard("counting timeouts of a pool"):
            known = state.pools.get(id(pool))
            if known is not None:
                state.timeouts[known[1]] = state.timeouts.get(known[1], 0) + 1


def clear() -> None:
    """Remove all pools; one is added again when a connection is taken from it."""
    state.pools.clear()


def observe_connections(meter: Meter, is_active: Callable[[], bool]) -> None:
    """Report on all pools while `is_active`."""

    def observing(count: _Count) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def report(_: CallbackOptions) -> Iterable[Observation]:
            with guard("counting connections"):
                return _totals(count) if is_active() else ()
            return ()

        return report

    def timeouts(_: CallbackOptions) -> Iterable[Observation]:
        names = {name for _, name in tuple(state.pools.values())} if is_active() else set()
        return [Observation(state.timeouts.get(name, 0), {_POOL_NAME: name}) for name in sorted(names)]

    up_down_counter, counter = meter.create_observable_up_down_counter, meter.create_observable_counter
    for create, name, callback in (
        (up_down_counter, "db.client.connection.count", observing(_in_use_and_idle)),
        (up_down_counter, "db.client.connection.max", observing(_maximum)),
        (up_down_counter, "db.client.connection.pending_requests", observing(_pending)),
        (counter, "db.client.connection.timeouts", timeouts),
    ):
        metric = spec(name)
        create(metric.name, [callback], unit=metric.unit, description=metric.description)


def _name(pool: Pool, engine: Engine, redactor: Redactor) -> str:
    """The semantic conventions' name of a pool that has none: `server.address:server.port/db.namespace`."""
    if pool.logging_name:
        return str(pool.logging_name)
    database = database_attributes(engine, redactor)
    address = ":".join(str(database[key]) for key in ("server.address", "server.port") if key in database)
    return f"{address or database['db.system.name']}/{database.get('db.namespace', '')}"


def _totals(count: _Count) -> list[Observation]:
    """The sums over pools of the same name, because they are one time series."""
    totals: dict[_Labels, int] = {}
    for reference, name in tuple(state.pools.values()):
        pool = reference()
        if pool is not None and hasattr(pool, "checkedout"):  # NullPool and StaticPool keep no count
            for kind, number in count(pool).items():
                key = ((_POOL_NAME, name), *kind)
                totals[key] = totals.get(key, 0) + number
    return [Observation(number, dict(key)) for key, number in totals.items()]


def _in_use_and_idle(pool: Any) -> Mapping[_Labels, int]:
    name = "db.client.connection.state"
    return {((name, "used"),): pool.checkedout(), ((name, "idle"),): pool.checkedin()}


def _maximum(pool: Any) -> Mapping[_Labels, int]:
    overflow = getattr(pool, "_max_overflow", -1)
    return {(): pool.size() + overflow} if overflow >= 0 and pool.size() > 0 else {}


def _pending(pool: Any) -> Mapping[_Labels, int]:
    return {(): sum(wanted == id(pool) for wanted in tuple(state.pending.values()))}
