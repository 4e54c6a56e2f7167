"""Calls that wait for a library to be imported.

wrapt has the same, and takes as long to import as half of our instrumentation.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final, cast

from blogauto_otel._guard import guard

Hook = Callable[[ModuleType], object]

_lock: Final = threading.RLock()
_waiting: Final[dict[str, list[Hook]]] = {}


def when_imported(name: str, call: Hook) -> None:
    """Call with the module: now if it is imported, else right after it is; the same call waits once."""
    with _lock:
        module = sys.modules.get(name)
        if module is None:
            hooks = _waiting.setdefault(name, [])
            if call not in hooks:
                hooks.append(call)
            if _finder not in sys.meta_path:
                sys.meta_path.insert(0, _finder)
    if module is not None:
        call(module)


def _notify(module: ModuleType, name: str) -> None:
    with _lock:
        hooks = _waiting.pop(name, [])
    for call in hooks:  # not with the lock, because it may import
        with guard(f"instrumenting {name}"):
            call(module)


class _Finder:
    """Finds what the other finders find, and has us called after a module that is waited for."""

    def __init__(self) -> None:
        self._busy: set[tuple[int, str]] = set()  # a finder of another library may ask all finders, as this one does

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        asked = threading.get_ident(), name
        if name not in _waiting or asked in self._busy:
            return None
        self._busy.add(asked)
        try:
            spec: Any = self._found_by_others(name, path, target)
        finally:
            self._busy.discard(asked)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)
        return cast("ModuleSpec | None", spec)

    def _found_by_others(self, name: str, path: Sequence[str] | None, target: Any) -> Any:
        for finder in tuple(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                return spec
        return None


class _Loader:
    """Stands in for a loader until its module runs, so that the module and its spec keep their own."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`."""
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = self._inner
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._inner
        self._inner.exec_module(module)
        _notify(module, module.__name__ if spec is None else spec.name)


_finder: Final = _Finder()
