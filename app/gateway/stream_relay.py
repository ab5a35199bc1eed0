"""A streamed response from its first chunk to its end, on its way from the provider to the client.

Input: an open exchange with a 2xx status. Output: bytes for the client, in pieces as they
arrive; and, however the stream ends, exactly one end of the attempt and of the call, with the usage
of what was delivered. Holds one piece at a time; what it holds of a large event is counted.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from app.errors import OverloadedError
from app.gateway.call import Call
from app.gateway.capacity.key_turns import KeyTurns
from app.gateway.capacity.loop_yield import LoopYield
from app.gateway.capacity.response_budget import MEDIUM_BYTES
from app.gateway.exchange import UpstreamResponse
from app.gateway.openai.chunks import DONE, StreamChunks
from app.gateway.openai.error_body import broken_stream_event, error_event
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.plausible_usage import requested_choices
from app.gateway.openai.sse import FEW_LINES_BYTES, slices

_PIECE_WEIGHT: Final = 2
_END_WEIGHT: Final = 4
_BYTES_PER_WEIGHT: Final = 4 * 1024
"""One read of 8 KiB takes a quarter of a millisecond, and so does the end of a stream with its accounting."""

_USAGE_SECONDS: Final = 0.25
_USAGE_READS: Final = 4
"""So long, and so many reads of 8 KiB, a client waits for the error after a choice that has failed."""

_END_MARK: Final = b"[DONE]"


class StreamPacing:
    """What all streams of an event loop share."""

    def __init__(self, turns: KeyTurns) -> None:
        self.turns = turns
        self.tedious = LoopYield()


class ResponseStream:
    """One stream; used by the request's task."""

    def __init__(self, call: Call, response: UpstreamResponse, pacing: StreamPacing) -> None:
        self._call = call
        self._response = response
        self._attempt = response.attempt
        self._max_event_bytes = self._attempt.route.provider.config.max_response_bytes
        self._chunks = StreamChunks(
            include_usage=call.request.include_usage,
            choices=requested_choices(call.request),
            max_event_bytes=self._max_event_bytes,
        )
        self._pacing = pacing
        self._key = call.caller.key_id
        self._piece = b""
        self._units = 0
        self._ended = False
        self.provider = response.attempt.route.provider.name

    async def prime(self) -> None:
        """Read until there is content for the client; raises `UpstreamFailure` while failover is still possible."""
        try:
            while not self._piece and not self._ended:
                await self._advance()
            if self._chunks.failure is not None:
                raise self._chunks.failure  # noqa: TRY301  ends here like every other failure
        except BaseException:
            self._note_without_content()
            raise

    async def relay(self, write: Callable[[bytes], Awaitable[None]]) -> bytes:
        """Hand piece after piece to `write`, and return the last one, which closes the stream.

        Returns the end marker after a whole response, and an error event after one that broke. By
        then attempt and call have ended.
        """
        try:
            with self._response.guarded():
                while not self._ended:
                    if self._piece:
                        self._call.delivering = True
                        self._response.pause()
                        await write(self._piece)
                        self._response.resume()
                        if self._response.room.held_bytes:
                            self._response.room.shrink(self._chunks.held_bytes)
                    await self._advance()
                if self._chunks.awaits_usage:
                    await self._read_usage()
            if self._chunks.failure is not None:
                raise self._chunks.failure  # noqa: TRY301  ends here like every other failure
        except UpstreamFailure as failure:
            return self._broken(self._chunks.failure or failure)
        except BaseException:
            # The client left, or the gateway stops: what was delivered is counted before the call ends the attempt.
            self._close(whole=False)
            raise
        self._close(whole=True)
        self._attempt.succeed()
        self._call.succeed()
        return self._piece + DONE

    def stopped(self) -> bytes:
        """End a stream that was in flight when the gateway had to stop; returns its last event."""
        return call_stopped(self._call)

    async def _advance(self) -> None:
        """Read once; sets the piece and whether it is the last."""
        chunks = self._chunks
        # What was read before has gone to the client.
        self._piece = b""
        held_bytes = chunks.held_bytes
        try:
            data = await self._response.read()
        except UpstreamFailure:
            if not chunks.complete:
                raise
            # The connection was cut after the response was whole.
            data = b""
        if data:
            weight = _PIECE_WEIGHT + len(data) // _BYTES_PER_WEIGHT
            if _END_MARK in data:
                weight += _END_WEIGHT
            if not self._pacing.turns.take(self._key, weight):
                await self._wait_for_turn(weight)
            if len(data) <= FEW_LINES_BYTES and not chunks.held_bytes and not self._response.room.held_bytes:
                # Nearly always: an event or two, whole.
                self._piece = chunks.feed(data)
            else:
                self._piece = await self._feed(data)
        else:
            self._piece = chunks.end()
        if chunks.output_units > self._units:
            self._units = chunks.output_units
            self._attempt.produced_token()
        self._ended = chunks.done or chunks.failure is not None or not data
        if not self._piece and not self._ended and chunks.held_bytes <= held_bytes:
            # Reading what has arrived already does not wait: a flood of empty events must not block the event loop.
            # What an event grows by is bounded, and has waited for its turn.
            await self._pacing.tedious.wait(self._key)

    async def _read_usage(self) -> None:
        """Read the usage that follows a choice that has failed: vLLM sends it in the same moment, in a write of its own."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_USAGE_SECONDS):
                for _ in range(_USAGE_READS):
                    if data := await self._response.read():
                        self._chunks.feed(data)
                    else:
                        self._chunks.end()
                    if not data or not self._chunks.awaits_usage:
                        return

    async def _feed(self, data: bytes) -> bytes:
        """Take what arrived, in pieces so small that other streams are not delayed; return what the client gets."""
        chunks, pieces = self._chunks, []
        parts, room = slices(data), self._response.room
        if len(parts) == 1 and not room.held_bytes and not chunks.held_bytes and room.has(len(data)):
            return chunks.feed(data)
        for part in parts:
            held_bytes = chunks.held_bytes + len(part)
            if not self._response.room.has(held_bytes) and not await self._makes_room(held_bytes):
                chunks.failure = UpstreamFailure(
                    "gateway_resources", reason="too many bytes of large responses are held"
                )
            elif held_bytes > MEDIUM_BYTES:
                # Copying and reading one event of many megabytes takes a while.
                pieces.append(await asyncio.to_thread(chunks.feed, part))
            else:
                pieces.append(chunks.feed(part))
            if chunks.done or (chunks.failure is not None and not chunks.awaits_usage):
                break
            if len(part) < len(data):
                self._response.pause()
                await self._pacing.tedious.wait(self._key)
                self._response.resume()
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._response.room.held_bytes and chunks.held_bytes < len(data):
            # A large event is complete: what is left of it is the piece for the client.
            self._response.room.shrink(len(piece) + chunks.held_bytes)
        return piece

    async def _wait_for_turn(self, weight: int) -> None:
        """Wait, because much has arrived of other streams in the same moment."""
        self._response.pause()
        paused = self._response.pause_connection()
        try:
            await self._pacing.turns.wait(self._key, weight)
        finally:
            if paused is not None:
                paused.go_on()
        self._response.resume()

    async def _makes_room(self, held_bytes: int) -> bool:
        """Hold room for an event that grows; false where there is none. Two that hold a part of the large room do not wait for each other."""
        if held_bytes > MEDIUM_BYTES:
            return self._response.room.try_hold(min(2 * held_bytes, self._max_event_bytes))
        try:
            await self._response.make_room(MEDIUM_BYTES)
        except UpstreamFailure:
            return False
        return True

    def _broken(self, failure: UpstreamFailure) -> bytes:
        """End a stream that failed after its first byte."""
        self._close(whole=False)
        self._attempt.fail(failure)
        self._call.fail(failure.kind)
        return self._piece + broken_stream_event(failure, self._attempt.route.provider.scrub)

    def _close(self, *, whole: bool) -> None:
        """Close the exchange and count what was used."""
        self._response.close(whole=whole)
        self._note_response()
        chunks = self._chunks
        self._attempt.count_usage(
            chunks.usage.read(),
            chunks.output_units,
            chunks.choices,
            chunks.uncounted_units,
            is_whole=chunks.complete,
        )

    def _note_without_content(self) -> None:
        """Record with the attempt what is known of a stream that ended before its first content: its usage, or that the provider has worked."""
        chunks, usage = self._chunks, self._chunks.usage.read()
        self._note_response()
        if usage is not None and (usage.input_tokens or usage.output_tokens):
            self._attempt.count_usage(usage, 0, chunks.choices)
        elif chunks.chunks and chunks.failure is None:
            self._attempt.response_began()

    def _note_response(self) -> None:
        """Record with the attempt how the provider names the response."""
        self._attempt.response_id = self._chunks.response_id
        self._attempt.response_model = self._chunks.response_model
        self._attempt.finish_reason = self._chunks.finish_reason


def call_stopped(call: Call) -> bytes:
    """End a call because the gateway stops; return the last event of its stream."""
    call.stop()
    return error_event(OverloadedError("The gateway is stopping; try again."))
