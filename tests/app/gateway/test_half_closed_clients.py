"""Clients that end their side of the connection, and clients that leave: both send FIN."""

import asyncio
import json
import socket

import pytest

from app.server import half_close
from tests.app.gateway.raw_client import CHAT, READ_SECONDS, exchange, get, post, responses

STREAM = json.dumps({**json.loads(CHAT), "stream": True}).encode()
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("body", [CHAT, STREAM])
async def test_a_whole_request_is_served(make_upstream, make_gateway, version, body):
    gateway = await make_gateway(await make_upstream())
    request = post(body=body).replace(b"HTTP/1.1", version)
    (response,) = responses(await exchange(gateway.port, request, half_close=True))
    assert response.status == 200
    assert response.body.endswith(b"[DONE]\n\n" if body is STREAM else b"}")
    (call,) = (await gateway.finished()).calls
    assert call.status == "success"


@pytest.mark.parametrize("body", [CHAT, STREAM])
async def test_a_slow_response_comes_too(make_upstream, make_gateway, wire, body):
    async def slow(each):
        await asyncio.sleep(1.5)
        await wire.response(each)

    gateway = await make_gateway(await make_upstream(slow))
    raw = await exchange(gateway.port, post(body=body), half_close=True)
    assert raw.startswith(CONTINUE)
    (response,) = responses(raw.removeprefix(CONTINUE))
    assert response.status == 200
    (call,) = (await gateway.finished()).calls
    assert call.status == "success"


async def test_every_pipelined_request_is_served(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    raw = await exchange(gateway.port, post() + get() + post(), half_close=True)
    assert [response.status for response in responses(raw)] == [200, 200, 200]
    assert len((await gateway.finished()).requests) == 3


@pytest.mark.parametrize("cut", [1, 50, -1])
async def test_what_is_not_whole_is_the_end(make_upstream, make_gateway, cut):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    raw = await exchange(gateway.port, get() + post()[:cut], half_close=True)
    assert [response.status for response in responses(raw)] == [200]
    assert not upstream.exchanges
    await gateway.finished()


@pytest.mark.parametrize("body", [CHAT, STREAM])
async def test_one_that_has_left_before_the_response_is_found_out(make_upstream, make_gateway, wire, body):
    async def silent(each):
        await each.gone()
        upstream.gone += 1

    upstream = await make_upstream(silent)
    gateway = await make_gateway(upstream)
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(post(body=body))
    await wire.until(lambda: upstream.exchanges, "the call")
    writer.close()
    await wire.until(lambda: upstream.gone, "the end of the provider's work")
    (call,) = (await gateway.finished()).calls
    assert (call.status, call.cancel_phase) == ("cancelled", "before_first_byte")
    assert gateway.connections.open == 0


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_one_that_leaves_while_it_waits_is_found_out(make_upstream, make_gateway, wire, monkeypatch, version):
    """Its kernel forgets the connection, here after a second, and resets what still comes."""
    monkeypatch.setattr(half_close, "_PROBE_SECONDS", 1)

    async def silent(each):
        await each.gone()
        upstream.gone += 1

    upstream = await make_upstream(silent)
    gateway = await make_gateway(upstream)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
    writer.write(post().replace(b"HTTP/1.1", version))
    writer.write_eof()
    await wire.until(lambda: upstream.exchanges, "the call")
    if version == b"HTTP/1.1":
        async with asyncio.timeout(READ_SECONDS):
            assert await reader.readexactly(len(CONTINUE)) == CONTINUE
    writer.close()
    await wire.until(lambda: upstream.gone, "the end of the provider's work")
    (call,) = (await gateway.finished()).calls
    assert (call.status, call.cancel_phase) == ("cancelled", "before_first_byte")


async def test_one_that_ends_its_side_of_a_stream_has_left(make_upstream, make_gateway, wire):
    async def talk(each):
        await each.stream_head()
        await each.send(wire.sse(wire.chunk("Hello")))
        await each.gone()

    gateway = await make_gateway(await make_upstream(talk))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(post(body=STREAM))
    async with asyncio.timeout(READ_SECONDS):
        await reader.readuntil(b"Hello")
    writer.close()
    (call,) = (await gateway.finished()).calls
    assert (call.status, call.cancel_phase) == ("cancelled", "after_first_byte")
