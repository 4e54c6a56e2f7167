"""Connections of every pool of the process, counted when somebody collects, so that a checkout costs nothing."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.sqlalchemy.databases import of_engine

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import Pool

    from blogauto_otel.redaction import Redactor

_Labels = tuple[tuple[str, str], ...]
_Count = Callable[[Any], Mapping[_Labels, int]]

_known: dict[int, tuple[weakref.ref[Pool], str]] = {}


def know(engine: Engine, redactor: Redactor) -> None:
    """Remember the pool that an engine takes a connection from; it is forgotten when it goes."""
    pool = engine.pool
    key = id(pool)
    if key in _known:
        return
    with guard("counting connections"):

        def forget_it(_: weakref.ref[Pool]) -> None:
            _known.pop(key, None)

        _known[key] = (weakref.ref(pool, forget_it), _name(pool, engine, redactor))


def forget() -> None:
    """Forget all; a pool is known again once somebody takes a connection from it."""
    _known.clear()


def observe(meter: Meter, is_wanted: Callable[[], bool]) -> None:
    """Report on all pools while `is_wanted`."""

    def observing(count: _Count) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def report(_: CallbackOptions) -> Iterable[Observation]:
            with guard("counting connections"):
                return _totals(count) if is_wanted() else ()
            return ()

        return report

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


def _name(pool: Pool, engine: Engine, redactor: Redactor) -> str:
    """The semantic conventions' name of a pool that has none: `server.address:server.port/db.namespace`."""
    if pool.logging_name:
        return str(pool.logging_name)
    known = of_engine(engine, redactor)
    place = ":".join(str(known[key]) for key in ("server.address", "server.port") if key in known)
    return f"{place or known['db.system.name']}/{known.get('db.namespace', '')}"


def _totals(count: _Count) -> list[Observation]:
    """Pools of the same name are counted together: one name is one series."""
    totals: dict[_Labels, int] = {}
    for reference, name in tuple(_known.values()):
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
