"""The OTLP/HTTP endpoint, as an ASGI application without a framework.

It reads bodies within bounds, enqueues them for the writer's thread and responds after the commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from console.receive.content import Content
from console.receive.request_head import Head, HeadChecks, too_large
from console.receive.responses import Response, accepted, overloaded, refused
from console.receive.upload import read_batch
from console.store.store import Store
from console.store.work import Failed, Malformed, Outcome, Overloaded, Work

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

BODY_SECONDS: Final = 30.0
MAX_READING_BYTES: Final = 32 * 2**20
"""Of the bodies that are being read, together."""
_RETRY_SECONDS: Final = 1


class _ClientLeftError(Exception):
    """The client closed its connection before its body ended."""


class OtlpApp:
    """The application. `unix_s` is the wall clock in seconds; on the event loop's thread."""

    def __init__(self, store: Store, *, token: str | None, unix_s: Callable[[], float]) -> None:
        self._store = store
        self._unix_s = unix_s
        self._max_bytes = store.limits.body_bytes
        self._checks = HeadChecks(token=token, max_bytes=self._max_bytes)
        self._reading_bytes = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        head = self._checks.check(scope["method"], scope["path"], scope["headers"])
        try:
            response = head if isinstance(head, Response) else await self._serve(head, receive)
        except _ClientLeftError:
            return
        headers = [
            (b"content-type", response.media_type.encode()),
            (b"content-length", str(len(response.body)).encode()),
            *response.headers,
        ]
        await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _serve(self, head: Head, receive: Receive) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read(head, receive)
        except TimeoutError:
            return refused(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive in {BODY_SECONDS:g} s", head.format)
        if isinstance(body, Response):
            return body
        return self._response(head, await self._store_body(head, body))

    async def _read(self, head: Head, receive: Receive) -> bytes | Response:
        """Return the body, or the response where it is too large or too many bodies are being read."""
        body = bytearray()
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _ClientLeftError
                chunk = message.get("body", b"")
                if len(body) + len(chunk) > self._max_bytes:
                    return too_large(self._max_bytes, head.format)
                if self._reading_bytes + len(chunk) > MAX_READING_BYTES:
                    return overloaded("the console reads as many bodies as it may", _RETRY_SECONDS, head.format)
                body += chunk
                self._reading_bytes += len(chunk)
                if not message.get("more_body", False):
                    return bytes(body)
        finally:
            self._reading_bytes -= len(body)

    async def _store_body(self, head: Head, body: bytes) -> Outcome:
        """Enqueue a body and wait until it is stored or refused."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()
        content = Content(head.signal, body, head.is_gzip, head.format)

        def resolve(outcome: Outcome) -> None:
            if not done.done():
                done.set_result(outcome)

        def report(outcome: Outcome) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(resolve, outcome)

        work = Work(len(body), lambda: read_batch(content, self._store.limits, self._unix_s), report)
        if not self._store.submit(work):
            return Overloaded("the console cannot write as fast as telemetry arrives", _RETRY_SECONDS)
        return await done

    def _response(self, head: Head, outcome: Outcome) -> Response:
        if isinstance(outcome, Malformed):
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if outcome.is_too_large else HTTPStatus.BAD_REQUEST
            return refused(status, outcome.reason, head.format)
        if isinstance(outcome, Overloaded):
            return overloaded(outcome.reason, outcome.retry_after_seconds, head.format)
        if isinstance(outcome, Failed):
            return refused(HTTPStatus.INTERNAL_SERVER_ERROR, outcome.reason, head.format)
        return accepted(head.signal, head.format, outcome.refused, outcome.reason)
