"""UPSTREAM ANSWER: one attempt's HTTP exchange, read under its time-outs.

Comes in: a provider, an open attempt. Goes out: the bytes of a 200 answer; everything else that can happen leaves as `UpstreamFailure` or
`CallerFaultError`. `close` ends the exchange, whatever state it is in: a provider whose answer nobody reads must stop working.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp

from app.gateway.attempt import Attempt
from app.gateway.interrupt import Deadlines, Interrupt, InterruptedCallError, Reason
from app.gateway.ports import Clock
from app.gateway.request_body import CallRequest
from app.gateway.upstream_failure import MAX_ERROR_BYTES, UpstreamFailure, failure_of_status
from otel.events import ErrorKind

_OK: Final = 200
_KINDS: Final[dict[Reason, ErrorKind]] = {
    "first_byte_timeout": "first_byte_timeout",
    "idle_timeout": "idle_timeout",
    "total_timeout": "idle_timeout",
}


class UpstreamAnswer:
    """One exchange; used by the request's task."""

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self.attempt = attempt
        self._provider = attempt.route.provider
        self._clock = clock
        config = self._provider.config
        self._max_bytes = config.max_response_bytes
        self._response: aiohttp.ClientResponse | None = None
        self._interrupt = Interrupt()
        self._deadlines = Deadlines(
            self._interrupt,
            first_byte_seconds=config.first_byte_seconds,
            idle_seconds=config.idle_seconds,
            total_seconds=config.total_seconds,
        )

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Put a block of awaits under the time-outs; raises `UpstreamFailure` when one runs out."""
        try:
            with self._interrupt:
                yield
        except InterruptedCallError as interrupted:
            raise UpstreamFailure(_KINDS[interrupted.reason]) from None

    async def open(self, request: CallRequest) -> None:
        """Send the request and read until the head of a 200 answer."""
        body = request.upstream_body(self.attempt.route.upstream_model)
        attempt = self.attempt
        self._response = response = await self._provider.post(
            request.operation, body, attempt.headers, attempt.request_sent
        )
        self.attempt.responded(response.status)
        if response.status != _OK:
            refusal = await self._read_refusal(response)
            raise failure_of_status(
                response.status,
                refusal,
                retry_after=response.headers.get("retry-after"),
                unix_seconds=self._clock.unix_ms() / 1_000,
            )

    async def read(self) -> bytes:
        """Return the next bytes of the body, as they come; empty at its end."""
        response = self._opened()
        try:
            data = await response.content.readany()
        except (aiohttp.ClientError, OSError, ValueError):
            # Cut off, or its framing or compression is broken; all of it is a body that is not whole.
            self.attempt.answer_began()
            raise UpstreamFailure("stream_broken", http_status=response.status) from None
        self._deadlines.progress()
        return data

    async def read_all(self) -> bytes:
        """Return the whole body; one over the provider's `max_response_bytes` is a `bad_response`."""
        response = self._opened()
        if (response.content_length or 0) > self._max_bytes:
            self.attempt.answer_began()
            raise UpstreamFailure("bad_response", http_status=response.status)
        parts: list[bytes] = []
        left = self._max_bytes
        try:
            while left >= 0 and (part := await self.read()):
                parts.append(part)
                left -= len(part)
        except UpstreamFailure:
            left = -1
        if left < 0:
            self.attempt.answer_began()
            raise UpstreamFailure("bad_response", http_status=response.status)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pause(self) -> None:
        """The client is slow to take what was read: the provider is not to blame for the time that passes."""
        self._deadlines.pause()

    def resume(self) -> None:
        """Read again."""
        self._deadlines.progress()

    def close(self, *, whole: bool = False) -> None:
        """End the exchange; `whole`: its last event was read, and the connection may serve again."""
        self._deadlines.close()
        response, self._response = self._response, None
        if response is None:
            return
        if whole:
            self._provider.recycle(response)
        else:
            response.close()

    async def _read_refusal(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of an answer that is not 200, or as much of it as a JSON error object may take."""
        parts: list[bytes] = []
        left = MAX_ERROR_BYTES
        try:
            while left > 0 and (part := await response.content.readany()):
                self._deadlines.progress()
                parts.append(part)
                left -= len(part)
        except (aiohttp.ClientError, OSError, ValueError):
            return b""
        return b"".join(parts)

    def _opened(self) -> aiohttp.ClientResponse:
        if self._response is None:
            raise RuntimeError("the answer is not open")
        return self._response
