"""One request: what passes between server and application is noted here, message by message, and judged at the end."""

from __future__ import annotations

from contextvars import ContextVar, Token
from time import perf_counter_ns, time_ns
from typing import Any, Final, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext

from blogauto_otel import semconv
from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.asgi.headers import REQUEST_ID
from blogauto_otel.instrumentation.asgi.protocol import Message, Receive, Scope, Send
from blogauto_otel.instrumentation.asgi.routes import Way
from blogauto_otel.signals.context import end_request

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
_CANCELLED: Final = frozenset({"CancelledError", "Cancelled"})


class Outcome(NamedTuple):
    """How a request ended.

    `status` is what the counter says, `code` what was sent if anything was; a client that leaves is not `failed`.
    """

    status: str
    code: int | None
    failed: bool
    error_type: str | None
    route: str | None
    seconds: float


class Request:
    """An HTTP request or a websocket session while it lasts.

    `ended` is when the last byte of the response had been taken by the server (`perf_counter_ns`); what comes after it,
    such as a background task, is not part of the request's duration.
    """

    id: str = ""
    span: Span = INVALID_SPAN
    context: Context
    parent: SpanContext | None = None
    binding: Token[Any] | None = None
    attached: Token[Any] | None = None
    _previous: Token[Any] | None = None

    ended: int | None = None
    code: int | None = None
    error: BaseException | None = None  # that the application let pass
    handled: BaseException | None = None  # that a handler of the application turned into a response
    left = False  # the client, before all was sent
    left_early = False  # the client, before anything was sent

    outcome: Outcome | None = None
    error_is_counted = False
    told: BaseException | None = None  # the exception that the hooks know of
    is_written = False  # a span, after the fact

    _finished: int | None = None
    _trailers = False
    _last_is_on_its_way = False

    def __init__(self, scope: Scope, receive: Receive, send: Send, method: str) -> None:
        self.began_at = time_ns()
        self.began = perf_counter_ns()
        self.scope = scope
        self.method = method
        self.way = Way(scope)
        self._receive = receive
        self._send = send

    @property
    def http_method(self) -> str | None:
        """The method as an attribute."""
        return self.method

    @property
    def is_sampled(self) -> bool:
        """Whether the span will be exported."""
        return self.span.get_span_context().trace_flags.sampled

    @property
    def exception(self) -> BaseException | None:
        """The exception that the request ended in, whether the application handled it or not."""
        return self.error or self.handled

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
        with guard("reading a response"):
            last = self._is_last(message)
            if message["type"] == "http.response.start":
                message = self._started(message)
            self._last_is_on_its_way = self._last_is_on_its_way or last
        try:
            await self._send(message)
        except OSError:  # ASGI 2.4: the client is gone
            self._client_left()
            raise
        if last:
            self.ended = perf_counter_ns()

    def _client_left(self) -> None:
        self.left = True
        self.left_early = self.code is None

    def _started(self, message: Message) -> Message:
        self.code = message["status"]
        self._trailers = bool(message.get("trailers"))
        headers = message.get("headers") or ()
        if any(name.lower() == REQUEST_ID for name, _ in headers):
            return message
        # A new message, because the headers may belong to a response object that is sent again.
        return {**message, "headers": [*headers, (REQUEST_ID, self.id.encode("ascii"))]}

    def _is_last(self, message: Message) -> bool:
        more = _LAST.get(message["type"])
        if more is None or message.get(more):
            return False
        return not self._trailers or message["type"] == "http.response.trailers"

    # --- the end --------------------------------------------------------------------------------------------------

    @property
    def ended_at(self) -> int:
        """The end as `time_ns` has it; a clock that is set meanwhile does not make the request longer."""
        return self.began_at + (self._end() - self.began)

    def _seconds(self) -> float:
        return (self._end() - self.began) / 1e9

    def _end(self) -> int:
        if self._finished is None:
            self._finished = self.ended or perf_counter_ns()
        return self._finished

    @property
    def crashed(self) -> bool:
        """Whether an exception that nobody handled is the application's own; a client that leaves causes some too."""
        return self.error is not None and not (is_the_clients(self.error) or (self.left and _is_cancelled(self.error)))

    def judge(self) -> Outcome:
        """Say how it ended; the first rule that fits."""
        code, route, seconds = self.code, self._route(), self._seconds()
        if self.crashed:
            return Outcome(
                CRASHED if self.ended is None else str(code), code, True, name_of(self.error), route, seconds
            )
        if self.left_early:
            return Outcome(CLIENT_LEFT, None, False, None, route, seconds)
        if code is None:
            return Outcome(CRASHED, None, True, "no_response", route, seconds)
        if self.ended is None and not self.left:
            return Outcome(CRASHED, code, True, "incomplete_response", route, seconds)
        if code >= 500:
            return Outcome(str(code), code, True, _failure(self.handled, code), route, seconds)
        return Outcome(str(code), code, False, None, route, seconds)

    def _route(self) -> str | None:
        route = self.way.template()
        if route is None and self.code == 307:
            with guard("finding the route of a redirect"):
                return self.way.redirect_target()
        return route

    def span_name(self, route: str | None) -> str:
        """Method and route; `HTTP` stands for a method that is not a standard one."""
        method = "HTTP" if self.method == semconv.OTHER_METHOD else self.method
        return f"{method} {route}" if route else method

    def enter(self) -> None:
        """Be the current request of this task, and of all tasks and threads it starts."""
        self.attached = otel_context.attach(self.context)
        self._previous = current.set(self)

    def leave(self) -> None:
        """Give the task back the context it had."""
        if self.attached is not None:
            otel_context.detach(self.attached)
        if self.binding is not None:
            end_request(self.binding)
        if self._previous is not None:
            try:
                current.reset(self._previous)
            except ValueError:  # closed in another context than it was opened in, as an abandoned generator is
                current.set(None)

    def release(self) -> None:
        """Let go of everything: tasks that the request left behind keep this object alive."""
        self.error = self.handled = self.told = None
        self.scope = {}
        self.way = Way(self.scope)


