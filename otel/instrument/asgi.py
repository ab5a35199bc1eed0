"""The outermost wrapper of an ASGI application: measures each HTTP request exactly once.

It records `RequestReceived` at entry and `RequestFinished` when the application returns, timed to
the end of the response body. It wraps the framework because a framework's middleware does not run
for 404 and 405 and cannot see the end of a stream.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

from otel.events import ExceptionMapped, Recorder, RequestFinished, RequestReceived, RequestScope
from otel.recording.noop import DisabledScope
from otel.traces.b3 import B3_HEADERS

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

DELIVERY_KEY: Final = "gatewayz.delivery"
"""The scope key of a server's `Delivery`.

Without one, a response counts as delivered when it was sent.
"""

SCOPE_KEY: Final = "gatewayz.request_scope"
ADDED_HEADERS_KEY: Final = "gatewayz.added_headers"
"""The scope key of headers that the response gets beside the application's: no layer of its own has to pass every message on."""

STARTED_KEY: Final = "gatewayz.response_started"
"""The scope key that is set when a response has begun."""

TRACE_HEADER: Final = b"x-trace-id"
CLIENT_CLOSED_REQUEST: Final = 499
"""The status of a request whose client left before the response began (nginx's convention)."""

_TRACE_CONTEXT_HEADERS: Final = frozenset(
    {b"traceparent", b"tracestate", b"baggage", *(name.encode() for name in B3_HEADERS)}
)
"""The headers of every propagator that can be configured; each propagator reads only its own."""

# As int: comparing with the enum member costs 0.5 µs each time.
_SERVER_ERROR: Final = int(HTTPStatus.INTERNAL_SERVER_ERROR)
_NO_SCOPE: Final = DisabledScope()


class Delivery(Protocol):
    """A server's view of the response's delivery to the client."""

    @property
    def has_left(self) -> bool:
        """Whether the client left before it received the whole response."""

    @property
    def undelivered_bytes(self) -> int:
        """How many bytes the application sent that have not left the process."""


def is_cut(scope: Scope) -> bool:
    """Whether the client left before the whole response had left the process."""
    delivery: Delivery | None = scope.get(DELIVERY_KEY)
    return delivery is not None and delivery.has_left


def request_scope(scope: Scope) -> RequestScope:
    """Return the request's telemetry; where its route is ignored, one that records nothing."""
    found: RequestScope = scope.get(SCOPE_KEY, _NO_SCOPE)
    return found


class RequestTelemetry:
    """Wraps an ASGI application.

    `route_of` returns the route template of a scope before the application routes it. Requests for
    which `is_ignored` holds (monitoring, health) are not recorded. `clock` is monotonic, in
    seconds.
    """

    def __init__(
        self,
        app: AsgiApp,
        recorder: Recorder,
        *,
        route_of: Callable[[Scope], str],
        is_ignored: Callable[[Scope], bool],
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._recorder = recorder
        self._route_of = route_of
        self._is_ignored = is_ignored
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; what the application raises passes through unchanged."""
        if scope["type"] != "http" or self._is_ignored(scope):
            await self._app(scope, receive, send)
            return
        started_seconds = self._clock()
        request = self._recorder.start_request(
            RequestReceived(
                method=scope["method"],
                path=self._route_of(scope),
                headers=_trace_context(scope),
                scheme=scope.get("scheme", "http"),
                protocol_version=scope.get("http_version", ""),
            )
        )
        scope[SCOPE_KEY] = request
        watch = _ResponseWatch(scope, receive, send, self._clock, request.trace_id)
        failed = False
        try:
            with request.current():
                await self._app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:
            watch.cancelled = True
            raise
        except Exception as error:
            failed = True
            request.record(ExceptionMapped(exception_type=type(error).__name__))
            raise
        finally:
            request.finish(watch.finished(started_seconds, failed=failed))


class _ResponseWatch:
    """Observes the messages of one request. Used in the request's task and its children."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, clock: Callable[[], float], trace_id: str) -> None:
        self._scope = scope
        self._delivery: Delivery | None = scope.get(DELIVERY_KEY)
        self._receive = receive
        self._send = send
        self._clock = clock
        self._trace_id = trace_id
        self._status_code: int | None = None
        self._response_bytes = 0
        self._ended_seconds: float | None = None
        self.cancelled = False

    async def receive(self) -> Message:
        """Pass on a received message.

        A disconnect before the end of the response means that the client left.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._ended_seconds is None:
            self.cancelled = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message, with the trace id and what is added in the response's headers."""
        kind = message["type"]
        if kind == "http.response.body":
            self._response_bytes += len(message.get("body", b""))
            await self._send(message)
            if not message.get("more_body", False):
                if self._has_left:
                    self.cancelled = True
                else:
                    self._ended_seconds = self._clock()
            return
        if kind == "http.response.start":
            if not self._has_left:
                self._status_code = int(message["status"])  # as an `HTTPStatus` it would cost a span its fast encoding
            scope = self._scope
            scope[STARTED_KEY] = True
            headers = [*message.get("headers", ()), *scope.get(ADDED_HEADERS_KEY, ())]
            if self._trace_id:
                headers.append((TRACE_HEADER, self._trace_id.encode()))
            message["headers"] = headers
        await self._send(message)

    @property
    def _has_left(self) -> bool:
        return self._delivery is not None and self._delivery.has_left

    @property
    def _sent_bytes(self) -> int:
        """Bytes of the body that have left the process."""
        undelivered = 0 if self._delivery is None else self._delivery.undelivered_bytes
        return max(0, self._response_bytes - undelivered)

    def finished(self, started_seconds: float, *, failed: bool) -> RequestFinished:
        """Return how the request ended.

        An exception before the response began counts as status 500.
        """
        ended_seconds = self._clock() if self._ended_seconds is None else self._ended_seconds
        cancelled = self._ended_seconds is None and (self.cancelled or self._has_left)
        if self._status_code is not None:
            status_code = self._status_code
        else:
            status_code = CLIENT_CLOSED_REQUEST if cancelled and not failed else _SERVER_ERROR
        broken = failed or status_code >= _SERVER_ERROR or (self._ended_seconds is None and not cancelled)
        return RequestFinished(
            status_code=status_code,
            duration_seconds=ended_seconds - started_seconds,
            outcome="error" if broken else "cancelled" if cancelled else "ok",
            response_bytes=self._sent_bytes,
        )


def _trace_context(scope: Scope) -> dict[str, str]:
    """Return the trace context headers.

    A repeated header is joined, which the propagators reject, except `baggage`.
    """
    headers: dict[str, str] = {}
    if _TRACE_CONTEXT_HEADERS.isdisjoint(dict(scope["headers"])):
        return headers
    for key, value in scope["headers"]:
        if key in _TRACE_CONTEXT_HEADERS:
            name = key.decode("ascii")
            text = value.decode("latin-1")
            headers[name] = f"{headers[name]},{text}" if name in headers else text
    return headers
