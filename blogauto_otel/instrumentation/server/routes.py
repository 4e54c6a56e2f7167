"""Route templates: the tracker that a framework's patches fill, and the resolver that reads templates from it.

Without a framework's resolver a template comes from the scope: `scope["path_template"]` or `scope["route"]`.
"""

from __future__ import annotations

from typing import Any, Final

from blogauto_otel import _process
from blogauto_otel._guard import swallow
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.instrumentation.server.types import Scope

_CONVERTER: Final = lazy_pattern(r"(?<=[^{}/]):[^{}/]*(?=\})")  # `{id:int}`


class RouteTracker:
    """Mounts passed by routing, and the route it ended at.

    The scope of the last step is stored, because FastAPI puts the prefix of an included router there.
    """

    __slots__ = ()  # those of `Request`: a class has one base with slots

    prefix: str
    mount: Any
    route: Any
    route_scope: Scope
    safe_route: Any  # the route of which it is known that the path has no secret

    def enter_mount(self, mount: Any, prefix: str, scope: Scope) -> None:
        """Routing continues inside `mount`, whose template is `prefix`."""
        self.prefix += prefix  # type: ignore[misc]  # a slot of `Request`
        self.mount, self.route, self.route_scope, self.safe_route = mount, None, scope, None  # type: ignore[misc]

    def find_template(self) -> str | None:
        """The template of the route; None when there is none (yet) or it cannot be read."""
        try:
            return _state.resolver.find(self)
        except BaseException as error:
            if not swallow("finding a route", error):
                raise
            return None

    def match_template(self) -> str | None:
        """The template that the path leads to, when the response was sent before routing; else None."""
        try:
            return _state.resolver.match(self)
        except Exception as error:
            if not swallow("matching a route", error):
                raise
            return None

    def redirect_target(self) -> str | None:
        """The template of the route that a redirect to a path with or without a slash leads to."""
        return _state.resolver.redirect_target(self)


class RouteResolver:
    """Reads templates for applications of no known framework; a framework's resolver extends it."""

    def find(self, tracker: RouteTracker) -> str | None:
        """The template that the application put into the scope."""
        scope = tracker.route_scope
        template = scope.get("path_template")
        if isinstance(template, str):
            return _CONVERTER.sub("", template)
        return template_of(scope.get("route")) or None

    def match(self, tracker: RouteTracker) -> str | None:  # noqa: ARG002
        """None: without a framework there is no routing table to match."""
        return None

    def redirect_target(self, tracker: RouteTracker) -> str | None:  # noqa: ARG002
        """None, for the same reason."""
        return None

    def has_route(self, app: Any, path: str) -> bool:  # noqa: ARG002
        """Whether `app` has a route for GET at this very path."""
        return False


def template_of(route: Any) -> str:
    """The template of a route object; empty when it has none."""
    return str(getattr(route, "path_format", None) or getattr(route, "path", None) or "")


class _State:
    def __init__(self) -> None:
        self.resolver = RouteResolver()


_state: Final = _process.register(_State())


def use_resolver(resolver: RouteResolver) -> None:
    """Read templates with `resolver` from now on."""
    _state.resolver = resolver


def has_route(app: Any, path: str) -> bool:
    """Whether `app` has a route for GET at this very path."""
    return _state.resolver.has_route(app, path)
