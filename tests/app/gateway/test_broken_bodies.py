"""A body that breaks off while the gateway does not read, because its client is slow: what had arrived is not lost."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.bounded_reads import arrival, read_arrived
from tests.app.gateway.raw_client import post

LARGE_CHARACTERS = 7_000_000
"""More than the buffers between two sockets of one machine hold."""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def body(*parts, error):
    loop = asyncio.get_running_loop()
    content = aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    for part in parts:
        content.feed_data(part)
    if error:
        content.set_exception(aiohttp.ClientPayloadError("cut"))
    return content


async def test_what_arrived_is_read_before_the_error_in_pieces_and_at_once():
    content = await body(b"abc", b"def", error=True)
    assert [read_arrived(content, 4) for _ in range(3)] == [b"abcd", b"ef", b""]
    with pytest.raises(aiohttp.ClientPayloadError):
        await content.read(4)
    assert read_arrived(await body(b"abc", b"def", error=True), -1) == b"abcdef"


async def test_a_body_that_goes_on_is_read_as_usual():
    content = await body(b"abc", error=False)
    assert [read_arrived(content, each) for each in (2, -1, -1)] == [b"ab", b"c", b""]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=9), max_size=8),
    sizes=st.lists(st.sampled_from([-1, 1, 4, 9, 100]), min_size=20, max_size=20),
    are_framed=st.booleans(),
    error=st.booleans(),
)
async def test_what_has_arrived_is_what_aiohttp_itself_would_take(chunks, sizes, are_framed, error):
    """In turns: a part arrives, a read."""
    loop = asyncio.get_running_loop()
    ours, theirs = (aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop) for _ in range(2))
    arriving = iter(chunks)
    for size in sizes:
        if (part := next(arriving, None)) is not None:
            for content in (ours, theirs):
                if are_framed:
                    content.begin_http_chunk_receiving()
                content.feed_data(part)
                if are_framed:
                    content.end_http_chunk_receiving()
        elif error:
            for content in (ours, theirs):
                content.set_exception(aiohttp.ClientPayloadError("cut"))
        assert read_arrived(ours, size) == theirs._read_nowait(size)
        assert (ours._size, ours._cursor, list(ours._buffer)) == (theirs._size, theirs._cursor, list(theirs._buffer))


async def test_an_arrival_is_more_of_the_body_its_end_or_what_breaks_it_off():
    for happens in (
        lambda content: content.feed_data(b"x"),
        lambda content: content.feed_eof(),
    ):
        content = await body(error=False)
        content._protocol.connection_made(asyncio.Transport())
        waits = arrival(content)
        assert not waits.done()
        happens(content)
        await waits
    content = await body(error=False)
    content._protocol.connection_made(asyncio.Transport())
    waits = arrival(content)
    content.set_exception(aiohttp.ClientPayloadError("cut"))
    with pytest.raises(aiohttp.ClientPayloadError, match="cut"):
        await waits
    with pytest.raises(aiohttp.ClientPayloadError, match="cut"):
        arrival(content)
    with pytest.raises(aiohttp.ClientPayloadError, match="ended"):
        arrival(await body(error=False))


def framed(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.live
async def test_the_end_of_a_stream_that_a_slow_client_has_not_read_is_not_lost(make_upstream, make_gateway, wire):
    """The provider closes its connection after the end marker, without the chunk that ends the body."""

    async def script(exchange):
        await exchange.raw(HEAD + framed(wire.sse(wire.chunk("x" * LARGE_CHARACTERS))))
        usage = wire.usage_chunk({"prompt_tokens": 10, "completion_tokens": 900_000})
        await exchange.raw(framed(wire.sse(wire.chunk("y", finish="stop"), usage, b"[DONE]")))
        exchange.end_writing()
        await exchange.gone()
        ended.set()

    ended = asyncio.Event()
    gateway = await make_gateway(await make_upstream(script))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=2**10)
    document = {"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], "stream": True}
    writer.write(post(b"connection: close", body=json.dumps(document).encode()))
    await reader.readline()
    await ended.wait()
    received = await reader.read()
    writer.close()
    assert b"data: [DONE]" in received[-100:]
    (call,) = (await gateway.finished()).calls
    assert (call.status, call.usage.output_tokens, call.usage.estimated) == ("success", 900_000, False)


@pytest.mark.live
async def test_the_reason_of_a_refusal_that_breaks_off_is_kept(make_upstream, make_gateway):
    async def script(exchange):
        refusal = json.dumps({"error": {"message": "temperature is too high"}}).encode()
        await exchange.raw(b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n" + framed(refusal))
        exchange.close()

    gateway = await make_gateway(await make_upstream(script))
    response = await gateway.chat()
    assert (response.status, response.json["error"]["message"]) == (400, "temperature is too high")
