"""Reads a provider's event stream, and rewrites it for the caller.

Input: bytes of the provider's body. Output: bytes for the caller, without usage that it did
not request; and, in the attributes, what accounting needs. Pure: no I/O, no clock. Chunks that need no
change are passed on byte for byte.
"""

import contextlib
from http import HTTPStatus
from typing import Final

from app.gateway.openai.chunk_fields import ERROR, USAGE, USAGE_AND_ERROR, begins, has_many_values, without
from app.gateway.openai.error_document import is_filled
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.outcome_words import UNFINISHED
from app.gateway.openai.response_shape import (
    NULL,
    Choice,
    Head,
    decode_chat,
    error_beside,
    error_itself,
    error_within,
    message_of,
    text_of,
)
from app.gateway.openai.sse import EVENT_BYTES, EventTooLargeError, SseEvent, SseSplitter
from app.gateway.openai.stream_choices import StreamChoices
from app.gateway.openai.stream_events import (
    END_MARKERS,
    NO_CONTENT,
    bare_error,
    cut_event,
    failure_of,
    is_chunk_name,
    named_error,
    read_stray,
    unreadable,
)
from app.gateway.openai.text_units import ABSENT, message_units
from app.gateway.openai.usage import UsageReader
from app.gateway.openai.usage_places import held_usages, usages_of
from app.gateway.openai.usual_chunk import read_usual_chunk
from otel.events import ErrorKind

DONE: Final = b"data: [DONE]\n\n"

_LONGEST_BYTES: Final = 16
"""Longer data are not looked up among those without content, white space around them included."""

_CUT: Final = "the body ended before the response was complete"
_MOST_HELD_BYTES: Final = 64 * 1024


