"""HTTP PROTOCOL: uvicorn's httptools protocol with bounds on the head of a request, on the time it may take, and on a body that nobody reads.

Comes in: bytes of a connection. Goes out: requests whose request line and headers fit and came in time; else 400, 408 or 431 and a closed
connection. httptools has no bound of its own: it would collect one endless header until memory is full, or wait for its end for ever.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.config import ServerConfig
from app.gateway.wire_error import WireError, WireErrorBody

_Timer: TypeAlias = Literal["head", "discard"]

DISCARD_SECONDS: Final = 5.0
_FIELD_OVERHEAD_BYTES: Final = 4  # ": " and the line end


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. `server.max_header_bytes` bounds the URL and the headers of a request together.

    Timers are set only where a client makes us wait: a request whose head comes in one piece costs none.
    """

    server_config: ServerConfig = ServerConfig()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._is_in_head = False
        self._is_in_body = False
        self._is_refused = False
        self._served: RequestResponseCycle | None = None
        self._last_words: bytes | None = None
        self._timers: dict[_Timer, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A connection without a request is as idle as one between two requests."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        for name in tuple(self._timers):
            self._stop_timer(name)
        self._unset_keepalive_if_required()
        if self._served is not None and not self._served.response_complete:
            # uvicorn tells only the newest request, which may still wait behind the one that is being served.
            self._served.disconnected = True
            self._served.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a head that is still open after too many bytes, or for too long, is refused before it is complete."""
        if self._is_refused:
            # Taken and thrown away until the client has read its answer.
            return
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.server_config.max_header_bytes:
                self._refuse_head()
        self._watch_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """A head is complete; one that came in a single read is measured here."""
        self._is_in_head = False
        self._stop_timer("head")
        size = len(self.url) + sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in self.headers)
        if size > self.server_config.max_header_bytes:
            self._refuse_head()
            # Stops the parser: without a request there is nobody to take a body.
            raise ValueError
        super().on_headers_complete()
        self._is_in_body = True

    def on_message_complete(self) -> None:
        """A body is complete."""
        self._is_in_body = False
        self._stop_timer("discard")
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """A request begins to be served; pipelined ones follow each other."""
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """An answer is complete; one that came before the end of the body (413) leaves the rest to be discarded, for a while.

        Closing at once would reset the connection, and a client that is still sending would never read its answer.
        """
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._last_words is not None and not self._has_answers_due:
            self._say_last(self._last_words)
        elif self._is_in_body:
            self._set_timer("discard", DISCARD_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg, "invalid_http")

    @property
    def _is_answering(self) -> bool:
        """Whether a request on this connection waits for its answer, or for the rest of it."""
        # uvicorn's types say that there is always a cycle; before the first request there is none.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _watch_head(self) -> None:
        """Set a time for a head that has begun, or that blank lines announce."""
        is_expected = self._is_in_head or not (self._is_in_body or self._is_answering)
        if is_expected and not self._is_refused and "head" not in self._timers:
            self._set_timer("head", self.server_config.receive_head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        """End a connection that began to send a head and does not come to its end."""
        seconds = self.server_config.receive_head_seconds
        if self._is_answering:
            # A pipelined request: the time of the answer before it is not the client's.
            self._set_timer("head", seconds, self._head_is_late)
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT, f"The request's head did not arrive within {seconds:g} s.", "request_timeout"
        )

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too large.", "headers_too_large"
        )

    def _refuse(self, status: HTTPStatus, message: str, code: str) -> None:
        """Answer without a request, once, and close; the requests before it, which came whole, get their answers first."""
        if self._is_refused:
            return
        self._is_refused = True
        self._stop_timer("head")
        if self.transport.is_closing():
            return
        body = msgspec.json.encode(WireErrorBody(WireError(message, "invalid_request_error", None, code)))
        answer = (
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (status, status.phrase.encode(), len(body), body)
        )
        if self._is_in_body:
            self._give_up_newest()
        if self._has_answers_due:
            self._last_words = answer
        else:
            self._say_last(answer)

    @property
    def _has_answers_due(self) -> bool:
        """Whether a whole request waits for its answer, or for the rest of it."""
        served = self._served
        return bool(self.pipeline) or (served is not None and not (served.response_complete or served.disconnected))

    def _give_up_newest(self) -> None:
        """The newest request will never be whole: unless its answer has begun already, it gets none."""
        newest = self.cycle
        if self.pipeline and self.pipeline[0][0] is newest:
            self.pipeline.popleft()
        elif newest.response_started:
            # It answered without its body, a 401 say, and is about to end; if it does not, it waits for bytes that never come.
            self._set_timer("discard", DISCARD_SECONDS, self.transport.close)
        else:
            newest.disconnected = True
            newest.waiting_for_100_continue = False
            newest.message_event.set()

    def _say_last(self, answer: bytes) -> None:
        """Write the last answer of this connection, and close it once the client can have read it."""
        self._last_words = None
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_timer("discard", DISCARD_SECONDS, self.transport.close)

    def _set_timer(self, name: _Timer, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` after so many seconds, unless the timer is set again or stopped before."""
        self._stop_timer(name)
        self._timers[name] = self.loop.call_later(seconds, act)

    def _stop_timer(self, name: _Timer) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def bounded_protocol(server: ServerConfig) -> type[BoundedHttpProtocol]:
    """Return the protocol class with the bounds of `server`: uvicorn makes one instance per connection and passes it no options."""
    return type("BoundedHttpProtocol", (BoundedHttpProtocol,), {"server_config": server})
