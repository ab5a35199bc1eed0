"""The event-stream splitter: framing rules, any chunking, bounded memory, linear time."""

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.openai.sse import EventTooLargeError, SseEvent, SseSplitter

MAX = 8 * 1024 * 1024


def split(data, size=None):
    splitter = SseSplitter(MAX)
    pieces = [data] if size is None else [data[start : start + size] for start in range(0, len(data), size)]
    return [event for piece in pieces for event in splitter.feed(piece)]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\n", [SseEvent(b"a")]),
        (b"data:a\n\n", [SseEvent(b"a")]),
        (b"data:  a \n\n", [SseEvent(b" a ")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [SseEvent(b"a"), SseEvent(b"b"), SseEvent(b"c")]),
        (b"data: a\ndata: b\ndata\n\n", [SseEvent(b"a\nb\n")]),
        (b": hi\n\ndata: a\n\n", [SseEvent(None, (b": hi",)), SseEvent(b"a")]),
        (b"event: x\nid: 7\ndata: a\n\n", [SseEvent(b"a", (b"event: x", b"id: 7"))]),
        (b"\n\n\r\n\r\rdata: a\n\n", [SseEvent(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SseEvent(b"a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [SseEvent(b"a"), SseEvent(None, (b"\xef\xbb\xbfdata: b",))]),
        (b"data: \n\n", [SseEvent(b"")]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"", []),
        (b"dat\n\n", [SseEvent(None, (b"dat",))]),
        (b"database: 1\n\n", [SseEvent(None, (b"database: 1",))]),
    ],
)
def test_framing(data, events):
    assert split(data) == events
    assert split(data, 1) == events


LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"data: ",
        b": comment",
        b"event: x",
        b"",
        b"",
        b"",
        b"junk",
        b"data: \xf0\x9f\x98\x80",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=40), cuts=st.lists(st.integers(0, 400), max_size=20))
def test_any_chunking_gives_the_same_events(lines, cuts):
    data = b"".join(line + end for line, end in lines)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    splitter = SseSplitter(MAX)
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert [event for piece in pieces for event in splitter.feed(piece)] == split(data) == split(data, 1)


@given(
    st.lists(
        st.builds(
            SseEvent,
            st.binary(max_size=30).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b" ")),
            st.lists(st.sampled_from([b": c", b"event: x"]), max_size=2).map(tuple),
        ),
        max_size=10,
    )
)
def test_what_is_encoded_is_read_back(events):
    assert split(b"".join(event.encode() for event in events)) == events


def test_several_data_lines_are_encoded_as_such():
    assert SseEvent(b"a\nb").encode() == b"data: a\ndata: b\n\n"
    assert SseEvent(None, (b": c",)).encode() == b": c\n\n"


@pytest.mark.parametrize(
    "data", [b"data: " + b"x" * 200, b"data: xx\n" * 40, b": c\n" * 80, b"x" * 150 + b"\n" + b"y" * 90]
)
@pytest.mark.parametrize("size", [1, 64, 1_000])
def test_an_event_that_never_ends_is_refused(data, size):
    splitter = SseSplitter(max_event_bytes=200)
    with pytest.raises(EventTooLargeError):
        for start in range(0, len(data), size):
            splitter.feed(data[start : start + size])


def test_many_events_are_no_large_event():
    splitter = SseSplitter(max_event_bytes=200)
    data = b": c\n\ndata: a\n\n" * 1_000
    assert sum(len(splitter.feed(data[start : start + 97])) for start in range(0, len(data), 97)) == 2_000


def test_a_slow_drip_of_a_long_line_stays_cheap():
    """A line of 4 MB in pieces of 100 bytes: copying what is held for each piece would move 80 GB."""
    splitter = SseSplitter(MAX)
    started = time.process_time()
    for _ in range(40_000):
        splitter.feed(b"x" * 100)
    assert time.process_time() - started < 2
    assert splitter.feed(b"\n\n") == [SseEvent(None, (b"x" * 4_000_000,))]


def test_the_end_of_a_long_line_is_found_fast():
    """Four times as fast as a regular expression that looks for it; streams of large events took most of their time there."""
    pieces = [b"data: " + b"x" * 60_000, b"x" * 60_000, b"x" * 60_000 + b"\n\n"] * 20

    def seconds_of(work):
        started = time.process_time()
        for piece in pieces:
            work(piece)
        return time.process_time() - started

    splitter = SseSplitter(MAX)
    splitter.feed(b"data: a\n\n")
    searched = min(seconds_of(re.compile(rb"[\r\n]").search) for _ in range(5))
    assert min(seconds_of(splitter.feed) for _ in range(5)) < searched / 4


def test_line_ends_of_every_kind_in_one_chunk_of_many_lines():
    data = b"data: a\r\n\r\ndata: b\n\ndata: c\r\rdata: d\r\n\n: e\n\r\n" * 500
    assert split(data) == split(data, 7)
    assert len(split(data)) == 2_500


@pytest.mark.parametrize("blank", [b"\r", b"\n", b"\r\n", b"\n\r"])
def test_blank_lines_between_events_cost_nothing(blank):
    """Megabytes of them are skipped at once, and end no event twice."""
    splitter = SseSplitter(MAX)
    assert splitter.feed(b"data: a\n\n" + blank * 2_000_000 + b"data: b\n\n") == [SseEvent(b"a"), SseEvent(b"b")]
    assert splitter.feed(blank * 2_000_000) == []
    assert splitter.feed(b"\ndata: c\n\n") == [SseEvent(b"c")]


@pytest.mark.parametrize("line", [b":\n", b"data\n", b"x\n"])
def test_an_event_of_very_many_lines_is_refused(line):
    with pytest.raises(EventTooLargeError):
        SseSplitter(1_000_000).feed(line * 20_000)
