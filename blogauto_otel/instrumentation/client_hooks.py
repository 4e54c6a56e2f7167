"""The application's hooks for client spans, under the argument names that each contrib instrumentor takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel._guard import guarded, log_once, swallow
from blogauto_otel.instrumentation import Context

Hook = Callable[..., Any]

# The arguments for requests and for responses, by entry point name; the names of one that is not here are REQUEST_HOOK
# and RESPONSE_HOOK. A name that begins with `async_` takes a coroutine function.
REQUEST_HOOK: Final = "request_hook"
RESPONSE_HOOK: Final = "response_hook"
_ASYNC_TOO: Final = ((REQUEST_HOOK, "async_request_hook"), (RESPONSE_HOOK, "async_response_hook"))
_NONE: Final[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())
ARGUMENTS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = MappingProxyType(
    {
        "httpx": _ASYNC_TOO,
        "httpx2": _ASYNC_TOO,
        "kafka": (("produce_hook",), ("consume_hook",)),
        "aiokafka": (("async_produce_hook",), ("async_consume_hook",)),
        "pika": (("publish_hook",), ("consume_hook",)),
        "celery": _NONE,
        "confluent_kafka": _NONE,
        "tortoiseorm": _NONE,
    }
)

# What users call a library where its entry point has another name.
_ALIASES: Final[Mapping[str, str]] = MappingProxyType({"aiohttp-client": "aiohttp", "kafka": "kafka-python"})


def arguments(name: str, context: Context) -> dict[str, Hook]:
    """The hooks for the instrumentor with this entry point name, as arguments of its `instrument`."""
    request_names, response_names = ARGUMENTS.get(name, ((REQUEST_HOOK,), (RESPONSE_HOOK,)))
    found = {}
    for hook, names in zip(_hooks_of(name, context), (request_names, response_names), strict=True):
        if hook is not None:
            found.update({argument: usable for argument in names if (usable := _for_argument(argument, hook, name))})
    return found


def log_unused(context: Context, instrumented: frozenset[str]) -> None:
    """Log the libraries that have a hook and no instrumentation that takes it."""
    taking = {name for name in instrumented if ARGUMENTS.get(name) != _NONE}
    taking |= {_ALIASES[name] for name in taking if name in _ALIASES}
    unused = sorted({name for given in _given(context) for name in given} - taking)
    if unused:
        log_once(
            f"unused hooks {unused}",
            "hooks for %s are not used: no instrumentation that takes hooks is on under that name",
            ", ".join(unused),
        )


def _given(context: Context) -> tuple[Mapping[str, Hook], Mapping[str, Hook]]:
    hooks = getattr(context, "hooks", None)
    return getattr(hooks, "client_request", {}), getattr(hooks, "client_response", {})


def _hooks_of(name: str, context: Context) -> tuple[Hook | None, Hook | None]:
    request, response = (hooks.get(name) or hooks.get(_ALIASES.get(name, name)) for hooks in _given(context))
    return request, response


def _for_argument(argument: str, hook: Hook, name: str) -> Hook | None:
    """The hook in the form that the argument takes; None for a coroutine function where no coroutine is awaited."""
    is_async = inspect.iscoroutinefunction(hook)
    if argument.startswith("async_"):
        return _guarded_async(hook, name, is_async=is_async)
    return None if is_async else guarded(f"the application's hook for {name}", None)(hook)


def _guarded_async(hook: Hook, name: str, *, is_async: bool) -> Hook:
    @functools.wraps(hook)
    async def call(*args: Any, **kwargs: Any) -> None:
        try:
            result = hook(*args, **kwargs)
            if is_async:
                await result
        except Exception as error:
            if not swallow(f"the application's hook for {name}", error):
                raise

    return call
