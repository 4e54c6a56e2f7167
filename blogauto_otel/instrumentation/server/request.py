"""One request: its state, updated with each ASGI message, and its classification at the end.

Every request takes this path, so it is written flat: a call costs as much as ten lines of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context as OtelContext
from opentelemetry.trace import INVALID_SPAN, Link, Span

from blogauto_otel import semconv
from blogauto_otel._guard import guard, swallow
from blogauto_otel.api.context import bind
from blogauto_otel.api.text import type_name
from blogauto_otel.instrumentation.server import request_context
from blogauto_otel.instrumentation.server.exceptions import error_type, is_cancellation, is_client_disconnect
from blogauto_otel.instrumentation.server.headers import REQUEST_ID, WELL_FORMED
from blogauto_otel.instrumentation.server.routes import RouteTracker
from blogauto_otel.instrumentation.server.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from blogauto_otel.instrumentation.server.paths import SecretPath, SecretPaths

# nginx's status code for a client that disconnected before the response started; it has no official name.
CLIENT_CLOSED_REQUEST: Final = "499"
CRASHED: Final = "500"
REDIRECT: Final = 307  # with a slash more or less

# Messages that may be the last of a response, and the field that says whether more of them follow.
_LAST: Final = {
    "http.response.body": "more_body",
    "http.response.zerocopysend": "more_body",
    "http.response.trailers": "more_trailers",
    "http.response.pathsend": "",
}


class Request(RouteTracker):
    """An HTTP request while it lasts.

    `ended` is when the server accepted the last byte of the response (`perf_counter_ns`); a background task after it is
    not part of the request's duration.
    """

    is_websocket = False

    # Set at its start.
    id: bytes = b""
    span: Span = INVALID_SPAN
    sampled = False  # its span will be exported
    recording = False
    context: OtelContext
    parent: OtelContext
    paths: SecretPaths | None = None
    on_response: Callable[[Span, Scope, int], None] | None = None
    response_headers: Iterable[tuple[bytes, bytes]] | None = None  # () to have them recorded
    outside: request_context.Values | None = None  # in force before it
    links: tuple[Link, ...] = ()  # to the trace of a sender that is not trusted

    # Recorded while it lasts.
    ended: int | None = None
    code: int | None = None  # that was sent
    error: BaseException | None = None  # that the application did not handle
    handled: BaseException | None = None  # that a handler of the application turned into a response
    client_disconnected = False  # before the response was complete
    client_disconnected_early = False  # before the response started
    secret_path: SecretPath | None = None  # its path, if that has a secret in it; known at its end
    extra_attributes: Mapping[str, str] | None = None  # for its span, sampled or deferred

    # The classification.
    finished = False
    status = ""  # label of the request counter
    failed = False  # by the application, not by the client
    error_type: str | None = None
    template: str | None = None  # of the route
    name: str = ""  # that its span got at the start
    seconds = 0.0

    # Reported already.
    is_counted = False  # its error
    has_reported_error = False  # by an error record with an exception or a Sentry event
    written_by: object = None  # the caller that writes its deferred span
    reported_error: BaseException | None = None  # the exception that the hooks were called with

    _trailers = False
    _is_last_sent = False

    def __init__(self, scope: Scope, receive: Receive, send: Send, method: str) -> None:
        self.began_at = time_ns()
        self.began = perf_counter_ns()
        self.scope = self.route_scope = scope
        self.method = method
        self._receive = receive
        self._send = send

    @property
    def exception(self) -> BaseException | None:
        """The exception that it ended in, whether the application handled it or not."""
        return self.error or self.handled

    @property
    def ended_at(self) -> int:
        """The end as `time_ns` has it; a clock that is set meanwhile does not make the request longer."""
        return self.began_at + int(self.seconds * 1e9)

    # --- messages -------------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The server's `receive`; records a client disconnect."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._is_last_sent:
            self._set_client_disconnected()
        return message

    async def send(self, message: Message) -> None:
        """The server's `send`; records the status and the last byte, and adds the request id to the headers."""
        last = False
        try:
            kind = message["type"]
            if kind == "http.response.start":
                if self.code is None:  # a second one is refused by the server
                    message = self._started(message)
            elif kind in _LAST and not message.get(_LAST[kind]) and self._is_last(kind):
                last = self._is_last_sent = True
        except BaseException as error:
            if not swallow("reading a response", error):
                raise
        if last:
            await self._send_last(message)
            return
        try:
            await self._send(message)
        except OSError:  # ASGI 2.4: the client is gone
            self._set_client_disconnected()
            raise

    async def _send_last(self, message: Message) -> None:
        """Pass on the last message outside the request's context, and return to the context for what comes after."""
        inside = self._leave_context()
        try:
            await self._send(message)
        except GeneratorExit:  # abandoned, and closed in whatever context
            raise
        except BaseException as error:
            self._return_to(inside)
            if isinstance(error, OSError):
                self._set_client_disconnected()
            raise
        self.ended = perf_counter_ns()
        self._return_to(inside)

    def _leave_context(self) -> request_context.Values | None:
        try:
            self.template = self.find_template() or self.match_template()
            if self.paths is not None:
                self.paths.remember(self)  # for servers that log the request from here on
            inside = request_context.save()
            request_context.leave_request(self)
        except BaseException as error:
            if not swallow("leaving the context of a request", error):
                raise
            return None
        return inside

    def _return_to(self, inside: request_context.Values | None) -> None:
        try:
            if inside is not None:
                request_context.restore(inside)
        except BaseException as error:
            if not swallow("returning to the context of a request", error):
                raise

    def _set_client_disconnected(self) -> None:
        self.client_disconnected = True
        self.client_disconnected_early = self.code is None

    def _started(self, message: Message) -> Message:
        self.code = int(message["status"])  # applications put members of `HTTPStatus` there
        self._trailers = "trailers" in message and message["trailers"]
        given = message.get("headers") or ()
        # Any iterable is allowed, also one that can be read only once: its list is then passed on.
        headers = given if type(given) in (list, tuple) else list(given)
        if self.response_headers is not None:
            self.response_headers = tuple(headers)
        if self.on_response is not None:
            self.on_response(self.span, self.scope, self.code)
        for header in headers:
            name = header[0]
            if name == REQUEST_ID or (len(name) == len(REQUEST_ID) and name.lower() == REQUEST_ID):
                return message if headers is given else {**message, "headers": headers}
        # A new message, because a response object may own the headers and be sent again.
        return {**message, "headers": [*headers, (REQUEST_ID, self.id)]}

    def _is_last(self, kind: str) -> bool:
        return not self._trailers or kind == "http.response.trailers"

    # --- the end --------------------------------------------------------------------------------------------------

    def classify(self) -> None:
        """Set status, failure and error type, once it has ended."""
        self.finished = True
        code = self.code
        self.seconds = ((self.ended or perf_counter_ns()) - self.began) / 1e9
        if not self._is_last_sent:
            self.template = self.find_template() or self.match_template()
        if self.error is not None or self.ended is None or self.client_disconnected or code is None or code >= 500:
            self._classify_failure()
        else:
            self.status = str(code)
            if code == REDIRECT and self.template is None:
                with guard("finding the route of a redirect"):
                    self.template = self.redirect_target()

    def _classify_failure(self) -> None:
        """The first rule that fits."""
        code = self.code
        self.status = str(code)
        if self.crashed:
            self._fail(type_name(type(self.error)), self.status if self.ended else CRASHED)
        elif self.client_disconnected_early:
            self.status, self.code = CLIENT_CLOSED_REQUEST, None
        elif code is None:
            self._fail("no_response", CRASHED)
        elif self.ended is None and not self.client_disconnected:
            self._fail("incomplete_response", CRASHED)
        elif code >= 500:
            self._fail(error_type(self.handled, code), self.status)

    def _fail(self, error_type: str, status: str) -> None:
        self.failed, self.error_type, self.status = True, error_type, status

    @property
    def crashed(self) -> bool:
        """Whether an unhandled exception is the application's own, not the effect of a client disconnect."""
        error = self.error
        return error is not None and not (
            is_client_disconnect(error) or (self.client_disconnected and is_cancellation(error))
        )

    def span_name(self) -> str:
        """Method and route; `HTTP` stands for a method that is not a standard one."""
        method = "HTTP" if self.method == semconv.OTHER_METHOD else self.method
        route = self.http_route
        return f"{method} {route}" if route else method

    @property
    def http_route(self) -> str | None:
        """`http.route`: the template with the root path of the application before it, as the conventions have it."""
        return None if self.template is None else self.with_root(self.template)

    def path_template(self) -> str | None:
        """The template for the path, also where no route answers: below a mount, and before a redirect."""
        template = self.template if self._is_last_sent else self.find_template() or self.match_template()
        if template is None and self.prefix:
            return self.prefix + "/{path}"
        if template is None and self.code == REDIRECT:
            with guard("finding the route of a redirect"):
                return self.redirect_target()
        return template

    def with_root(self, template: str) -> str:
        """A template with the root path of the application before it."""
        scope = self.scope
        # A mount adds its own path to `root_path`, and keeps what was there (before Starlette 0.33 it does not).
        root = scope["app_root_path"] if "app_root_path" in scope else "" if self.prefix else scope.get("root_path")
        if not root or not isinstance(root, str):
            return template
        return root.rstrip("/") + template

    def adopt_id(self, request_id: str) -> None:
        """Take the id that the application's middleware has chosen, if it is well-formed."""
        encoded = request_id.encode("latin-1", "replace")
        if encoded == self.id or not WELL_FORMED.fullmatch(encoded):
            return
        self.id = encoded
        bind(request_id=request_id)
        self.span.set_attribute(semconv.REQUEST_ID, request_id)

    def add_attributes(self, attributes: Mapping[str, str]) -> None:
        """Add attributes to its span, whether that is sampled or deferred."""
        self.extra_attributes = {**(self.extra_attributes or {}), **attributes}

    def release(self) -> None:
        """Release references: tasks that outlive the request hold this object."""
        self.error = self.handled = self.reported_error = None
        # A deferred span may still be written, when such a task reports an error.
        self.scope = self.route_scope = _NO_SCOPE if self.sampled else _span_scope(self.scope)
        self.mount = self.route = self.outside = self.on_response = self.response_headers = None


