"""Sampling: by the decision of the caller, by route, or by a rate that depends on the environment.

The first row that matches decides:

| span | decision |
|---|---|
| with a parent in this process | the parent's |
| server span of a route in `untraced_routes`, or of `/metrics` | dropped; its trace context is propagated, unsampled |
| server span of a route in `sample_routes` | that rate |
| with a remote parent | the caller's |
| any other root | `sample_rate` |

Rules for routes precede the decision of the caller, because they were written for that route. A rate is applied to the
trace id, so that services with the same rate sample the same traces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import unquote

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, get_current_span
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from blogauto_otel import plugins
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.errors import NotInstalledError
from blogauto_otel.samplers import LOW_64, ParentOrRate, TraceIdRatio

T = TypeVar("T")
_UNKNOWN: Final = object()

PATH: Final = "url.path"
_UNTRACED: Final = TraceIdRatio(0.0)


def build_sampler(settings: Settings) -> RouteSampler:
    """Build the sampler that the settings name (`OTEL_TRACES_SAMPLER`), else ours.

    A named sampler replaces the rates; `untraced_routes` hold in any case.

    Raises:
        ConfigurationError: the name or its argument cannot be used, and `strict` is on.
    """
    named = _named_sampler(settings)
    if named is not None and settings.sample_routes:
        warn_or_raise(
            settings,
            "BLOGAUTO_OTEL_SAMPLE_ROUTES has no effect, because OTEL_TRACES_SAMPLER decides; unset one of the two",
        )
    rates = {} if named else settings.sample_routes
    return RouteSampler(
        named or ParentOrRate(settings.effective_sample_rate),
        rules=[
            *((route, _UNTRACED) for route in _untraced_routes(settings)),
            *((route, TraceIdRatio(rate)) for route, rate in rates.items()),
        ],
        is_named=named is not None,
    )


def untraced_matcher(settings: Settings) -> Callable[[str], bool]:
    """A function that decides by the path of a request, before any span exists, whether it is never traced."""
    table = RouteTable([(route, True) for route in _untraced_routes(settings)])
    return lambda path: table.find(path) is not None


def _untraced_routes(settings: Settings) -> tuple[str, ...]:
    return (*settings.untraced_routes, settings.metrics_path) if settings.metrics_path else settings.untraced_routes


def decides_alone(provider: object) -> bool:
    """Whether the user named the sampler; then only spans that it sampled are exported."""
    sampler = getattr(provider, "sampler", None)
    return isinstance(sampler, RouteSampler) and sampler.is_named


class RouteSampler:
    """Rules by route before a general sampler; see the table of the module.

    `is_named` says that the user chose the general sampler by name (`OTEL_TRACES_SAMPLER`). `is_sampled` is None when
    only the `should_sample` of the general sampler knows, because it is another package's. `is_root_sampled` decides
    the same for a server span without a parent, by its trace id and path, in one step. `follows_parents` says that a
    span inside this process is sampled as its parent is.
    """

    def __init__(self, general: Any, *, rules: Iterable[tuple[str, TraceIdRatio]] = (), is_named: bool = False) -> None:
        self._general = general
        self.is_named = is_named
        self._rules = RouteTable(rules)
        self._find: Callable[[str], TraceIdRatio | None] = self._rules.quick_find()
        self._general_is_sampled: Callable[..., bool] | None = getattr(general, "is_sampled", None)
        self.is_sampled = None if self._general_is_sampled is None else self._is_sampled
        self.follows_parents: bool = getattr(general, "follows_parents", False)
        self.is_root_sampled = self._is_root_sampled if isinstance(general, TraceIdRatio) else None

    def _is_sampled(
        self,
        parent: SpanContext | None,
        trace_id: int,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
    ) -> bool:
        if kind is SpanKind.SERVER and attributes and (parent is None or parent.is_remote):
            path = attributes.get(PATH)
            if type(path) is str:  # as `_rule`, without the call
                rule = self._find(unquote(path) if "%" in path else path)
                if rule is not None:
                    return rule.is_sampled(parent, trace_id)
        return self._general_is_sampled(parent, trace_id)  # type: ignore[misc] # there is one, or this is not called

    def _is_root_sampled(self, trace_id: int, path: str) -> bool:
        rule = self._find(unquote(path) if "%" in path else path)
        return trace_id & LOW_64 < (self._general if rule is None else rule).bound

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,  # noqa: ARG002 - the parent's applies, as in the SDK
    ) -> Any:
        """Decide at the start of a span; `url.path` must be among the attributes it is started with."""
        parent = get_current_span(parent_context).get_span_context()
        valid = parent if parent.is_valid else None
        rule = self._rule(valid, attributes) if kind is SpanKind.SERVER and attributes else None
        chosen = rule or self._general
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def is_untraced(self, path: str) -> bool:
        """Whether requests of this path never have a span."""
        return self._rules.find(path) is _UNTRACED

    def get_description(self) -> str:
        """A description for log lines."""
        return f"RouteSampler{{{len(self._rules)} rules, {self._general.get_description()}}}"

    def _rule(self, parent: SpanContext | None, attributes: Mapping[str, Any]) -> TraceIdRatio | None:
        path = attributes.get(PATH)
        if type(path) is not str or (parent is not None and not parent.is_remote):
            return None
        return self._find(unquote(path) if "%" in path else path)  # routes are written without percent-encoding


# --- samplers by name ------------------------------------------------------------------------------------------------

# https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
_NAMED: Final[dict[str, Callable[[float], TraceIdRatio]]] = {
    "always_on": lambda _: TraceIdRatio(1.0),
    "always_off": lambda _: TraceIdRatio(0.0),
    "traceidratio": TraceIdRatio,
    "parentbased_always_on": lambda _: ParentOrRate(1.0),
    "parentbased_always_off": lambda _: ParentOrRate(0.0),
    "parentbased_traceidratio": ParentOrRate,
}
_WITH_RATIO: Final = frozenset(("traceidratio", "parentbased_traceidratio"))


def _named_sampler(settings: Settings) -> Any:
    """A sampler, or None."""
    if settings.sampler is None:
        return None
    name = settings.sampler.strip().lower()
    build = _NAMED.get(name)
    if build is not None:
        return build(_ratio(settings) if name in _WITH_RATIO else 1.0)
    return _installed_sampler(settings, settings.sampler.strip())


def _ratio(settings: Settings) -> float:
    raw = settings.sampler_arg
    try:
        ratio = float(raw) if raw is not None else 1.0
        if 0.0 <= ratio <= 1.0:
            return ratio
    except ValueError:
        pass
    warn_or_raise(settings, f"OTEL_TRACES_SAMPLER_ARG={raw!r}: expected a number from 0 to 1; using 1.0")
    return 1.0


def _installed_sampler(settings: Settings, name: str) -> Any:
    """A sampler of another package, from the SDK's group of entry points."""
    try:
        sampler = plugins.load("opentelemetry_traces_sampler", name)(settings.sampler_arg)
        from opentelemetry.sdk.trace.sampling import Sampler  # the plugin has imported it

        if isinstance(sampler, Sampler):
            return sampler
        problem = "its factory made no Sampler"
    except NotInstalledError:
        problem = f"expected one of {', '.join(_NAMED)}, or the name of an installed sampler"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        problem = f"its factory failed with {type(error).__name__}: {error}"
    warn_or_raise(settings, f"OTEL_TRACES_SAMPLER={name!r}: {problem}; using BLOGAUTO_OTEL_SAMPLE_RATE")
    return None


