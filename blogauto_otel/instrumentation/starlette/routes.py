"""Which route answered: its full template, with the prefixes of routers and mounts, never the path that was asked for.

Starlette and FastAPI call `handle` of a route, and of each mount on the way to it; `patches` makes them note it on the
request. Reading it costs nothing, where matching again would repeat the whole routing. Only a request that a middleware
answers before the router runs is matched here, with bounds on the routes looked at and on the paths remembered.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from blogauto_otel._guard import swallow
from blogauto_otel.instrumentation.server.types import Scope, path_below_root


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
        self.prefix += mount_prefix(mount)
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

    def match_template(self) -> str | None:
        """The template of the route that the path leads to, for an answer given before the router ran; else None."""
        try:
            return self._match_template()
        except Exception as error:
            if not swallow("matching a route", error):
                raise
            return None

    def _match_template(self) -> str | None:
        scope, mount = self.route_scope, self.mount
        owner = scope.get("app") if mount is None else mount
        if self.route is not None or owner is None or (mount is None and "router" in scope):
            return None  # Starlette's router leaves its mark, so a path without a route is not matched twice
        found = _matches.find(owner, scope)
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
    return str(getattr(route, "path_format", None) or getattr(route, "path", None) or "")


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


# --- matching ---------------------------------------------------------------------------------------------------------

MAX_ROUTES: Final = 1000  # looked at for one path, those of a mount on the way included
MAX_REMEMBERED: Final = 1024
MAX_REMEMBERED_LENGTH: Final = 256


class _Matches:
    """Templates by path, remembered for a bounded number of paths of bounded length."""

    def __init__(self) -> None:
        self._remembered: dict[tuple[Any, ...], tuple[weakref.ref[Any], str | None]] = {}

    def find(self, owner: Any, scope: Scope) -> str | None:
        """The template below `owner`, an application or a mount, that answers this scope."""
        routes = getattr(owner, "routes", None) or ()
        path = path_below_root(scope)
        # Routes can be added while the application runs, and an id is given again when its object is gone.
        key = (id(owner), len(routes), scope["type"], scope.get("method"), _host_of(scope), path)
        known = self._remembered.get(key)
        if known is not None and known[0]() is owner:
            return known[1]
        found = _Search(scope).among(routes)
        if len(path) <= MAX_REMEMBERED_LENGTH:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = (weakref.ref(owner), found)
        return found


_matches: Final = _Matches()


def _host_of(scope: Scope) -> bytes:
    """What `Host` routes look at; a long one is as good as none."""
    value: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return value if len(value) <= MAX_REMEMBERED_LENGTH else b""


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
        return None if partial is None else _format_of(partial) or None

    def _into(self, route: Any, child_scope: Scope) -> str | None:
        """The template of a route; of a mount, with that of the route inside it."""
        inside = getattr(route, "routes", None)
        if inside is None:
            return _format_of(route) or None
        prefix = mount_prefix(route)
        if not inside:
            return prefix + "/{path}"
        self._scope.update(child_scope)
        found = self.among(inside)
        return prefix + found if found else None


def mount_prefix(mount: Any) -> str:
    """What a mount puts before the paths of its routes; nothing for a `Host`."""
    return _format_of(mount).removesuffix("/{path}")


def names_path(routes: Iterable[Any], path: str) -> bool:
    """Whether a route for GET, or a mount, stands at this very path; a template with parameters does not count."""
    for route in islice(_all_routes(routes), MAX_ROUTES):
        inside = getattr(route, "routes", None)
        if inside is None:
            methods = getattr(route, "methods", None)
            if _format_of(route) == path and (not methods or "GET" in methods):
                return True
            continue
        prefix = mount_prefix(route)
        if path == prefix or (path.startswith(prefix + "/") and names_path(inside, path[len(prefix) :])):
            return True
    return False
