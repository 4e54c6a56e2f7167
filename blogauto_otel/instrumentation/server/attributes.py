"""Attributes of server spans, by the stable HTTP semantic conventions.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
"""

from __future__ import annotations

from typing import Final, TypeAlias
from urllib.parse import quote

from opentelemetry.semconv.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)

from blogauto_otel import semconv
from blogauto_otel.instrumentation.server.paths import SecretPaths
from blogauto_otel.instrumentation.server.request import Request
from blogauto_otel.instrumentation.server.types import Scope, header
from blogauto_otel.redaction import Redactor

Attributes: TypeAlias = dict[str, str | int | bool]

METHOD: Final = http_attributes.HTTP_REQUEST_METHOD
PATH: Final = url_attributes.URL_PATH
SCHEME: Final = url_attributes.URL_SCHEME
ROUTE: Final = http_attributes.HTTP_ROUTE
ERROR_TYPE: Final = error_attributes.ERROR_TYPE
STATUS_CODE: Final = http_attributes.HTTP_RESPONSE_STATUS_CODE
PROTOCOL_VERSION: Final = network_attributes.NETWORK_PROTOCOL_VERSION

_SAFE: Final = "/!$&'()*+,;=:@~"  # of a path (RFC 3986, section 3.3)
DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def for_sampling(request: Request, redactor: Redactor) -> Attributes:
    """The attributes that a sampler may decide by; an unsampled request needs no others."""
    method = "GET" if request.is_websocket else request.method  # a websocket session begins with one
    return {METHOD: method, SCHEME: request.scope.get("scheme", "http"), PATH: path_of(request.scope, redactor)}


def path_of(scope: Scope, redactor: Redactor) -> str:
    """`url.path`."""
    path: str = scope["path"]
    raw = scope.get("raw_path")
    if not path.isascii() or (raw is not None and b"%" in raw):
        return _encoded_path(path, raw, redactor)
    return path


def _encoded_path(path: str, raw: bytes | None, redactor: Redactor) -> str:
    """`url.path` as it was sent, percent-encoded; decoded when it contains a secret, which is redacted later."""
    if redactor.text(path) is not path:
        return path
    return raw.partition(b"?")[0].decode("latin-1") if raw else quote(path, safe=_SAFE)


def of_request(request: Request, redactor: Redactor) -> Attributes:
    """The other attributes that are known at the start."""
    return {**of_client(request, redactor), **of_server(request)}


def of_server(request: Request) -> Attributes:
    """Those of them that many requests have in common."""
    scope = request.scope
    found: Attributes = {}
    _add_server(found, scope, request.headers.get(b"host"))
    if version := scope.get("http_version"):
        found[PROTOCOL_VERSION] = version
    return found


def of_client(request: Request, redactor: Redactor) -> Attributes:
    """Those of them that are of one request or client."""
    scope = request.scope
    found: Attributes = {semconv.REQUEST_ID: request.id.decode("ascii")}
    if request.is_websocket:
        found[network_attributes.NETWORK_PROTOCOL_NAME] = "websocket"
    elif request.method == semconv.OTHER_METHOD:
        found[http_attributes.HTTP_REQUEST_METHOD_ORIGINAL] = scope["method"]
    if query := scope.get("query_string"):
        found[url_attributes.URL_QUERY] = redactor.query(query.decode("latin-1"))
    if (client := scope.get("client")) and client[0]:
        found[client_attributes.CLIENT_ADDRESS] = client[0]
    if agent := request.headers.get(b"user-agent"):
        found[user_agent_attributes.USER_AGENT_ORIGINAL] = agent.decode("latin-1")
    return found


def _add_server(found: Attributes, scope: Scope, host: bytes | None) -> None:
    """The name in the Host header; without it, the address that the server listens on."""
    named = _host_and_port(host.decode("latin-1")) if host else None
    address, port = named or scope.get("server") or (None, None)
    if not address:
        return
    found[server_attributes.SERVER_ADDRESS] = address
    if port is None and named is not None:
        port = DEFAULT_PORTS.get(scope.get("scheme", "http"))
    if port is not None:
        found[server_attributes.SERVER_PORT] = port


def url(scope: Scope) -> str:
    """The URL of a request without its query, as patterns of excluded URLs are written for."""
    server = scope.get("server") or ("", None)
    host = header(scope, b"host") or (server[0] if server[1] is None else f"{server[0]}:{server[1]}")
    return f"{scope.get('scheme', 'http')}://{host}{scope.get('path', '')}"


def _host_and_port(host: str) -> tuple[str, int | None] | None:
    name, colon, digits = host.rpartition(":")
    if not colon or digits.endswith("]"):  # no port, or the end of an IPv6 address
        return host.strip("[]"), None
    if not (name and len(digits) <= 5 and digits.isascii() and digits.isdigit()):
        return None
    return name.strip("[]"), int(digits)


def of_response(request: Request, paths: SecretPaths) -> Attributes:
    """The attributes that are known at the end."""
    found: Attributes = {}
    route = request.http_route
    if route is not None:
        found[ROUTE] = route
    secret = paths.find(request)
    if secret is not None:
        found[PATH] = secret.template
    if request.code is not None:
        found[STATUS_CODE] = request.code
    if request.error_type is not None:
        found[ERROR_TYPE] = request.error_type
    if request.client_disconnected:
        found[semconv.CLIENT_LEFT] = True
    if request.extra_attributes is not None:
        found.update(request.extra_attributes)
    return found