class StreamChunks:
    """Reads one stream; fed by one task. After `done` it takes no more, and after `failure` only the usage that comes behind it.

    Chunks without content are held back until the first content comes: until then another provider
    may take over.
    """

    def __init__(self, *, include_usage: bool, choices: int, max_event_bytes: int) -> None:
        self._include_usage = include_usage
        self._requested_choices = choices
        self._splitter = SseSplitter(max_event_bytes)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._has_begun = False
        self._is_usual = True
        self._choices = StreamChoices()
        self._index: bytes | None = None
        """That of the last usual chunk."""
        self.chunks = 0
        self.held_bytes = 0
        """How much of an event that is not complete is held."""
        self.output_units = 0
        self._counted_units = 0
        self.usage = UsageReader()
        self.response_id: str | None = None
        self.response_model: str | None = None
        self.finish_reason: str | None = None
        self.done = False
        self.failure: UpstreamFailure | None = None
        self._failed_in_choice = False

    def feed(self, data: bytes) -> bytes:
        """Take what arrived and return what the caller gets of it: everything before a failure.

        `failure` is then set: to the provider's error, or to `bad_response` for what is not the wire format.
        """
        if self._is_usual and (documents := self._splitter.usual_data(data)) is not None:
            return self._take_documents(data, documents)
        try:
            events = self._splitter.feed(data)
        except EventTooLargeError:
            self._fail("bad_response", "an event over max_response_bytes")
            return b""
        finally:
            self.held_bytes = self._splitter.held_bytes
        return b"".join([self._take(event) for event in events])

    def _take_documents(self, data: bytes, documents: list[bytes]) -> bytes:
        """Take the events of `data`, of one data line each; usual chunks are passed on in one piece, as they are."""
        if len(documents) == 1:
            return data if self._take_usual(documents[0]) else self._take(SseEvent(documents[0]))
        pieces, start, end = list[bytes](), 0, 0
        for document in documents:
            begin, end = end, end + len(document) + EVENT_BYTES
            if not self._take_usual(document):
                pieces += (data[start:begin], self._take(SseEvent(document)))
                start = end
        return b"".join((*pieces, data[start:])) if pieces else data

    def _take_usual(self, document: bytes) -> bool:
        """Count a chunk that is to be passed on as it is; where one is not usual, such as a call of a tool, the next ones are not either."""
        if not self._is_usual or not self._has_begun or self.response_id is None:
            return False
        if self.done or self.failure is not None:
            return False
        if (usual := read_usual_chunk(document)) is None:
            self._is_usual = len(document) <= _LONGEST_BYTES  # such as the end marker
            return False
        index, units = usual
        self.chunks += 1
        if index != self._index:
            self._index = index
            self._choices.begin(index)
        self.output_units += units
        return True

    def end(self) -> bytes:
        """Take the end of the body; an event without its blank line counts if it can be read. Returns what the caller gets of it."""
        if self.done:
            return b""
        had_failed = self.failure is not None
        piece = b"".join([self._take(event) for event in cut_event(self._splitter)])
        if had_failed:
            return b""
        if not self.complete and self.failure is None:
            has_begun = bool(self.chunks)
            self._fail("stream_broken" if has_begun else "bad_response", _CUT if has_begun else "no event with content")
        return piece + self._release()

    @property
    def complete(self) -> bool:
        """Whether the response is whole: its end marker came, or every choice has a reason why it finished."""
        if self.failure is not None:
            return False
        return self.done or self._choices.are_finished(self._requested_choices)

    @property
    def uncounted_units(self) -> int:
        """How much of the text came after the last chunk that counted the output, in a stream that was cut: else its count stands."""
        return 0 if self.complete else self.output_units - self._counted_units

    @property
    def awaits_usage(self) -> bool:
        """Whether usage may still come: a choice has failed, and its stream goes on to its end."""
        return self._failed_in_choice and not self.done and self.uncounted_units > 0

    @property
    def choices(self) -> int:
        """How many choices have begun."""
        return len(self._choices)

    def _take(self, event: SseEvent) -> bytes:
        """Handle one event and return its bytes for the caller."""
        if self._is_over(event):
            return b""
        data = event.data
        if data is None:
            is_failure = bool(stray := event.stray) and self._is_failure(stray)
            # Comments keep a slow connection alive. Before the first content there is no response yet that they could keep alive.
            return event.encode() if self._has_begun and not is_failure else b""
        if len(data) <= _LONGEST_BYTES and (stripped := data.strip()) in NO_CONTENT:
            return self._end_marker() if stripped in END_MARKERS else b""
        if has_many_values(data):
            self._fail("bad_response", "a chunk of too many values")
            return b""
        try:
            return self._take_document(event, data)
        except (ValueError, RecursionError):
            return self._take_other(event)

    def _is_over(self, event: SseEvent) -> bool:
        """Whether the stream has ended, or ends with an error that has a name alone. Behind a failure usage may come, up to the end marker."""
        if self.done or self.failure is None:
            error = None if self.done else bare_error(event)
            self.failure = failure_of(error) if error else self.failure
        elif (data := (event.data or b"").strip()) in END_MARKERS:
            self.done = True
        elif b'"usage"' in data and not has_many_values(data):
            with contextlib.suppress(ValueError, RecursionError):
                self._count(*decode_chat(data))
        return self.done or self.failure is not None

    def _take_document(self, event: SseEvent, data: bytes) -> bytes:
        """Handle an event whose data is a JSON object; raises ValueError where it is none."""
        if not event.others and self._take_usual(data):
            return event.encode()
        head, choices = decode_chat(data)
        error = error_beside(head) or (None if choices else error_itself(data))
        if event.others and not choices and not error and head.usage is ABSENT and not is_chunk_name(event.name):
            # Such as a ping, or an event of another API with usage in one of its members.
            self._count(head, choices)
            return b""
        return self._take_chunk(event, head, choices, error)

    def _take_chunk(self, event: SseEvent, head: Head, choices: list[Choice] | None, error: object) -> bytes:
        """Handle one chunk of the response; of one with an error the caller gets the text alone."""
        self.chunks += choices is not None or head.usage is not ABSENT
        if self.response_id is None:
            self.response_id = text_of(head.id)
            self.response_model = text_of(head.model)
        has_usage = head.usage is not ABSENT or head.x_groq is not ABSENT
        units, is_last, is_beside = 0, not choices, bool(error)
        for choice in choices or ():
            index = bytes(choice.index)
            self._choices.begin(index)
            # Some servers send the last chunk as a whole response.
            delta = message_of(choice.message if choice.delta is ABSENT else choice.delta)
            if delta is not None:
                units += message_units(delta)
            reason = text_of(choice.finish_reason)
            if reason is not None and reason.lower() not in UNFINISHED:
                self.finish_reason = reason
                self._choices.finish(index)
                is_last = True
            error = error or error_within(choice, delta, reason)
            has_usage = has_usage or choice.usage is not ABSENT
        self.output_units += units
        is_held = is_last and not is_filled(head.usage) and next(held_usages(head, choices), None) is not None
        has_usage = has_usage or is_held
        if has_usage:
            self._count(head, choices)
        self._failed_in_choice = bool(error) and not is_beside
        if error := error or named_error(event):
            self.failure = failure_of(error)
            return self._deliver(without(event, USAGE_AND_ERROR), has_content=True) if units else b""
        # An error that says that there is none: SDKs raise on any.
        is_of_success = head.error is not ABSENT and is_filled(head.error)
        if has_usage and not self._include_usage:
            is_of_usage = is_held or (head.usage is not ABSENT and head.usage != NULL)
            names = USAGE_AND_ERROR if is_of_success else USAGE
            piece = without(event, names, drops_frame=is_of_usage and not choices)
        else:
            piece = without(event, ERROR) if is_of_success else event.encode()
        return self._deliver(piece, has_content=self._has_begun or units > 0 or begins(choices))

    def _deliver(self, piece: bytes, *, has_content: bool) -> bytes:
        """Return what the caller gets now: nothing before the first content."""
        if self._has_begun:
            return piece
        self._held.append(piece)
        self._held_bytes += len(piece)
        return self._release() if has_content or self._held_bytes > _MOST_HELD_BYTES else b""

    def _is_failure(self, stray: bytes) -> bool:
        """Handle JSON outside of data lines; whether it ends the stream, as an error or as a whole response does."""
        head, choices, error = read_stray(stray, is_late=self._has_begun)
        if error:
            self.failure = failure_of(error)
        elif not self._has_begun and choices:
            self._fail("bad_response", "a JSON document instead of an event stream")
        if self.failure is not None:
            self._count(head, choices)
        return self.failure is not None

    def _count(self, head: Head, choices: list[Choice] | None) -> None:
        """Take in the usage of one chunk."""
        for raw, choice in usages_of(head, choices):
            if self.usage.add(raw, choice):
                self._counted_units = self.output_units

    def _fail(self, kind: ErrorKind, reason: str) -> None:
        """End the stream with a failure that the provider did not name; the first one stays."""
        self.failure = self.failure or UpstreamFailure(kind, http_status=HTTPStatus.OK, reason=reason)

    def _take_other(self, event: SseEvent) -> bytes:
        """Handle an event that is not a chunk."""
        if (error := named_error(event)) is not None:
            self.failure = failure_of(error)
        elif is_chunk_name(event.name):
            self._fail("bad_response", unreadable(event))
        return b""

    def _end_marker(self) -> bytes:
        """Handle the end marker; without a choice before it the stream is not a response, nor is a whole one without choices."""
        if not self._choices:
            self._fail("bad_response", "an end without a choice before it")
            return b""
        self.done = True
        return self._release()

    def _release(self) -> bytes:
        """Return what was held back until the first content."""
        held, self._held = b"".join(self._held), []
        self._has_begun = True
        return held
