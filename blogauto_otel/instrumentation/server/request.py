"""One request: what passes between server and application is noted here, message by message, and judged at the end.

This is the path that every request takes, so it is written flat: a call costs what ten lines of work cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from time import perf_counter_ns, time_ns
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span

from blogauto_otel import semconv
from blogauto_otel._guard import guard, swallow
from blogauto_otel.api.text import class_name, module_name, type_name
from blogauto_otel.instrumentation.server.headers import REQUEST_ID
from blogauto_otel.instrumentation.server.types import Message, Receive, Scope, Send
from blogauto_otel.instrumentation.starlette.routes import Way

# What nginx says of a client that left before anything was sent to it; the status code has no official name for it.
CLIENT_LEFT: Final = "499"
CRASHED: Final = "500"

# Messages that may be the last of a response, and the field that says whether more of them follow.
_LAST: Final = {
    "http.response.body": "more_body",
    "http.response.zerocopysend": "more_body",
    "http.response.trailers": "more_trailers",
    "http.response.pathsend": "",
}

_CLIENT_ERRORS: Final = frozenset({"ClientDisconnect", "WebSocketDisconnect"})
_GROUPS: Final = frozenset({"ExceptionGroup", "BaseExceptionGroup"})  # by name: Python 3.10 has them from a package
_MAX_GROUPS: Final = 100  # within each other
_CANCELLED: Final = frozenset({"CancelledError", "Cancelled"})


class Request(Way):
    """An HTTP request while it lasts.

    `ended` is when the last byte of the response had been taken by the server (`perf_counter_ns`); what comes after it,
    such as a background task, is not part of the request's duration.
    """

    is_session = False

    # What it was given at its beginning.
    id: bytes = b""
    span: Span = INVALID_SPAN
    sampled = False  # its span will be exported
    recording = False
    context: Context
    parent: Context
    binding: Token[Any] | None = None
    attached: Token[Any] | None = None
    previous: Token[Any] | None = None
    tokens: Any = None  # of the variables that are set for it
    links: tuple[Link, ...] = ()  # to the trace of a sender that is not trusted

    # What was seen of it.
    ended: int | None = None
    code: int | None = None  # that was sent
    error: BaseException | None = None  # that the application let pass
    handled: BaseException | None = None  # that a handler of the application turned into a response
    left = False  # the client, before all was sent
    client_disconnected_early = False  # the client, before anything was sent
    notes: Mapping[str, str] | None = None  # attributes that its span is to have, sampled or written afterwards

    # The judgement.
    finished = False
    status = ""  # what the counter says
    failed = False  # we, not the client
    error_type: str | None = None
    template: str | None = None  # of the route
    name: str = ""  # that we gave its span
    seconds = 0.0

    # What was told already.
    is_counted = False  # its error
    has_reported_error = False  # an error record with an exception, or a Sentry event; its span is kept
    written_by: object = None  # who writes its span after the fact: the first to put something here
    told: BaseException | None = None  # the exception that the hooks know of

    _trailers = False
    _last_is_on_its_way = False

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

    # --- what passes ----------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The server's `receive`, watched for a client that leaves."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._last_is_on_its_way:
            self._client_left()
        return message

    async def send(self, message: Message) -> None:
        """The server's `send`, watched for the status and the last byte; it adds the request id to the headers."""
        last = False
        try:
            kind = message["type"]
            if kind == "http.response.start":
                if self.code is None:  # a second one is refused by the server
                    message = self._started(message)
            elif kind in _LAST and not message.get(_LAST[kind]) and self._is_last(kind):
                last = self._last_is_on_its_way = True
        except BaseException as error:
            if not swallow("reading a response", error):
                raise
        try:
            await self._send(message)
        except OSError:  # ASGI 2.4: the client is gone
            self._client_left()
            raise
        if last:
            self.ended = perf_counter_ns()

    def _client_left(self) -> None:
        self.left = True
        self.client_disconnected_early = self.code is None

    def _started(self, message: Message) -> Message:
        self.code = int(message["status"])  # applications put members of `HTTPStatus` there
        self._trailers = "trailers" in message and message["trailers"]
        given = message.get("headers") or ()
        # Any iterable will do, also one that can be read only once: what was read from that is what must go on.
        headers = given if type(given) in (list, tuple) else list(given)
        for header in headers:
            name = header[0]
            if name == REQUEST_ID or (len(name) == len(REQUEST_ID) and name.lower() == REQUEST_ID):
                return message if headers is given else {**message, "headers": headers}
        # A new message, because the headers may belong to a response object that is sent again.
        return {**message, "headers": [*headers, (REQUEST_ID, self.id)]}

    def _is_last(self, kind: str) -> bool:
        return not self._trailers or kind == "http.response.trailers"

    # --- the end --------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Say how it ended."""
        self.finished = True
        code = self.code
        self.seconds = ((self.ended or perf_counter_ns()) - self.began) / 1e9
        self.template = self.find_template() or self.match_template()
        if self.error is not None or self.ended is None or self.left or code is None or code >= 500:
            self._judge_trouble()
        else:
            self.status = str(code)
            if code == 307 and self.template is None:
                with guard("finding the route of a redirect"):
                    self.template = self.redirect_target()

    def _judge_trouble(self) -> None:
        """The first rule that fits."""
        code = self.code
        self.status = str(code)
        if self.crashed:
            self._fail(type_name(type(self.error)), self.status if self.ended else CRASHED)
        elif self.client_disconnected_early:
            self.status, self.code = CLIENT_LEFT, None
        elif code is None:
            self._fail("no_response", CRASHED)
        elif self.ended is None and not self.left:
            self._fail("incomplete_response", CRASHED)
        elif code >= 500:
            self._fail(_failure(self.handled, code), self.status)

    def _fail(self, error_type: str, status: str) -> None:
        self.failed, self.error_type, self.status = True, error_type, status

    @property
    def crashed(self) -> bool:
        """Whether an exception that nobody handled is the application's own; a client that leaves causes some too."""
        error = self.error
        return error is not None and not (
            is_client_disconnect(error) or (self.left and class_name(type(error)) in _CANCELLED)
        )

    def span_name(self) -> str:
        """Method and route; `HTTP` stands for a method that is not a standard one."""
        method = "HTTP" if self.method == semconv.OTHER_METHOD else self.method
        route = self.http_route
        return f"{method} {route}" if route else method

    @property
    def http_route(self) -> str | None:
        """`http.route`: the template with the root path of the application before it, as the conventions have it."""
        template, scope = self.template, self.scope
        # A mount adds its own path to `root_path`, and keeps what was there (before Starlette 0.33 it does not).
        root = scope["app_root_path"] if "app_root_path" in scope else "" if self.prefix else scope.get("root_path")
        if not template or not root or not isinstance(root, str):
            return template
        return root.rstrip("/") + template

    def release(self) -> None:
        """Let go of everything: tasks that the request left behind keep this object alive."""
        self.error = self.handled = self.told = None
        # A span may still be written after the fact, when a task that outlives the request reports an error.
        self.scope = self.route_scope = _NO_SCOPE if self.sampled else _span_scope(self.scope)
        self.mount = self.route = None


