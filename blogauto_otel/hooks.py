"""Hooks: functions of the application that add to our spans while these are open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field  # the standard one: the reference of the site reads its parameters
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Span


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Hooks for `configure(hooks=...)`; one that raises is counted and logged, and the request goes on.

    Args:
        server_request: called with the server span and the ASGI scope when a request begins.
        server_response: called with the server span, the ASGI scope and the status code when the response begins.
        client_request: by library (`httpx`, `requests`, `aiohttp`, `redis`, ...): the `request_hook` of its
            instrumentor, which is called with the client span and what that instrumentor passes.
        client_response: by library: its `response_hook`.
        sql_statement: called with the span of a statement, the statement as it was executed, and whether its parameters
            were given apart from it. The statement may contain literal values: `db.query.text` does not.

    Examples:
        >>> hooks = Hooks(server_request=lambda span, scope: span.set_attribute("shop.port", scope["server"][1]))
    """

    server_request: Callable[[Span, MutableMapping[str, Any]], None] | None = None
    server_response: Callable[[Span, MutableMapping[str, Any], int], None] | None = None
    client_request: Mapping[str, Callable[..., None]] = field(default_factory=dict)
    client_response: Mapping[str, Callable[..., None]] = field(default_factory=dict)
    sql_statement: Callable[[Span, str, bool], None] | None = None
