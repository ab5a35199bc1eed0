"""Splits the bytes of an event stream into events, whatever the chunking.

Input: bytes as the network cut them. Output: complete events in order. It knows the framing of
the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html) and nothing of
what the data mean. Memory is bounded.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

_BYTES_PER_LINE: Final = 64
"""What a line costs in memory beside its bytes: an event of millions of empty lines is as large as it is held."""

_LINES_AT_ONCE: Final = 256
"""Less than a millisecond."""

FEW_LINES_BYTES: Final = 2 * _LINES_AT_ONCE
"""So much has no more lines than that, blank ones aside."""

_LEAST_SLICE_BYTES: Final = 512

_BLANK_LINES: Final = re.compile(rb"[\r\n]*")
_CARRIAGE_RETURN: Final = 13
_DATA: Final = b"data: "
_END: Final = b"\n\n"
_DATA_BYTES: Final = len(_DATA)
_END_BYTES: Final = len(_END)
EVENT_BYTES: Final = _DATA_BYTES + _END_BYTES
"""What an event of one data line has beside its data."""

_BOM: Final = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """An event grew over the bound before it ended."""


def slices(data: bytes) -> Sequence[bytes]:
    """Cut bytes of a stream into pieces of about so many lines as are quickly read; nearly always one."""
    if len(data) <= _LINES_AT_ONCE or (lines := data.count(b"\n") + data.count(b"\r")) <= _LINES_AT_ONCE:
        return (data,)
    size = max(_LEAST_SLICE_BYTES, len(data) * _LINES_AT_ONCE // lines)
    return [data[start : start + size] for start in range(0, len(data), size)]


class SseEvent(msgspec.Struct, frozen=True):
    """One event. `data` is None where it had no data line; `others` are its remaining lines (comments, `event:`, `id:`)."""

    data: bytes | None
    others: tuple[bytes, ...] = ()

    @property
    def name(self) -> bytes:
        """The value of its `event:` line, in lower case; empty without one."""
        for line in self.others:
            field, _, value = line.partition(b":")
            if field == b"event":
                return value.strip().lower()
        return b""

    @property
    def stray(self) -> bytes:
        """What the event holds instead of a data line: a JSON document, or the value of llama.cpp's field `error`; empty where nothing does."""
        first = self.others[0].lstrip() if self.data is None and self.others else b""
        if first[:1] in {b"{", b"["}:
            return b"\n".join(self.others)
        field, _, value = first.partition(b":")
        return value.strip() if field == b"error" else b""

    def encode(self) -> bytes:
        """Return the event in wire form; line ends become line feeds."""
        if self.data is not None and not self.others and b"\n" not in self.data:
            return b"data: %b\n\n" % self.data
        lines = list(self.others)
        if self.data is not None:
            lines += [b"data: " + line for line in self.data.split(b"\n")]
        return b"\n".join(lines) + b"\n\n"


class SseSplitter:
    """Feeds on bytes and returns events; one per stream, used by one task."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._others: list[bytes] = []
        self._held_bytes = 0
        self._skip_line_feed = False
        self._at_start = True
        self.held_bytes = 0
        """How much of an event that is not complete is held."""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes and return the events that they complete; raises `EventTooLargeError`."""
        documents = self.usual_data(chunk)
        if documents is None:
            return self._lines(chunk)
        return [SseEvent(document) for document in documents]

    def usual_data(self, chunk: bytes) -> list[bytes] | None:
        """Take the usual chunk, whole events of one data line each, and return their data; None where it is anything else.

        The bytes are those of `data: `, the data and two line feeds for each.
        """
        if self.held_bytes or self._skip_line_feed or len(chunk) > self._max_event_bytes:
            return None
        if not chunk.startswith(_DATA) or not chunk.endswith(_END) or b"\r" in chunk:
            return None
        inner = chunk[_DATA_BYTES:-_END_BYTES]
        if b"\n" not in inner:
            self._at_start = False
            return [inner]
        blocks = inner.split(_END + _DATA)
        # A line feed in a block is that of another line, or of another event that does not begin in this way.
        if b"\n" in b"".join(blocks):
            return None
        self._at_start = False
        return blocks

    def close(self) -> list[SseEvent]:
        """Return the event that the end of the stream cut short: its blank line, or even the end of its last line, did not come."""
        events: list[SseEvent] = []
        if self._rest:
            self._take_line(bytes(self._rest), events)
            self._rest.clear()
        self._take_line(b"", events)
        self.held_bytes = 0
        return events

    def _lines(self, chunk: bytes) -> list[SseEvent]:
        """Return the completed events of any chunk, line by line."""
        if self._skip_line_feed and chunk:
            # The last chunk ended in CR, which ended its line at once; an LF that follows belongs to it.
            chunk = chunk.removeprefix(b"\n")
            self._skip_line_feed = False
        # Only what is new can hold a line end: a slow drip of a long line stays linear.
        buffer, start, new = self._rest, 0, len(self._rest)
        buffer += chunk
        # Looked for one by one: on a long line that is 200 times as fast as a regular expression.
        feed, carriage = buffer.find(b"\n", new), buffer.find(b"\r", new)
        events: list[SseEvent] = []
        while feed >= 0 or carriage >= 0:
            end = feed if carriage < 0 or 0 <= feed < carriage else carriage
            self._take_line(bytes(buffer[start:end]), events)
            start = end + 2 if feed == end + 1 and carriage == end else end + 1
            if not self._data and not self._others:
                # Between events any number of blank lines is one.
                blank = _BLANK_LINES.match(buffer, start)
                start = start if blank is None else blank.end()
            if 0 <= feed < start:
                feed = buffer.find(b"\n", start)
            if 0 <= carriage < start:
                carriage = buffer.find(b"\r", start)
        self._skip_line_feed = start > 0 and start == len(buffer) and buffer[-1] == _CARRIAGE_RETURN
        del buffer[:start]
        self.held_bytes = self._held_bytes + len(buffer)
        if self.held_bytes > self._max_event_bytes:
            raise EventTooLargeError
        return events

    def _take_line(self, line: bytes, events: list[SseEvent]) -> None:
        """Add one line to the open event; an empty one ends it."""
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        if line:
            self._held_bytes += len(line) + _BYTES_PER_LINE
            if self._held_bytes > self._max_event_bytes:
                raise EventTooLargeError
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            else:
                self._others.append(line)
        elif self._data or self._others:
            events.append(SseEvent(b"\n".join(self._data) if self._data else None, tuple(self._others)))
            self._data, self._others, self._held_bytes = [], [], 0