class Session(Request):
    """A websocket session: the handshake's status is its status, and it lasts as long as it likes."""

    is_session = True

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send, "WS")

    async def receive(self) -> Message:
        """The server's `receive`."""
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The server's `send`, watched for the answer to the handshake."""
        if self.code is None:
            with guard("reading the answer to a handshake"):
                status = _HANDSHAKES.get(message["type"])
                self.code = message.get("status") if status is None else status
        await self._send(message)

    def judge(self) -> None:
        """Say how it ended: it failed when an exception of the application ended it."""
        self.finished = True
        self.seconds = (perf_counter_ns() - self.began) / 1e9
        self.template = self.find_template() or self.match_template()
        if self.crashed:
            self._fail(type_name(type(self.error)), "")


_NO_SCOPE: Final[Scope] = {}


def _span_scope(scope: Scope) -> Scope:
    """What a span needs of a scope: strings only, because a task may keep the request for ever."""
    return {
        "path": scope.get("path", ""),
        "scheme": scope.get("scheme", "http"),
        "method": scope.get("method", ""),
        "headers": (),
    }


# The status that the client sees of a handshake; a refusal with a response of its own (ASGI extension) says its status.
_HANDSHAKES: Final = {"websocket.accept": 101, "websocket.close": 403}


def alone(error: BaseException) -> BaseException:
    """The exception in a group of one, which is how task groups raise what was raised in them."""
    for _ in range(_MAX_GROUPS):
        inside: Any = getattr(error, "exceptions", ()) if class_name(type(error)) in _GROUPS else ()
        if len(inside) != 1:
            break
        error = inside[0]
    return error


def is_client_disconnect(error: BaseException) -> bool:
    """Whether an exception only says that the client has gone away."""
    kind = type(error)
    return class_name(kind) in _CLIENT_ERRORS and module_name(kind).startswith(("starlette.", "fastapi."))


def _failure(handled: BaseException | None, code: int) -> str:
    """An HTTPException says no more than its status code."""
    if handled is None or _has_status(handled):
        return str(code)
    return type_name(type(handled))


def _has_status(error: BaseException) -> bool:
    with guard("looking for an exception's status"):
        return hasattr(error, "status_code")
    return False


# The request that is being answered in this task or thread; kept in copies of the context like everything bound.
current: Final[ContextVar[Request | None]] = ContextVar("blogauto_otel_request", default=None)
