"""How much memory bodies and responses take: each is held once, what is made of a part of it is small, and all bounds have a total."""

import gzip
import json
import random
import tracemalloc
import zlib
from functools import partial

import msgspec
import pytest

from app.config.routing_schema import ProviderConfig
from app.config.schema import ServerConfig
from app.errors import InvalidRequestError
from app.gateway import json_bounds
from app.gateway.bounded_reads import READ_BYTES
from app.gateway.capacity.loop_yield import LoopYield
from app.gateway.capacity.offload import Offload, memory_bytes
from app.gateway.capacity.response_budget import FREE_BYTES, MEDIUM_BYTES_PER_OWNER, ResponseBudget, room_for
from app.gateway.exchange import _STREAM_READ_BYTES
from app.gateway.in_flight import calls_in_flight
from app.gateway.large_request_body import LargeRequestBody
from app.gateway.openai import lenient_json, lone_surrogates, long_strings
from app.gateway.openai.completion import read_response
from app.gateway.openai.request import parse_chat
from app.gateway.openai.request_reading import summarize
from app.gateway.provider_client import _READ_BUFFER_BYTES
from app.http.request_input import read_body
from app.server.connections import _SMALL_BYTES, _UNPARSED_BYTES
from app.server.write_flow import HIGH_WATER_BYTES

MIB = 1024 * 1024
SIZE = 4 * MIB
SMALL_WINDOW = 16


class Peak:
    """How many bytes more than at the beginning of the block were allocated within it."""

    def __enter__(self):
        tracemalloc.start()
        return self

    def __exit__(self, *_):
        self.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def receive_of(body, piece_bytes=64 * 1024):
    """Return an ASGI `receive` that cuts a body into pieces."""
    starts = iter(range(0, len(body), piece_bytes))

    async def receive():
        start = next(starts)
        more = start + piece_bytes < len(body)
        return {"type": "http.request", "body": body[start : start + piece_bytes], "more_body": more}

    return receive


def stored(data):
    """gzip that is as large as its content."""
    return gzip.compress(data, compresslevel=0, mtime=0)


def filled(before, unit, after, size=SIZE):
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def chat(content):
    return b'{"model":"acme/tiny","messages":[{"role":"user","content":%b}]}' % content


PLAIN = filled(b'{"model":"acme/tiny","messages":[{"role":"user","content":"', b"a", b'"}]}')
BEFORE, AFTER = b'{"choices":[{"message":{"content":"', b'"},"finish_reason":"stop"}]}'
LOGPROBS = filled(
    b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop","logprobs":{"content":[',
    b'{"token":"a","logprob":-1.5,"top_logprobs":[]},',
    b"{}]}}]}",
)
NOT_NUMBERS = LOGPROBS.replace(b"-1.5", b" NaN")


