"""Which route answered: its full template, with the prefixes of routers and mounts, never the path that was asked for.

Starlette and FastAPI call `handle` of a route, and of each mount on the way to it; `patches` makes them note it on the
request. Reading it costs nothing, where matching again would repeat the whole routing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from blogauto_otel.instrumentation.asgi.protocol import Scope, path_below_root


class Way:
    """The way that routing took for one request: the mounts it passed, and the route it ended at."""

    __slots__ = ("mount", "prefix", "route", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.prefix = ""
        self.mount: Any = None
        self.route: Any = None

    def pass_mount(self, mount: Any, scope: Scope) -> None:
        """Note that routing goes on inside `mount`."""
        self.prefix += _format_of(mount).removesuffix("/{path}")
        self.mount, self.route, self.scope = mount, None, scope

    def end_at(self, route: Any, scope: Scope) -> None:
        """Note the route; the scope is kept because FastAPI leaves the prefix of an included router there."""
        self.route, self.scope = route, scope

    def template(self) -> str | None:
        """The template of the route, or None when there is none (yet)."""
        if self.route is not None:
            return self.prefix + _format_in_router(self.route, self.scope)
        if self.mount is not None and not self.mount.routes:
            return self.prefix + "/{path}"  # static files and foreign applications answer for all below
        found = _unannounced(self.scope, self.mount)
        return self.prefix + found if found else None

    def redirect_target(self) -> str | None:
        """The template of the route that a slash more or less would match, which Starlette redirects to."""
        routes = getattr(self.mount or self.scope.get("app"), "routes", ())
        path = self.scope["path"]
        turned = {**self.scope, "path": path.rstrip("/") if path.endswith("/") else path + "/"}
        for route in _all_routes(routes):
            if route.matches(turned)[0].value:
                return self.prefix + _format_of(route)
        return None


def _format_of(route: Any) -> str:
    return str(getattr(route, "path_format", None) or getattr(route, "path", ""))


def _format_in_router(route: Any, scope: Scope) -> str:
    """FastAPI knows the prefix of an included router in the scope only (0.165: `routing._EffectiveRouteContext`)."""
    included = scope.get("fastapi", {}).get("effective_route_context")
    if included is not None and included.original_route is route:
        return _format_of(included)
    return _format_of(route)


def _unannounced(scope: Scope, mount: Any) -> str | None:
    """Routes of other classes: FastAPI's front-end files, and what the application puts in the scope."""
    inside = scope.get("fastapi", {})
    if "frontend_path" in inside:
        folder = path_below_root(scope).removesuffix(inside["frontend_path"])  # without parameters, FastAPI sees to it
        return f"{folder.rstrip('/')}/{{path}}"
    declared = scope.get("route")
    return None if declared is mount else _format_of(declared)


def _all_routes(routes: Iterable[Any]) -> Iterable[Any]:
    """Every route, those of included routers with their prefix; FastAPI nests them since it resolves them lazily."""
    flatten = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", tuple)
    found: Iterable[Any] = flatten(tuple(routes))
    return found
