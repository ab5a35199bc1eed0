"""ANSWER STREAM: a streamed answer from its first chunk to its end, on its way from the provider to the client.

Comes in: an open exchange whose head said 200. Goes out: bytes for the client, in pieces as they arrive; and, however the stream ends,
exactly one end of the attempt and of the call, with the usage of what was delivered. Holds one piece at a time.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from app.errors import OverloadedError
from app.gateway.call import Call
from app.gateway.caller_error import error_of_broken_stream
from app.gateway.stream_chunks import DONE, StreamChunks
from app.gateway.upstream_answer import UpstreamAnswer
from app.gateway.upstream_failure import UpstreamFailure
from app.gateway.wire_error import error_event

_OK: Final = 200


class AnswerStream:
    """One stream; used by the request's task."""

    def __init__(self, call: Call, answer: UpstreamAnswer) -> None:
        self._call = call
        self._answer = answer
        self._attempt = answer.attempt
        self._chunks = StreamChunks(include_usage=call.request.include_usage)
        self._piece = b""
        self._ended = False
        self.provider = answer.attempt.route.provider.name

    async def prime(self) -> None:
        """Read until there is something for the client; raises `UpstreamFailure` while fail-over is still possible."""
        while not self._piece and not self._ended:
            await self._advance()
        if self._chunks.error is not None:
            raise self._chunks.error

    async def relay(self, write: Callable[[bytes], Awaitable[None]]) -> bytes:
        """Hand piece after piece to `write`, and return the last one, which closes the stream.

        Returns the end marker after a whole answer, and an error event after one that broke. By then attempt and call have ended.
        """
        try:
            with self._answer.guarded():
                while not self._ended:
                    if self._piece:
                        self._call.delivering = True
                        self._answer.pause()
                        await write(self._piece)
                        self._answer.resume()
                    await self._advance()
            if self._chunks.error is not None:
                raise self._chunks.error  # noqa: TRY301  ends here like every other failure
        except UpstreamFailure as failure:
            return self._broken(failure)
        except BaseException:
            # The client left, or we stop: what was delivered is counted before the call ends the attempt.
            self._close(whole=False)
            raise
        self._close(whole=True)
        self._attempt.succeed()
        self._call.succeed()
        return self._piece + DONE

    def stopped(self) -> bytes:
        """End a stream that was under way when the gateway had to stop; returns its last event."""
        return call_stopped(self._call)

    async def _advance(self) -> None:
        """Read once; sets the piece and whether it is the last."""
        chunks = self._chunks
        try:
            data = await self._answer.read()
        except UpstreamFailure:
            if not chunks.complete:
                raise
            # The connection was cut after the answer was whole.
            data = b""
        self._piece = chunks.feed(data) if data else b""
        if chunks.output_characters:
            self._attempt.produced_token()
        self._ended = chunks.done or chunks.error is not None or not data
        if not data and not chunks.complete:
            raise UpstreamFailure("stream_broken" if chunks.chunks else "bad_response", http_status=_OK)

    def _broken(self, failure: UpstreamFailure) -> bytes:
        """End a stream that failed after its first byte."""
        self._close(whole=False)
        self._attempt.fail(failure)
        self._call.fail(failure.kind)
        if self._chunks.error is not None:
            # The provider's own error event is the last piece.
            return self._piece
        return error_event(error_of_broken_stream(failure))

    def _close(self, *, whole: bool) -> None:
        """Close the exchange and count what was used."""
        chunks, attempt = self._chunks, self._attempt
        self._answer.close(whole=whole)
        attempt.response_id = chunks.response_id
        attempt.response_model = chunks.response_model
        attempt.finish_reason = chunks.finish_reason
        attempt.count_usage(chunks.usage, chunks.output_characters)


def call_stopped(call: Call) -> bytes:
    """End a call because the gateway stops; return the last event of its stream."""
    call.stop()
    return error_event(OverloadedError("The gateway is stopping; try again."))
