"""Which route answered: its full template, with the prefixes of routers and mounts, never the path that was asked for.

Starlette and FastAPI call `handle` of a route, and of each mount on the way to it; `patches` makes them note it on the
request. Reading it costs nothing, where matching again would repeat the whole routing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from blogauto_otel._guard import swallow
from blogauto_otel.instrumentation.asgi.protocol import Scope, path_below_root


class Way:
    """The way that routing takes: the mounts it passes, and the route it ends at.

    The scope of the last step is kept, because FastAPI leaves the prefix of an included router there.
    """

    prefix = ""
    mount: Any = None
    route: Any = None
    route_scope: Scope

    def pass_mount(self, mount: Any, scope: Scope) -> None:
        """Note that routing goes on inside `mount`."""
        self.prefix += _format_of(mount).removesuffix("/{path}")
        self.mount, self.route, self.route_scope = mount, None, scope

    def end_at(self, route: Any, scope: Scope) -> None:
        """Note the route."""
        self.route, self.route_scope = route, scope

    def find_template(self) -> str | None:
        """The template of the route, or None when there is none (yet), or a class of the application's hides it."""
        try:
            return self._find_template()
        except BaseException as error:
            if not swallow("finding a route", error):
                raise
            return None

    def _find_template(self) -> str | None:
        # Read once each: the thread that collects metrics asks too, and the request may end meanwhile.
        route, mount, scope = self.route, self.mount, self.route_scope
        if route is not None:
            return self.prefix + _format_in_router(route, scope)
        if mount is not None and not mount.routes:
            return self.prefix + "/{path}"  # static files and foreign applications answer for all below
        found = _unannounced(scope, mount)
        return self.prefix + found if found else None

    def redirect_target(self) -> str | None:
        """The template of the route that a slash more or less would match, which Starlette redirects to."""
        scope = self.route_scope
        routes = getattr(self.mount or scope.get("app"), "routes", ())
        path = scope["path"]
        turned = {**scope, "path": path.rstrip("/") if path.endswith("/") else path + "/"}
        for route in _all_routes(routes):
            if route.matches(turned)[0].value:
                return self.prefix + _format_of(route)
        return None


def _format_of(route: Any) -> str:
    return str(getattr(route, "path_format", None) or getattr(route, "path", ""))


def _format_in_router(route: Any, scope: Scope) -> str:
    """FastAPI knows the prefix of an included router in the scope only (0.165: `routing._EffectiveRouteContext`)."""
    inside = scope.get("fastapi")
    included = inside.get("effective_route_context") if inside else None
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
