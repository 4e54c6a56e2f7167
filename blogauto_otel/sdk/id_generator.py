"""Ids of traces and spans: random ones, or those of the generator that `OTEL_PYTHON_ID_GENERATOR` names, made safe."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from blogauto_otel import plugins
from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.errors import NotInstalledError


class IdGenerator(Protocol):
    """The SDK's interface of the same name."""

    def generate_trace_id(self) -> int:
        """A number of 128 bits, not 0."""

    def generate_span_id(self) -> int:
        """A number of 64 bits, not 0."""

    def is_trace_id_random(self) -> bool:
        """Whether at least 56 bits of a trace id are random (W3C Trace Context, level 2)."""


_FETCHED: Final = struct.Struct("<128Q")


class _RandomNumbers(deque[int]):
    """Numbers of 64 bits, not 0, that were fetched and not used; a forked child fetches its own."""

    def after_fork_in_child(self) -> None:
        self.clear()


_random_numbers: Final = register(_RandomNumbers())

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random_numbers.clear)  # before `configure` too: ids must never repeat


class UrandomIds:
    """Ids from the operating system: an application's `random.seed` does not make them repeat, nor does a fork.

    They are fetched by the kilobyte, because each call to the operating system costs as much as a good part of a span.
    """

    def generate_trace_id(self) -> int:
        """A random number of 128 bits, not 0."""
        try:
            return _random_numbers.popleft() << 64 | _random_numbers.popleft()
        except IndexError:
            return self.generate_span_id() << 64 | self.generate_span_id()

    def generate_span_id(self) -> int:
        """A random number of 64 bits, not 0."""
        while True:
            try:
                return _random_numbers.popleft()
            except IndexError:
                _random_numbers.extend(filter(None, _FETCHED.unpack(os.urandom(_FETCHED.size))))

    def generate_ids(self) -> tuple[int, int]:
        """Ids of a trace and of its first span, in one call."""
        try:
            return _random_numbers.popleft() << 64 | _random_numbers.popleft(), _random_numbers.popleft()
        except IndexError:
            return self.generate_trace_id(), self.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """True: samplers and backends may rely on it (W3C Trace Context, level 2)."""
        return True


def chosen_id_generator(settings: Settings, default: IdGenerator) -> IdGenerator:
    """The named generator, else the default; `random` is the default too.

    Raises:
        ConfigurationError: the generator does not load, and `strict` is on.
    """
    name = settings.id_generator
    if name is None or name == "random":
        return default
    try:
        return _PluginIds(plugins.load("opentelemetry_id_generator", name)(), default)
    except NotInstalledError as error:
        problem = str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        problem = f"it failed with {type(error).__name__}"
    warn_or_raise(settings, f"OTEL_PYTHON_ID_GENERATOR={name!r}: {problem}; using random ids")
    return default


class _PluginIds:
    """Ids of a plugin; where it fails or returns an invalid id, those of the default."""

    def __init__(self, plugin: Any, default: IdGenerator) -> None:
        self._plugin = plugin
        self._default = default

    def generate_trace_id(self) -> int:
        """See `IdGenerator`."""
        return _valid(self._plugin.generate_trace_id, 128) or self._default.generate_trace_id()

    def generate_span_id(self) -> int:
        """See `IdGenerator`."""
        return _valid(self._plugin.generate_span_id, 64) or self._default.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """False: an id of a plugin may hold anything, such as a time."""
        return False


def _valid(generate: Callable[[], object], bits: int) -> int:
    """A new id; 0 when the plugin has none."""
    with guard("generating an id"):
        made = generate()
        return made if isinstance(made, int) and 0 < made < 1 << bits else 0
    return 0
