"""Route templates of Starlette and FastAPI, with the prefixes of routers and mounts.

Starlette and FastAPI call `handle` of each mount and of the route; `patches` records both on the request. Reading them
costs nothing, and matching again would repeat the whole routing. Only a request that a middleware answers before the
router runs is matched here, with bounds on the routes tried and on the paths cached.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from blogauto_otel import _process
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.instrumentation.server.routes import RouteResolver, RouteTracker, template_of
from blogauto_otel.instrumentation.server.types import Scope, path_below_root


class StarletteRoutes(RouteResolver):
    """Finds templates in Starlette's and FastAPI's routes."""

    def find(self, tracker: RouteTracker) -> str | None:
        """The template of the route that `handle` was called of."""
        # Read once each: the thread that collects metrics asks too, and the request may end meanwhile.
        route, mount, scope = tracker.route, tracker.mount, tracker.route_scope
        if route is not None:
            inside = scope.get("fastapi")
            if inside:
                # FastAPI knows the prefix of an included router in the scope only (0.165: `_EffectiveRouteContext`).
                included = inside.get("effective_route_context")
                if included is not None and included.original_route is route:
                    route = included
            return tracker.prefix + str(getattr(route, "path_format", None) or template_of(route))
        if mount is not None and not mount.routes:
            return tracker.prefix + "/{path}"  # static files and foreign applications answer for all below
        found = _template_from_scope(scope, mount) or (super().find(tracker) if mount is None else None)
        return tracker.prefix + found if found else None

    def match(self, tracker: RouteTracker) -> str | None:
        """The template of the first matching route, for a response sent before the router ran."""
        scope, mount = tracker.route_scope, tracker.mount
        owner = scope.get("app") if mount is None else mount
        if tracker.route is not None or owner is None or (mount is None and "router" in scope):
            return None  # Starlette's router sets this key, so a path without a route is not matched twice
        found = _matches.find(owner, scope)
        return tracker.prefix + found if found else None

    def redirect_target(self, tracker: RouteTracker) -> str | None:
        """The template of the route that the path matches with or without its last slash: Starlette redirects there."""
        scope = tracker.route_scope
        routes = getattr(tracker.mount or scope.get("app"), "routes", ())
        path = scope["path"]
        redirected = {**scope, "path": path.rstrip("/") if path.endswith("/") else path + "/"}
        for route in _all_routes(routes):
            if route.matches(redirected)[0].value:
                return tracker.prefix + template_of(route)
        return None

    def has_route(self, app: Any, path: str) -> bool:
        """Whether a route for GET, or a mount, has exactly this path; templates with parameters do not count."""
        return _has_route(getattr(app, "routes", ()), path)


def _template_from_scope(scope: Scope, mount: Any) -> str | None:
    """The template for routes of other classes: FastAPI's front-end files, and the application's own in the scope."""
    inside = scope.get("fastapi", {})
    if "frontend_path" in inside:
        folder = path_below_root(scope).removesuffix(inside["frontend_path"])  # without parameters, FastAPI sees to it
        return f"{folder.rstrip('/')}/{{path}}"
    declared = scope.get("route")
    return None if declared is mount else template_of(declared)


def _all_routes(routes: Iterable[Any]) -> Iterable[Any]:
    """Every route, those of included routers with their prefix; FastAPI nests them since it resolves them lazily."""
    flatten = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", tuple)
    found: Iterable[Any] = flatten(tuple(routes))
    return found


# --- matching ---------------------------------------------------------------------------------------------------------

MAX_ROUTES: Final = 1000  # tried for one path, including those of mounts
MAX_CACHED: Final = 1024
MAX_CACHED_PATH: Final = 256


class _Matches:
    """A cache of templates by path, bounded in entries and in the length of a path."""

    def __init__(self) -> None:
        self._cache: BoundedMemo[tuple[Any, ...], tuple[weakref.ref[Any], str | None]] = BoundedMemo(MAX_CACHED)

    def reset(self) -> None:
        """Forget every path."""
        self._cache.clear()

    def find(self, owner: Any, scope: Scope) -> str | None:
        """The template below `owner`, an application or a mount, that answers this scope."""
        routes = getattr(owner, "routes", None) or ()
        path = path_below_root(scope)
        # Routes can be added while the application runs, and an id is given again when its object is gone.
        key = (id(owner), len(routes), scope["type"], scope.get("method"), _host_of(scope), path)
        known = self._cache.get(key)
        if known is not None and known[0]() is owner:
            return known[1]
        found = _Search(scope).among(routes)
        if len(path) <= MAX_CACHED_PATH:
            self._cache.remember(key, (weakref.ref(owner), found))
        return found


_matches: Final = _process.register(_Matches())


def _host_of(scope: Scope) -> bytes:
    """What `Host` routes look at; a long one is ignored."""
    value: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return value if len(value) <= MAX_CACHED_PATH else b""


class _Search:
    """One search through the routes, in the router's order: the first full match, else the first partial one."""

    def __init__(self, scope: Scope) -> None:
        self._scope = dict(scope)
        self._left = MAX_ROUTES

    def among(self, routes: Iterable[Any]) -> str | None:
        partial = None
        for route in islice(_all_routes(routes), self._left):
            self._left -= 1
            match, child_scope = route.matches(self._scope)
            if match.name == "FULL":
                return self._into(route, child_scope)
            if match.name == "PARTIAL" and partial is None:
                partial = route
        return None if partial is None else template_of(partial) or None

    def _into(self, route: Any, child_scope: Scope) -> str | None:
        """The template of a route; of a mount, with that of the route inside it."""
        inside = getattr(route, "routes", None)
        if inside is None:
            return template_of(route) or None
        prefix = mount_prefix(route)
        if not inside:
            return prefix + "/{path}"
        self._scope.update(child_scope)
        found = self.among(inside)
        return prefix + found if found else None


def mount_prefix(mount: Any) -> str:
    """What a mount puts before the paths of its routes; nothing for a `Host`."""
    return template_of(mount).removesuffix("/{path}")


def _has_route(routes: Iterable[Any], path: str) -> bool:
    for route in islice(_all_routes(routes), MAX_ROUTES):
        inside = getattr(route, "routes", None)
        if inside is None:
            methods = getattr(route, "methods", None)
            if template_of(route) == path and (not methods or "GET" in methods):
                return True
            continue
        prefix = mount_prefix(route)
        if path == prefix or (path.startswith(prefix + "/") and _has_route(inside, path[len(prefix) :])):
            return True
    return False