class WebSocketRequest(Request):
    """A websocket session; its status is that of the handshake."""

    is_websocket = True

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send, "WS")

    async def receive(self) -> Message:
        """The server's `receive`."""
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The server's `send`; records the status of the handshake."""
        if self.code is None:
            with guard("reading the response to a handshake"):
                status = _HANDSHAKES.get(message["type"])
                self.code = message.get("status") if status is None else status
                if self.on_response is not None and self.code is not None:
                    self.on_response(self.span, self.scope, self.code)
        await self._send(message)

    def classify(self) -> None:
        """Set failure and error type, once it has ended: it failed when an exception of the application ended it."""
        self.finished = True
        self.seconds = (perf_counter_ns() - self.began) / 1e9
        self.template = self.find_template() or self.match_template()
        if self.crashed:
            self._fail(type_name(type(self.error)), "")


_NO_SCOPE: Final[Scope] = {}


def _span_scope(scope: Scope) -> Scope:
    """The strings that a span needs from a scope; a task may hold the request for ever."""
    return {
        "path": scope.get("path", ""),
        "scheme": scope.get("scheme", "http"),
        "method": scope.get("method", ""),
        "headers": (),
    }


# Status codes of handshakes; a denial with its own response (ASGI extension) has its own status.
_HANDSHAKES: Final = {"websocket.accept": 101, "websocket.close": 403}
