"""One attempt's HTTP exchange, read under its timeouts.

Input: a provider, an open attempt. Output: the bytes of a 2xx response; everything else that can
happen leaves as `UpstreamFailure` or `CallerFaultError`. `close` ends the exchange, whatever state
it is in: a provider whose response is no longer read must stop working.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from app.gateway.attempt import Attempt
from app.gateway.bounded_reads import arrival, read_arrived
from app.gateway.cancellation import Deadlines, Interrupt, Reason
from app.gateway.capacity.growing_bytes import GrowingBytes
from app.gateway.capacity.response_budget import MEDIUM_BYTES, ResponseShare
from app.gateway.connector import ProviderConnection
from app.gateway.large_request_body import LARGE_BODY_BYTES, LargeRequestBody
from app.gateway.openai.failures import MAX_ERROR_BYTES, UpstreamFailure, failure_of_status
from app.gateway.openai.request import CallRequest
from app.gateway.openai.stream_options import FIELD_REFUSED, blames_stream_options
from app.gateway.ports import Clock
from app.gateway.quota_headers import read_quotas
from app.gateway.tracebacks import drop_tracebacks
from otel.events import ErrorKind

_SUCCESSES: Final = range(200, 300)
_CONTENT_TYPE: Final = aiohttp.hdrs.CONTENT_TYPE
_STREAM_READ_BYTES: Final = 8 * 1024
"""With as much of an event that is not complete it needs no room."""
_REFUSAL_WEIGHT: Final = 2
_WORDS_BYTES: Final = 2_048
"""A longer message is cut before its words decide what the refusal is."""
_WORDS_BYTES_PER_WEIGHT: Final = 256
_KINDS: Final[dict[Reason, ErrorKind]] = {
    "first_byte_timeout": "first_byte_timeout",
    "whole_answer_timeout": "whole_answer_timeout",
    "idle_timeout": "idle_timeout",
    "total_timeout": "total_timeout",
    "slow_client": "slow_client",
}


class _Timeouts(Interrupt):
    """The interrupt of an attempt: its reasons are failures of the provider."""

    def _error(self, reason: Reason) -> UpstreamFailure:
        return UpstreamFailure(_KINDS[reason])


class UpstreamResponse:
    """One exchange; used by the request's task."""

    def __init__(
        self, attempt: Attempt, clock: Clock, room: ResponseShare, turn: Callable[[int], Awaitable[None]]
    ) -> None:
        self.attempt = attempt
        self._is_stream = is_stream = attempt.is_stream
        self._provider = attempt.route.provider
        self._clock = clock
        self.room = room
        self._turn = turn
        self._timer = attempt.timer
        config = self._provider.config
        self._max_bytes = config.max_response_bytes
        self._is_sized_by_request = False
        self._response: aiohttp.ClientResponse | None = None
        self.must_be_fresh = False
        self.leaves_out_added_fields = False
        self.has_added_fields = False
        self._interrupt = _Timeouts()
        self._deadlines = Deadlines(
            self._interrupt,
            # A response that is not streamed comes at its end: there is no earlier sign of life.
            config.first_byte_seconds if is_stream else config.whole_answer_seconds,
            # Its head or blank lines may come long before it: what counts is its own limit.
            config.idle_seconds if is_stream else config.whole_answer_seconds,
            config.total_seconds if is_stream else config.whole_answer_seconds,
            "first_byte_timeout" if is_stream else "whole_answer_timeout",
            "total_timeout" if is_stream else "whole_answer_timeout",
            self._provider.timers,
        )
        # Not methods: they are called for each piece of a stream.
        self._progress = self._deadlines.progress
        self.pause: Final = self._deadlines.pause
        """The client is slow to take what was read: the provider is not to blame for the time that passes."""
        self.resume: Final = self._deadlines.resume
        """Read again."""

    def guarded(self) -> Interrupt:
        """Put a block of awaits under the timeouts; raises `UpstreamFailure` when one runs out."""
        return self._interrupt

    async def open(self, request: CallRequest) -> None:
        """Send the request and read until the head of a 2xx response."""
        upstream_model = self.attempt.route.upstream_model
        self._is_sized_by_request = request.operation == "embeddings"
        # Nothing is left of what an earlier attempt has read.
        self.room.release()
        takes_options = not self.leaves_out_added_fields and self._provider.takes_stream_options(upstream_model)
        self.has_added_fields = takes_options
        body: bytes | LargeRequestBody
        if len(request.body) > LARGE_BODY_BYTES:
            body = LargeRequestBody(request.upstream_parts(upstream_model, takes_stream_options=takes_options))
        else:
            body = request.upstream_body(upstream_model, takes_stream_options=takes_options)
        self._response = response = await self._provider.post(
            request.operation,
            body,
            self.attempt.headers,
            on_connected=self._connected,
            timer=self._timer,
            must_be_fresh=self.must_be_fresh,
        )
        headers = response.headers
        self.attempt.responded(response.status, headers.get(_CONTENT_TYPE))
        quotas = read_quotas(headers)
        if quotas:
            self.attempt.report_quotas(quotas)
        if response.status in _SUCCESSES:
            return
        refusal = await self._read_refusal(response)
        # The exchange is over: no timeout of the provider runs while the refusal waits to be read.
        self.close()
        await self._turn(_REFUSAL_WEIGHT + min(len(refusal), _WORDS_BYTES) // _WORDS_BYTES_PER_WEIGHT)
        if takes_options and blames_stream_options(response.status, refusal, request):
            raise UpstreamFailure("field_refused", http_status=response.status, reason=FIELD_REFUSED)
        raise failure_of_status(
            response.status,
            refusal,
            retry_after=response.headers.get("retry-after"),
            unix_seconds=self._clock.unix_ms() / 1_000,
            content_type=response.headers.get(_CONTENT_TYPE),
            sent=request.body,
            model=upstream_model,
            scrub=self._provider.scrub,
        )

    async def read(self) -> bytes:
        """Return the next bytes of the body, as they come, of a stream 8 KiB at most unless it holds room; empty at its end."""
        response = self._opened()
        content = response.content
        most_bytes = _STREAM_READ_BYTES if self._is_stream and not self.room.held_bytes else -1
        try:
            data = read_arrived(content, most_bytes)
            while not data and not content.at_eof():
                # As in `_wait_for_part`: one coroutine less in each step of a stream. The connection ends the wait.
                self._timer.wait("provider")
                await arrival(content)
                data = read_arrived(content, most_bytes)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Cut off, or its framing or compression is broken; all of it is a body that is not whole.
            # The body keeps the error that it raised.
            drop_tracebacks(error)
            self.attempt.response_began()
            reason = "the connection, the framing or the compression broke off the body"
            raise UpstreamFailure("stream_broken", http_status=response.status, reason=reason) from None
        if self._is_stream or not content.at_eof():
            self._progress()
        return data

    async def read_all(self) -> bytes:
        """Return the whole body; raises `UpstreamFailure` for one over the provider's `max_response_bytes`."""
        response = self._opened()
        length = response.content_length
        if (length or 0) > self._max_bytes:
            raise self._over_bound(response.status)
        if length is not None and not self.room.has(length) and "content-encoding" not in response.headers:
            await self.make_room(length)
        left = self._max_bytes
        try:
            part = await self.read()
            if response.content.at_eof() and len(part) <= left and self.room.has(len(part)):
                # Nearly every response: what was read at once need not be collected.
                self.room.shrink(len(part))
                return part
            body = GrowingBytes()
            while left >= 0 and part:
                read_bytes = self._max_bytes - left + len(part)
                if not self.room.has(read_bytes):
                    # The length is unknown: room for the largest response is held. Two calls that each held a half would wait for each other.
                    await self.make_room(MEDIUM_BYTES if read_bytes <= MEDIUM_BYTES else self._max_bytes)
                body.add(part)
                left -= len(part)
                if response.content.at_eof():
                    break
                part = await self.read() if left >= 0 else b""
        except UpstreamFailure as failure:
            if failure.kind == "gateway_resources":
                raise
            raise UpstreamFailure(
                "bad_response", http_status=response.status, reason="the body ended before it was whole"
            ) from None
        if left < 0:
            raise self._over_bound(response.status)
        self.room.shrink(self._max_bytes - left)
        return body.take()

    def _over_bound(self, http_status: int) -> UpstreamFailure:
        self.attempt.response_began()
        if self._is_sized_by_request:
            # No caller may open a breaker by how much it asks for.
            reason = f"The embeddings are larger than {self._max_bytes} bytes (max_response_bytes): send fewer inputs in a request."
            return UpstreamFailure("size_refused", http_status=http_status, reason=reason)
        return UpstreamFailure("bad_response", http_status=http_status, reason="over max_response_bytes")

    async def make_room(self, size_bytes: int) -> None:
        """Wait for room for a response, or an event, of this size; the provider is not to blame for the time that passes."""
        if not self.room.has(size_bytes):
            self.pause()
            self._timer.wait("room")
            is_held = await self.room.hold(size_bytes)
            self._timer.resume("room")
            if not is_held:
                raise UpstreamFailure("gateway_resources", reason="too many bytes of large responses are held")
            self.resume()

    def pause_connection(self) -> ProviderConnection | None:
        """Read nothing more of the provider's connection, until `go_on` of what is returned is called; None where nothing was being read."""
        connection = self._opened().connection
        # None: the whole body has been read, and the connection may serve another request already.
        protocol = None if connection is None else connection.protocol
        return protocol if isinstance(protocol, ProviderConnection) and protocol.try_pause() else None

    def close(self, *, whole: bool = False) -> None:
        """End the exchange; `whole`: its last event was read, and the connection may serve again."""
        self._deadlines.close()
        self._timer.resume("provider")
        self._timer.resume("room")
        response, self._response = self._response, None
        if response is None:
            return
        if whole:
            self._provider.recycle(response)
        else:
            response.close()

    async def _read_refusal(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of a response that is not 2xx: what came of it, or as much as a JSON error object may take."""
        # A refusal needs no work: its body comes with its head.
        self._deadlines.idle_seconds = self._provider.config.idle_seconds
        self._progress()
        content = response.content
        parts: list[bytes] = []
        left = MAX_ERROR_BYTES
        try:
            while left > 0 and (part := read_arrived(content, -1) or await self._wait_for_part(content)):
                self._progress()
                parts.append(part)
                left -= len(part)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            drop_tracebacks(error)
        return b"".join(parts)

    async def _wait_for_part(self, content: aiohttp.StreamReader) -> bytes:
        """Return the next bytes of a body of which nothing has arrived; none at its end."""
        self._timer.wait("provider")
        part = await content.readany()
        self._timer.resume("provider")
        return part

    def _connected(self) -> None:
        """The request goes out: the provider's time runs, and its prompt may be billed."""
        self._deadlines.sent()
        self.attempt.request_sent()

    def _opened(self) -> aiohttp.ClientResponse:
        if self._response is None:
            raise RuntimeError("the response is not open")
        return self._response
