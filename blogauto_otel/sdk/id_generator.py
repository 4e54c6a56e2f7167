"""The id generator that `OTEL_PYTHON_ID_GENERATOR` names, made safe."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.sdk.trace.id_generator import IdGenerator

from blogauto_otel import plugins
from blogauto_otel._guard import guard
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.errors import NotInstalledError


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


class _PluginIds(IdGenerator):
    """Ids of a plugin; where it fails or returns an invalid id, those of the default."""

    def __init__(self, plugin: IdGenerator, default: IdGenerator) -> None:
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
