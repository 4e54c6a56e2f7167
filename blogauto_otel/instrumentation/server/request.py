"""One request: its state, updated with each ASGI message, its context, and its classification at the end.

Every request takes this path, so it is written flat: a call costs as much as ten lines of work.

A request restores what was in force outside it at its end and while the last message is sent: a server starts its
keep-alive timer then, and the timer holds the context it was started in until the event loop discards it. Values are
set, not reset by token, because a response may be sent in another task than the one that the request began in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter_ns, time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from opentelemetry.context import Context as OtelContext
from opentelemetry.trace import INVALID_SPAN, Link, Span

from blogauto_otel import semconv
from blogauto_otel._class_names import type_name
from blogauto_otel._guard import guard, swallow
from blogauto_otel._otel import attach_context, current_context
from blogauto_otel.api.context import SCOPE, RequestScope, bind
from blogauto_otel.api.context import Scope as BoundScope
from blogauto_otel.instrumentation.server import request_context
from blogauto_otel.instrumentation.server.exceptions import error_type, is_cancellation, is_client_disconnect
from blogauto_otel.instrumentation.server.headers import REQUEST_ID, WELL_FORMED
from blogauto_otel.instrumentation.server.routes import RouteTracker
from blogauto_otel.instrumentation.server.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from blogauto_otel.instrumentation.server.paths import SecretPaths

# nginx's status code for a client that disconnected before the response started; it has no official name.
CLIENT_CLOSED_REQUEST: Final = "499"
CRASHED: Final = "500"
REDIRECT: Final = 307  # with a slash more or less

_TRAILERS: Final = "http.response.trailers"
_ID_LENGTH: Final = len(REQUEST_ID)
_STATUSES: Final = {code: str(code) for code in range(100, 600)}
_NO_HEADERS: Final[Mapping[bytes, bytes]] = MappingProxyType({})
_NOTHING_BOUND: Final = BoundScope({})
# OpenTelemetry's context, and the values of other variables.
Inside: TypeAlias = tuple[OtelContext, request_context.Values]

# Messages that may be the last of a response, and the field that says whether more of them follow.
_LAST: Final = {
    "http.response.body": "more_body",
    "http.response.zerocopysend": "more_body",
    "http.response.trailers": "more_trailers",
    "http.response.pathsend": "",
}


class Request(RequestScope, RouteTracker):
    """An HTTP request while it lasts.

    `ended` is when the server accepted the last byte of the response (`perf_counter_ns`); a background task after it is
    not part of the request's duration.
    """

    # Slots, all of them set at the start: reading an attribute that only the class has costs five times as much.
    __slots__ = (
        "_is_last_sent", "_receive", "_send", "_trailers", "began", "began_at", "client_disconnected",
        "client_disconnected_early", "code", "context", "ended", "error", "error_type", "extra_attributes", "failed",
        "finished", "handled", "has_reported_error", "headers", "is_counted", "is_own_span", "is_unwritten", "links",
        "method", "mount", "name", "on_response", "outer", "outer_scope", "outer_variables", "parent", "prefix",
        "recording", "reported_error", "response_headers", "route", "route_scope", "safe_route", "sampled", "scope",
        "seconds", "secrets", "span", "status", "template",
    )  # fmt: skip

    is_websocket = False

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        method: str,
        request_id: bytes,
        outer: OtelContext,
        headers: Mapping[bytes, bytes],
        secrets: SecretPaths,
    ) -> None:
        self.began_at = time_ns()
        self.began = perf_counter_ns()
        self.scope = self.route_scope = scope
        self.method = method
        self.outer = self.context = self.parent = outer
        self._receive = receive
        self._send = send
        # As in `RequestScope`, without the call.
        self.id = request_id
        self.outer_scope = found = SCOPE.get()
        self.outside = found.outside  # a pipelined request starts in the context of the request before it
        self.opened = self.secret_path = None  # its path, if that has a secret in it; known at its end
        self.has_ended = False
        self.statements = None

        self.span: Span = INVALID_SPAN
        self.sampled = False  # its span will be exported
        self.recording = False
        self.is_own_span = False  # a recording one of our provider
        self.name = ""  # that its span got at the start
        self.links: tuple[Link, ...] = ()  # to the trace of a sender that is not trusted
        self.headers = headers  # the first of each name
        self.response_headers: Iterable[tuple[bytes, bytes]] | None = None  # () to have them recorded
        self.on_response: Callable[[Span, Scope, int], None] | None = None
        self.secrets = secrets
        self.outer_variables: request_context.Values = ()  # in force before it
        self.extra_attributes: Mapping[str, str] | None = None  # for its span, sampled or deferred

        # Recorded while it lasts.
        self.prefix = ""  # of the mounts that routing passed
        self.mount = self.route = self.safe_route = None
        self.ended: int | None = None
        self.code: int | None = None  # that was sent
        self.error: BaseException | None = None  # that the application did not handle
        self.handled: BaseException | None = None  # that a handler of the application turned into a response
        self.client_disconnected = self.client_disconnected_early = False  # before the response was complete; started
        self._trailers = self._is_last_sent = False

        # The classification.
        self.finished = self.failed = False  # failed by the application, not by the client
        self.status = ""  # label of the request counter
        self.seconds = 0.0
        self.template: str | None = None  # of the route
        self.error_type: str | None = None

        # Reported already: its error; by an error record with an exception or a Sentry event; to the hooks.
        self.is_counted = self.has_reported_error = False
        self.reported_error: BaseException | None = None
        self.is_unwritten = True  # its deferred span; deleted by the one that writes it

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

    async def send(self, message: Message) -> None:  # noqa: C901 - flat, because every request takes it
        """The server's `send`; records the status and the last byte, and adds the request id to the headers.

        The last message is passed on outside the request's context, and what comes after it is inside again.
        """
        inside = None
        try:
            kind = message["type"]
            if kind == "http.response.start":
                if self.code is None:  # a second one is refused by the server
                    message = self._started(message)
            elif kind in _LAST and not message.get(_LAST[kind]) and not (self._trailers and kind != _TRAILERS):
                self._is_last_sent = True
                template = self.template = self.find_template() or self.match_template()
                if SCOPE.get() is self:
                    if not self.has_ended:
                        self.has_ended = True  # for timers that it has set
                        if template is None or self.secrets.known.get(template) is not False:
                            self.secrets.remember(self)
                    inside = self._step_out()
        except BaseException as error:
            if not swallow("reading a response", error):
                raise
        try:
            await self._send(message)
        except GeneratorExit:  # abandoned, and closed in whatever context
            raise
        except BaseException as error:
            if inside is not None:
                self._step_in(inside)
            if isinstance(error, OSError):  # ASGI 2.4: the client is gone
                self._set_client_disconnected()
            raise
        if self._is_last_sent and self.ended is None:
            self.ended = perf_counter_ns()
        if inside is not None:
            self._step_in(inside)

    # --- its context ----------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Make it the current request of this task, and of all tasks and threads that the task starts."""
        if request_context.state.variables:
            self.outer_variables = request_context.save_variables()
        SCOPE.set(self)
        attach_context(self.context)
        if request_context.state.variables:
            request_context.set_variables()

    def leave(self) -> None:
        """Restore what was in force before the request; in the context of another request, do nothing."""
        # The garbage collector closes an abandoned coroutine in whatever context it runs in.
        try:
            if SCOPE.get() is self:
                if not self.has_ended:
                    self.has_ended = True
                    self.secrets.remember(self)
                self._step_out()
        finally:
            self.release()

    def _step_out(self) -> Inside:
        """Restore it, in the context of the request; returns what `_step_in` needs."""
        scope, variables = self.outer_scope, self.outer_variables
        inside = (current_context(), request_context.save_variables() if variables else ())
        if self.secret_path is not scope.secret_path and not scope.is_request:
            scope = BoundScope(scope.outside, self.secret_path)  # for servers, which log the request after its end
        SCOPE.set(scope)
        attach_context(self.outer)
        if variables:
            request_context.restore_variables(variables)
        return inside

    def _step_in(self, inside: Inside) -> None:
        try:
            SCOPE.set(self)
            attach_context(inside[0])
            if inside[1]:
                request_context.restore_variables(inside[1])
        except BaseException as error:
            if not swallow("returning to the context of a request", error):
                raise

    # --- the response ---------------------------------------------------------------------------------------------

    def _set_client_disconnected(self) -> None:
        self.client_disconnected = True
        self.client_disconnected_early = self.code is None

    def _started(self, message: Message) -> Message:
        code = message["status"]
        self.code = code if type(code) is int else int(code)  # applications put members of `HTTPStatus` there
        self._trailers = "trailers" in message and message["trailers"]
        given = message.get("headers") or ()
        # Any iterable is allowed, also one that can be read only once: its list is then passed on.
        headers = given if type(given) in (list, tuple) else list(given)
        if self.response_headers is not None:
            self.response_headers = tuple(headers)
        if self.on_response is not None:
            self.on_response(self.span, self.scope, self.code)
        for header in headers:
            if len(header[0]) == _ID_LENGTH and header[0].lower() == REQUEST_ID:
                return message if headers is given else {**message, "headers": headers}
        # A new message, because a response object may own the headers and be sent again.
        return {**message, "headers": [*headers, (REQUEST_ID, self.id)]}

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
            self.status = _STATUSES.get(code) or str(code)
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

    def current_route(self) -> str | None:
        """`http.route`, also while the request lasts."""
        template = self.template or self.find_template() or self.match_template()
        return None if template is None else self.with_root(template)

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
        kept, scope = _NO_SCOPE, self.scope
        if not self.sampled:  # the strings that a span needs; a task may hold the request for ever
            get = scope.get
            kept = {
                "path": get("path", ""),
                "scheme": get("scheme", "http"),
                "method": get("method", ""),
                "headers": (),
            }
        self.scope = self.route_scope = kept
        self.headers = _NO_HEADERS
        self.outer_scope = _NOTHING_BOUND
        self.outer_variables = ()
        self.statements = None
        self.mount = self.route = self.safe_route = self.on_response = self.response_headers = None


class WebSocketRequest(Request):
    """A websocket session; its status is that of the handshake."""

    __slots__ = ()

    is_websocket = True

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


def current() -> Request | None:
    """The request of this task or thread; copies of the context share it."""
    scope = SCOPE.get()
    return scope if isinstance(scope, Request) else None


_NO_SCOPE: Final[Scope] = {}


# Status codes of handshakes; a denial with its own response (ASGI extension) has its own status.
_HANDSHAKES: Final = {"websocket.accept": 101, "websocket.close": 403}
