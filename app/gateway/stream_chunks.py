"""STREAM CHUNKS: what a provider's event stream says, and the same stream as the caller may see it.

Comes in: bytes of the provider's body. Goes out: bytes for the caller, without the usage that it did not ask for; and on the side, what
accounting needs. Pure: no I/O, no clock. Chunks that need no change are passed on byte for byte.
"""

import json
from typing import Any, Final

import msgspec

from app.gateway import provider_json
from app.gateway.sse import EventTooLargeError, SseEvent, SseSplitter
from app.gateway.token_usage import ReportedUsage, read_usage, text_characters
from app.gateway.upstream_failure import UpstreamFailure, failure_of_error_object

DONE: Final = b"data: [DONE]\n\n"

_OK: Final = 200
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class StreamChunks:
    """Reads one stream; fed by one task. After `done` or `error` it takes no more."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._splitter = SseSplitter()
        self.chunks = 0
        self.output_characters = 0
        self.usage: ReportedUsage | None = None
        self.response_id: str | None = None
        self.response_model: str | None = None
        self.finish_reason: str | None = None
        self.done = False
        self.error: UpstreamFailure | None = None

    def feed(self, data: bytes) -> bytes:
        """Take what arrived and return what the caller gets of it.

        Raises `UpstreamFailure` with `bad_response` for anything that is not the wire format. An error object of the provider's
        is part of what is returned; `error` then says how it is classified.
        """
        try:
            events = self._splitter.feed(data)
        except EventTooLargeError:
            raise UpstreamFailure("bad_response", http_status=_OK) from None
        if len(events) == 1:
            return self._take(events[0])
        return b"".join([self._take(event) for event in events])

    @property
    def complete(self) -> bool:
        """Whether the answer is whole: its end marker came, or a reason why it finished."""
        return self.done or (self.finish_reason is not None and self.error is None)

    def _take(self, event: SseEvent) -> bytes:
        """Handle one event and return its bytes for the caller."""
        if self.done or self.error is not None:
            return b""
        data = event.data
        if data is None:
            # Comments keep a slow connection alive. Before the first chunk there is no answer yet that they could keep alive.
            return event.encode() if self.chunks else b""
        if data == b"[DONE]" or data.strip() == b"[DONE]":
            if not self.chunks:
                raise UpstreamFailure("bad_response", http_status=_OK)
            self.done = True
            return b""
        chunk = _decode(data)
        if not isinstance(chunk, dict):
            raise UpstreamFailure("bad_response", http_status=_OK)
        if chunk.get("error") is not None and not chunk.get("choices"):
            self.error = failure_of_error_object(chunk["error"], http_status=_OK)
            return event.encode()
        return self._take_chunk(event, chunk)

    def _take_chunk(self, event: SseEvent, chunk: dict[str, Any]) -> bytes:
        """Handle one chunk of the answer."""
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise UpstreamFailure("bad_response", http_status=_OK)
        self.chunks += 1
        if self.response_id is None:
            self.response_id = _text(chunk.get("id"))
            self.response_model = _text(chunk.get("model"))
        for choice in choices:
            if isinstance(choice, dict):
                self.output_characters += text_characters(choice.get("delta"))
                self.finish_reason = _text(choice.get("finish_reason")) or self.finish_reason
        if "usage" not in chunk:
            return event.encode()
        # Some providers send running totals with every chunk: the last one counts.
        self.usage = read_usage(chunk["usage"]) or self.usage
        if self._include_usage:
            return event.encode()
        if not choices and chunk["usage"] is not None:
            return b""
        return _without_usage(event)


def _decode(data: bytes) -> object:
    """Decode one chunk; raises `UpstreamFailure`."""
    try:
        decoded: object = provider_json.decode(data)
    except ValueError:
        raise UpstreamFailure("bad_response", http_status=_OK) from None
    return decoded


def _without_usage(event: SseEvent) -> bytes:
    """Return the event's bytes with the `usage` field cut out of its object and the others as they were."""
    try:
        fields = _FIELDS.decode(event.data or b"")
    except (ValueError, RecursionError):
        decoded = json.loads(event.data or b"")
        decoded.pop("usage")
        return SseEvent(json.dumps(decoded, separators=(",", ":")).encode(), event.others).encode()
    del fields["usage"]
    return SseEvent(msgspec.json.encode(fields), event.others).encode()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