# --- routes ----------------------------------------------------------------------------------------------------------


class RouteTable(Generic[T]):
    """Values by route, found by the path of a request; the first matching route wins.

    Templates are those of the framework (`/api/posts/{id}`, `{rest:path}` for any rest), or end in `*` for any rest. A
    lookup takes time linear in the path; results are cached for at most `MAX_CACHED` paths.
    """

    MAX_CACHED: Final = 1024
    MAX_CACHED_LENGTH: Final = 256

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, T] = {}
        self._patterns: list[tuple[_RoutePattern, T]] = []
        for route, value in entries:
            if not re.search(r"[{*]", route) and not self._patterns:
                self._exact.setdefault(route, value)  # a plain path before any pattern has precedence over them
            else:
                self._patterns.append((_RoutePattern(route), value))
        self._cache: BoundedMemo[str, T | None] = BoundedMemo(self.MAX_CACHED)

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)

    def quick_find(self) -> Callable[[str], T | None]:
        """The function `find`; without patterns, the look-up in a dict alone."""
        return self.find if self._patterns else self._exact.get

    def find(self, path: str) -> T | None:
        """The value of the first route that matches this path."""
        found = self._exact.get(path)
        if found is not None or not self._patterns:
            return found
        cached = self._cache.get(path, _UNKNOWN)
        if cached is not _UNKNOWN:
            return cast("T | None", cached)
        found = next((value for pattern, value in self._patterns if pattern.matches(path)), None)
        return found if len(path) > self.MAX_CACHED_LENGTH else self._cache.remember(path, found)


class _RoutePattern:
    """A route template, compared segment by segment, so that no path causes backtracking."""

    def __init__(self, route: str) -> None:
        head = re.split(r"\{[^{}/]*:path\}|\*$", route, maxsplit=1)
        self._open = len(head) == 2
        self._segments = [re.split(r"\{[^{}/]*\}|\*", segment) for segment in head[0].split("/")]

    def matches(self, path: str) -> bool:
        given = path.split("/", len(self._segments) - 1 if self._open else -1)
        if len(given) != len(self._segments):
            return False
        pairs = list(zip(self._segments, given, strict=True))
        if self._open:  # `*` may stand inside a segment: `/api/v*`
            pieces, rest = pairs.pop()
            if not _fits([*pieces, ""], rest, least=0):
                return False
        return all(_fits(pieces, text) for pieces, text in pairs)


def _fits(pieces: Sequence[str], text: str, *, least: int = 1) -> bool:
    """Whether the text holds the pieces in this order, with at least one character between each two."""
    first, *rest = pieces
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    position = len(first)
    for piece in rest[:-1]:
        position = text.find(piece, position + 1)
        if position < 0:
            return False
        position += len(piece)
    return len(text) - len(rest[-1]) >= position + least and text.endswith(rest[-1])
