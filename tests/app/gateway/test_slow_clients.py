"""Clients that send or read too slowly, or send what is no HTTP: each connection ends, and says why where it can."""

import asyncio
import json
import socket

import pytest

from app.config.schema import ServerConfig

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good-key\r\ncontent-length: %d\r\n\r\n"
CHAT = b'{"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}]}'
LONG = 60.0
SHORT = 0.2
READ_SECONDS = 10.0


def server(*, head=LONG, body=LONG, stall=LONG):
    return ServerConfig(receive_head_seconds=head, receive_body_seconds=body, send_stall_seconds=stall)


async def read_to_end(reader):
    async with asyncio.timeout(READ_SECONDS):
        return await reader.read()


def error_of(response):
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]["code"]


async def drip(writer, data, seconds):
    """Send byte after byte, until the other side has had enough."""
    try:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)
    except ConnectionError:
        return


@pytest.mark.parametrize(
    ("start", "more"), [(b"G", b"ET /" + b"x" * 500), (b"GET / HTTP/1.1\r\nname", b"s" * 500), (b"\r", b"\n\r" * 250)]
)
async def test_a_head_that_does_not_end_is_408(make_upstream, make_gateway, start, more):
    gateway = await make_gateway(await make_upstream(), server_config=server(head=SHORT))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(start)
    # What comes in between does not buy more time.
    dripping = asyncio.create_task(drip(writer, more, SHORT / 10))
    assert error_of(await read_to_end(reader)) == (408, "request_timeout")
    dripping.cancel()
    writer.close()
    assert gateway.recorder.requests == []


async def test_the_second_head_of_a_connection_has_its_time_too(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), server_config=server(head=SHORT))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(HEAD % len(CHAT) + CHAT + b"GET /v1/mod")
    responses = (await read_to_end(reader)).partition(b"HTTP/1.1 408 ")
    assert responses[0].startswith(b"HTTP/1.1 200 ")
    assert b"request_timeout" in responses[2]
    writer.close()


async def test_a_head_that_comes_while_a_response_is_made_waits_for_it(make_upstream, make_gateway, wire):
    go = asyncio.Event()

    async def when_told(exchange):
        await go.wait()
        await exchange.reply(wire.completion)

    upstream = await make_upstream(when_told)
    gateway = await make_gateway(upstream, server_config=server(head=SHORT))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(HEAD % len(CHAT) + CHAT + b"GET /v1/mod")
    await wire.until(lambda: upstream.exchanges, "the call")
    await asyncio.sleep(3 * SHORT)
    go.set()
    assert (await read_to_end(reader)).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert [call.status for call in (await gateway.finished()).calls] == ["success"]


@pytest.mark.parametrize("transfer", ["length", "chunked"])
async def test_a_body_that_does_not_end_is_408(make_upstream, make_gateway, transfer):
    gateway = await make_gateway(await make_upstream(), server_config=server(body=SHORT))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head, piece = HEAD % 1_000, b"{"
    if transfer == "chunked":
        head, piece = head.replace(b"content-length: 1000", b"transfer-encoding: chunked"), b"1\r\n{\r\n"
    writer.write(head + piece)
    async with asyncio.timeout(READ_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        response = head + await reader.readexactly(length)
    assert error_of(response) == (408, "request_timeout")
    writer.close()
    recorded = await gateway.finished()
    assert [request.status_code for request in recorded.requests] == [408]
    assert recorded.calls == []


async def test_a_body_in_pieces_within_its_time_is_served(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), server_config=server(head=SHORT))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write((HEAD % len(CHAT)).replace(b"host: x", b"host: x\r\nconnection: close"))
    for start in range(0, len(CHAT), 20):
        await asyncio.sleep(SHORT / 2)
        writer.write(CHAT[start : start + 20])
    assert (await read_to_end(reader)).startswith(b"HTTP/1.1 200 ")
    writer.close()


def connect_with_a_small_window(port):
    """Return a connection of a client whose kernel takes little before it is asked."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


async def test_a_client_that_reads_nothing_of_a_stream_is_one_that_left(make_upstream, make_gateway, wire):
    async def talk(exchange):
        await exchange.stream_head()
        piece = wire.sse(wire.chunk("x" * 100_000))
        while True:
            await exchange.send(piece)

    upstream = await make_upstream(talk)
    gateway = await make_gateway(upstream, server_config=server(stall=SHORT))
    client = connect_with_a_small_window(gateway.port)
    body = CHAT[:-1] + b', "stream": true}'
    await asyncio.get_running_loop().sock_sendall(client, HEAD % len(body) + body)
    await wire.until(lambda: upstream.exchanges and not upstream.open_connections, "the end of the call")
    client.close()
    (call,) = (await gateway.finished()).calls
    assert (call.status, call.cancel_phase) == ("cancelled", "after_first_byte")


@pytest.mark.parametrize("connection", [b"connection: keep-alive", b"connection: close"])
async def test_a_client_that_reads_nothing_of_a_whole_response_is_cut_off(
    make_upstream, make_gateway, wire, connection
):
    big = {**wire.completion, "padding": "x" * 20_000_000}
    gateway = await make_gateway(
        await make_upstream(lambda exchange: exchange.reply(big)), server_config=server(stall=SHORT)
    )
    client = connect_with_a_small_window(gateway.port)
    request = (HEAD % len(CHAT)).replace(b"host: x", b"host: x\r\n" + connection) + CHAT
    await asyncio.get_running_loop().sock_sendall(client, request)
    await wire.until(lambda: gateway.recorder.requests, "the request")
    await gateway.finished()
    await wire.until(lambda: not gateway.server.server_state.connections, "the end of the connection")
    client.close()


async def test_a_client_that_reads_slowly_but_steadily_gets_all(make_upstream, make_gateway, wire):
    big = {**wire.completion, "padding": "x" * 4_000_000}
    gateway = await make_gateway(
        await make_upstream(lambda exchange: exchange.reply(big)), server_config=server(stall=1.0)
    )
    client = connect_with_a_small_window(gateway.port)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, (HEAD % len(CHAT)).replace(b"host: x", b"host: x\r\nconnection: close") + CHAT)
    received, started = 0, loop.time()
    async with asyncio.timeout(30):
        while data := await loop.sock_recv(client, 100_000):
            received += len(data)
            if loop.time() - started < 1.7:
                await asyncio.sleep(0.05)
    client.close()
    assert loop.time() - started > 1.5
    assert received > 4_000_000


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http_is_400_in_our_shape(make_upstream, make_gateway, garbage):
    gateway = await make_gateway(await make_upstream())
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(garbage)
    assert error_of(await read_to_end(reader)) == (400, "invalid_http")
    writer.close()


async def test_a_body_with_broken_framing_is_400_and_no_call(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write((HEAD % 1).replace(b"content-length: 1", b"transfer-encoding: chunked") + b"1\r\n{\r\nnot a size\r\n")
    assert error_of(await read_to_end(reader)) == (400, "invalid_http")
    writer.close()
    assert (await gateway.finished()).calls == []


async def test_a_client_that_sends_garbage_behind_its_request_may_still_leave(make_upstream, make_gateway, wire):
    async def talk(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello")))
        await exchange.gone()

    gateway = await make_gateway(await make_upstream(talk))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    body = CHAT[:-1] + b', "stream": true}'
    writer.write(HEAD % len(body) + body)
    async with asyncio.timeout(READ_SECONDS):
        await reader.readuntil(b"Hello")
    writer.write(b"\x00garbage\r\n\r\n")
    await writer.drain()
    writer.close()
    (call,) = (await gateway.finished()).calls
    assert call.status == "cancelled"