@pytest.mark.parametrize(
    ("codings", "body"),
    [
        pytest.param((), PLAIN, id="plain"),
        pytest.param(("gzip",), gzip.compress(PLAIN, mtime=0), id="gzip"),
        pytest.param(("gzip",), stored(PLAIN), id="gzip stored"),
        pytest.param(("deflate",), zlib.compress(PLAIN, 0), id="deflate stored"),
        pytest.param(("gzip", "gzip"), stored(stored(PLAIN)), id="gzip of gzip stored"),
        pytest.param(("gzip", "gzip"), stored(gzip.compress(PLAIN, mtime=0)), id="gzip of gzip"),
        pytest.param(
            ("gzip",),
            b"".join(stored(PLAIN[start : start + MIB // 32]) for start in range(0, SIZE, MIB // 32)),
            id="members",
        ),
    ],
)
async def test_a_body_is_held_once_and_all_of_it_is_counted(codings, body) -> None:
    held = []
    with Peak() as peak:
        read = await read_body(
            receive_of(body),
            codings,
            max_bytes=SIZE + MIB,
            seconds=60.0,
            hold=held.append,
            let_others_run=partial(LoopYield().wait, "key"),
        )
    assert read == PLAIN
    assert held == sorted(held)
    assert held[-1] == len(PLAIN)
    # Not the compressed bytes beside the decoded ones, not the pieces beside the whole.
    assert peak.bytes < 1.5 * SIZE


async def test_decoding_stops_where_there_is_no_room() -> None:
    def hold(size):
        if size > MIB:
            raise InvalidRequestError("no room")

    bomb = gzip.compress(gzip.compress(b" " * 16 * MIB, mtime=0), mtime=0)
    with Peak() as peak, pytest.raises(InvalidRequestError, match="no room"):
        await read_body(
            receive_of(bomb),
            ("gzip", "gzip"),
            max_bytes=SIZE,
            seconds=60.0,
            hold=hold,
            let_others_run=partial(LoopYield().wait, "key"),
        )
    assert peak.bytes < 3 * MIB


@pytest.mark.parametrize("content", [b'"a"', rb'"\ud83d"', b'"\xc3\xa9"'])
def test_a_large_body_goes_out_as_views_of_what_came(content) -> None:
    body = chat(content[:-1] + b"b" * SIZE + b'"')[:-1] + b',"stream":true,"stream_options":{"x":1}}'
    request = parse_chat(body)
    whole = request.upstream_body("up")
    with Peak() as peak:
        sent = LargeRequestBody(request.upstream_parts("up"))
    assert (sent.size, len(sent)) == (len(whole), len(whole))
    assert sent.decode() == whole.decode()
    assert peak.bytes < MIB


@pytest.mark.parametrize(
    ("most_mib", "read"),
    [
        pytest.param(12, lambda: json_bounds.check_depth(LOGPROBS), id="depth"),
        pytest.param(8, lambda: json_bounds.check_utf8("é😀a".encode() * (SIZE // 7)), id="utf-8"),
        pytest.param(4, lambda: lone_surrogates.mask(b'"%b"' % (rb"\ud83d" * (MIB // 6))), id="lone surrogates"),
        pytest.param(12, lambda: read_response(LOGPROBS, "chat"), id="logprobs"),
        pytest.param(14, lambda: read_response(NOT_NUMBERS, "chat"), id="NaN"),
        pytest.param(14, lambda: read_response(filled(BEFORE, b"a", "é😀".encode() + AFTER), "chat"), id="one emoji"),
        pytest.param(18, lambda: read_response(filled(BEFORE, rb"\ud83d", AFTER), "chat"), id="answer's surrogates"),
        pytest.param(10, lambda: read_response(filled(BEFORE, rb"\u4e2d", AFTER), "chat"), id="escapes"),
    ],
)
def test_reading_a_large_text_takes_few_copies_of_it(most_mib, read) -> None:
    with Peak() as peak:
        read()
    # Lists of what stands between quotes or escapes would take ten times the text; a text that is made here counts too.
    assert peak.bytes < most_mib * MIB


@pytest.mark.live
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(NOT_NUMBERS, id="NaN"),
        pytest.param(filled(BEFORE, rb"\ud83d", AFTER), id="surrogates"),
        pytest.param(filled(BEFORE, b"a", "😀".encode() + AFTER), id="one emoji"),
    ],
)
async def test_the_largest_response_is_read_within_the_memory_of_its_process(body) -> None:
    offload = Offload(largest_bytes={"requests": SIZE, "responses": SIZE})
    try:
        assert (await offload.run("responses", "p", read_response, body, "chat")).finish_reason == "stop"
        lone = filled(b'{"model":"acme/tiny","messages":[{"content":"', rb"\ud83d", b'"}]}')
        assert (await offload.run("requests", "k", summarize, lone, "chat")).model == "acme/tiny"
    finally:
        await offload.close()


def test_the_bounds_of_one_key_have_a_total_below_512_mb() -> None:
    server, provider = ServerConfig(), ProviderConfig(name="p", base_url="http://p/v1")
    largest = provider.max_response_bytes
    calls = calls_in_flight(server, 4_096)
    # Of each stream: what is read ahead, one piece with the begin of the next event, and what waits for the client.
    unread = 2 * _READ_BUFFER_BYTES + READ_BYTES + _STREAM_READ_BYTES + FREE_BYTES + HIGH_WATER_BYTES
    bounds = [
        calls.max_body_bytes_per_key,
        ResponseBudget(max_bytes=room_for(largest)).max_bytes_per_owner - MEDIUM_BYTES_PER_OWNER,
        MEDIUM_BYTES_PER_OWNER,
        calls.limit_per_key * (40 * 1024 + unread),
        memory_bytes("requests", server.max_body_bytes),
        memory_bytes("responses", largest),
        _UNPARSED_BYTES + 4_096 * _SMALL_BYTES,
        4_096 * 4 * 1024,
    ]
    assert [round(bound / MIB) for bound in bounds] == [64, 64, 16, 55, 74, 162, 24, 16]
    assert sum(bounds) < 512_000_000


@pytest.fixture
def _small_windows(monkeypatch):
    for module in (json_bounds, long_strings, lenient_json):
        monkeypatch.setattr(module, "WINDOW_BYTES", SMALL_WINDOW)


@pytest.mark.usefixtures("_small_windows")
@pytest.mark.parametrize("seed", range(100))
def test_parts_are_cut_where_no_character_and_no_word_is(seed) -> None:
    rng = random.Random(seed)
    alphabet = ["a", '"', "\\", "\n", "\u00e9", "\u4e2d", "\U0001f600", "\\u", "{", "u", "d83d", "\x7f", "\x01"]
    text = "".join(rng.choices(alphabet, k=60))
    for ensure_ascii in (False, True):
        raw = json.dumps(text, ensure_ascii=ensure_ascii).encode()
        ascii_bytes = sum(character.isascii() for character in text)
        assert long_strings.text_bytes(msgspec.Raw(raw)) == (ascii_bytes, len(text.encode()) - ascii_bytes)
        assert b"".join(json_bounds.windows(raw)) == raw
    halves = rng.choices([r"\ud83d", r"\uDE00", "x", "\u00e9"], k=40)
    cut = "".join(halves)
    others = 2 * sum(each != "x" for each in halves)
    assert long_strings.text_bytes(msgspec.Raw(f'"{cut}"'.encode())) == (halves.count("x"), others)
    words = [b"NaN", b"-Infinity", b"Infinity", b"-", b",", rb"\ud83d", rb"\n", rb"\\", rb"\ude00", b"1", b"I", b"Inf"]
    document = b" ".join(rng.choices(words, k=30))
    assert lenient_json._strict(document) == lenient_json._with_stand_ins(document)
    broken = bytearray("é😀中a".encode() * 5)
    broken[rng.randrange(len(broken))] = 0xFF
    with pytest.raises(UnicodeDecodeError) as expected:
        str(broken, "utf-8")
    with pytest.raises(UnicodeDecodeError) as found:
        json_bounds.check_utf8(bytes(broken))
    assert found.value.start == expected.value.start
