"""The live tail: rows as server-sent events, as they arrive.

Source of the format: the HTML standard, "Server-sent events".
"""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec

from console.http.filters import log_filter, request_filter
from console.http.parameters import Parameters
from console.http.query_threads import QueryThreads
from console.http.responses import SECURITY, ProblemError, Receive, Send, wait_until_left
from console.query.logs import LogFilter
from console.query.request_filter import RequestFilter
from console.query.tail import Arrived, newest_id, read_arrived

MAX_TAILS: Final = 16
LOOK_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 15.0
"""A comment after so long without a row shows a proxy, and a client that left, that the stream lives."""
_MAX_DIGITS: Final = 18
_encode: Final = msgspec.json.encode


class Tails:
    """The open tails of one console. Used on the event loop's thread."""

    def __init__(self, queries: QueryThreads, monotonic: Callable[[], float]) -> None:
        self._queries = queries
        self._monotonic = monotonic
        self._open = 0
        self._stop = asyncio.Event()

    def close(self) -> None:
        """End every tail."""
        self._stop.set()

    async def serve(self, parameters: Parameters, last_event_id: bytes, receive: Receive, send: Send) -> None:
        """Send rows until the client leaves; raises `ProblemError` before the response began."""
        kind = parameters.choice("kind", ("requests", "logs")) or "requests"
        wanted = request_filter(parameters) if kind == "requests" else log_filter(parameters)
        parameters.finish()
        if self._open >= MAX_TAILS:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "Too many live tails are open.", {"Retry-After": "10"})
        self._open += 1
        try:
            after_id = await self._queries.run(lambda view: _start(last_event_id, newest_id(view)))
            # A filter that cannot be read is a 400, not the end of a stream.
            await self._queries.run(wanted.condition)
            sent_at = self._monotonic()
            await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True})
            left = asyncio.create_task(wait_until_left(receive))
            try:
                await self._send_rows(wanted, after_id, sent_at, left, send)
            finally:
                left.cancel()
        finally:
            self._open -= 1

    async def _send_rows(
        self,
        wanted: RequestFilter | LogFilter,
        after_id: int,
        sent_at: float,
        left: "asyncio.Task[None]",
        send: Send,
    ) -> None:
        name = b"request" if isinstance(wanted, RequestFilter) else b"log"
        while not left.done() and not self._stop.is_set():
            try:
                arrived = await self._queries.run(partial(read_arrived, wanted=wanted, after_id=after_id))
            except ProblemError:
                # The store is busy: the next look reads the same rows.
                arrived = Arrived((), 0, after_id)
            after_id = arrived.last_id
            text = _events(name, arrived)
            if not text and self._monotonic() - sent_at >= QUIET_SECONDS:
                text = b": quiet\n\n"
            if text:
                sent_at = self._monotonic()
                await send({"type": "http.response.body", "body": text, "more_body": True})
            await asyncio.wait({left}, timeout=LOOK_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


_HEADERS: Final = [
    *SECURITY,
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


def _start(last_event_id: bytes, newest: int) -> int:
    """Return the id after which to begin: that of the last event, where a client reconnects."""
    if last_event_id.isdigit() and len(last_event_id) <= _MAX_DIGITS:
        return min(int(last_event_id), newest)
    return newest


def _events(name: bytes, arrived: Arrived) -> bytes:
    """Return the events; JSON has no line breaks, so each row is one line of data."""
    parts = [b"id: %s\nevent: %s\ndata: %s\n\n" % (row.id.encode(), name, _encode(row)) for row in arrived.rows]
    if arrived.skipped:
        parts.append(b'event: skipped\ndata: {"rows":%d}\n\n' % arrived.skipped)
    return b"".join(parts)