class Session(Request):
    """A websocket session: the handshake's status is its status, and it lasts as long as it likes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send, "WS")

    @property
    def http_method(self) -> str | None:
        """None: a session has no method."""
        return None

    async def receive(self) -> Message:
        """The server's `receive`."""
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The server's `send`, watched for the answer to the handshake."""
        if self.code is None:
            status = _HANDSHAKES.get(message["type"])
            self.code = message.get("status") if status is None else status
        await self._send(message)

    def judge(self) -> Outcome:
        """Say how it ended: it failed when an exception of the application ended it."""
        error = name_of(self.error) if self.crashed else None
        return Outcome(
            str(self.code), self.code, self.crashed, error, self.way.template(), (self._end() - self.began) / 1e9
        )


# The status that the client sees of a handshake; a refusal with a response of its own (ASGI extension) says its status.
_HANDSHAKES: Final = {"websocket.accept": 101, "websocket.close": 403}


def is_the_clients(error: BaseException) -> bool:
    """Whether an exception only says that the client has gone away."""
    return type(error).__name__ in _CLIENT_ERRORS and type(error).__module__.startswith(("starlette.", "fastapi."))


def _is_cancelled(error: BaseException) -> bool:
    return type(error).__name__ in _CANCELLED  # by name, because every event loop library has its own


def name_of(error: BaseException | None) -> str:
    """The class of an exception as `error.type` and `exception.type` have it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _failure(handled: BaseException | None, code: int) -> str:
    """An HTTPException says no more than its status code."""
    if handled is None or hasattr(handled, "status_code"):
        return str(code)
    return name_of(handled)


# The request that is being answered in this task or thread; kept in copies of the context like everything bound.
current: Final[ContextVar[Request | None]] = ContextVar("blogauto_otel_request", default=None)
