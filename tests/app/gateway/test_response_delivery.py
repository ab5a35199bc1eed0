"""A response ends when its bytes have left the process or its connection is gone: what is counted is what was delivered."""

import asyncio
import socket
import struct

import pytest

from app.config.schema import ServerConfig

CHAT = b'{"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}]}'
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good-key\r\ncontent-length: %d\r\n%b\r\n"
)
BIG_BYTES = 20_000_000
READ_SECONDS = 60.0


def connect(port):
    """Return a connection whose kernel takes little before the client reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


async def ask(port, *, extra=b""):
    client = connect(port)
    await asyncio.get_running_loop().sock_sendall(client, HEAD % (len(CHAT), extra) + CHAT)
    return client


async def read(client, size=None):
    """Read so many bytes, or all of them."""
    found = 0
    async with asyncio.timeout(READ_SECONDS):
        while size is None or found < size:
            data = await asyncio.get_running_loop().sock_recv(client, 65_536)
            if not data:
                break
            found += len(data)
    return found


def ended(gateway):
    return [request.finished for request in gateway.recorder.requests if request.finished]


def attempts(gateway):
    return [
        attempt.finished for request in gateway.recorder.requests for attempt in request.attempts if attempt.finished
    ]


@pytest.fixture
async def big(make_upstream, make_gateway, wire):
    async def make(**options):
        upstream = await make_upstream(lambda exchange: exchange.reply({**wire.completion, "padding": "x" * BIG_BYTES}))
        return await make_gateway(upstream, **options)

    return make


@pytest.mark.parametrize("extra", [b"", b"connection: close\r\n"])
async def test_a_whole_response_is_in_progress_until_its_client_has_taken_it(big, wire, extra):
    gateway = await big()
    client = await ask(gateway.port, extra=extra)
    taken = await read(client, 100_000)
    await wire.until(lambda: attempts(gateway), "the provider's response")
    assert ended(gateway) == []
    assert len(gateway.gateway.calls_in_flight) == 1
    taken += await read(client, BIG_BYTES - taken)
    await wire.until(lambda: ended(gateway), "the request")
    client.close()
    (request,), (call,) = ended(gateway), (await gateway.finished()).calls
    assert (request.outcome, request.status_code, call.status) == ("ok", 200, "success")
    assert request.response_bytes > BIG_BYTES


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_within_a_whole_response_got_what_it_took(big, wire, reset):
    gateway = await big()
    client = await ask(gateway.port)
    taken = await read(client, 1_000_000)
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    await wire.until(lambda: ended(gateway), "the request")
    (request,), (call,) = ended(gateway), (await gateway.finished()).calls
    assert (request.outcome, request.status_code) == ("cancelled", 200)
    assert taken - 1_000 < request.response_bytes < 12_000_000  # and what the kernel held for the client
    assert (call.status, call.cancel_phase) == ("cancelled", "after_first_byte")
    # The provider did its work, and is neither blamed for the client nor paid less.
    assert [attempt.status for attempt in attempts(gateway)] == ["success"]
    assert call.usage.output_tokens > 0
    assert [(row.status, row.output_tokens) for row in gateway.ledger.rows] == [("cancelled", call.usage.output_tokens)]


async def test_small_responses_wait_for_nothing(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    client = await ask(gateway.port)
    assert await read(client, 100) > 100
    await gateway.finished()
    assert [request.outcome for request in ended(gateway)] == ["ok"]
    client.close()


async def test_a_half_closed_client_gets_the_rest_of_a_whole_response(big):
    gateway = await big()
    client = await ask(gateway.port, extra=b"connection: close\r\n")
    taken = await read(client, 100_000)
    client.shutdown(socket.SHUT_WR)
    assert taken + await read(client) > BIG_BYTES
    client.close()
    await gateway.finished()
    assert [request.outcome for request in ended(gateway)] == ["ok"]


async def test_stopping_waits_for_readers_within_the_grace(big, wire):
    gateway = await big(grace_seconds=60.0)
    client = await ask(gateway.port)
    taken = await read(client, 100_000)
    gateway.server.should_exit = True
    taken += await read(client)
    assert taken > BIG_BYTES
    await wire.until(gateway.serve_task.done, "the end of the server")
    client.close()
    assert gateway.printed == []
    assert [request.outcome for request in ended(gateway)] == ["ok"]


async def test_what_is_not_taken_within_the_grace_is_cut_and_counted(big, wire):
    gateway = await big(grace_seconds=0.2)
    client = await ask(gateway.port)
    await read(client, 100_000)
    gateway.server.should_exit = True
    await wire.until(gateway.serve_task.done, "the end of the server")
    client.close()
    (printed,) = gateway.printed
    assert printed.startswith("1 responses were cut: their clients did not take the last ")
    (request,) = ended(gateway)
    assert request.outcome == "cancelled"
    lost = int(printed.split("the last ")[1].split()[0])
    assert abs(request.response_bytes + lost - BIG_BYTES) < 1_000  # the head, and the JSON around the padding
    assert [row.status for row in gateway.ledger.rows] == ["cancelled"]


async def test_a_client_that_reads_a_little_within_each_stall_time_is_kept(big, wire):
    gateway = await big(server_config=ServerConfig(send_stall_seconds=2.0))
    client = await ask(gateway.port)
    loop = asyncio.get_running_loop()
    started = loop.time()
    while loop.time() - started < 5.0:
        assert await read(client, 65_536)
        await asyncio.sleep(0.3)
    assert ended(gateway) == []
    client.close()
    await wire.until(lambda: ended(gateway), "the request")
