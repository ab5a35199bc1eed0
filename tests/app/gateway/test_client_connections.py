"""How many connections clients may have, which ones make room for others, and what happens without descriptors."""

import asyncio
import errno
import gc
import json
import logging
import socket

import pytest

from app.config.schema import AppConfig, ProviderConfig, ServerConfig
from app.gateway.capacity.loop_sharing import LoopSharing
from app.server.acceptor import AcceptedProtocol, Acceptor
from app.server.connections import Connections
from app.server.descriptors import MOST_CONNECTIONS, max_client_connections, spare_descriptors
from app.server.http_head import FIELD_BYTES
from app.server.socket_events import ClientEvents
from tests.app.gateway.raw_client import exchange, get, post, responses

READ_SECONDS = 20.0


async def connect(port, data=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def ended(reader):
    async with asyncio.timeout(READ_SECONDS):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def responded(reader):
    """Read one response with a Content-Length."""
    async with asyncio.timeout(READ_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return responses(head + await reader.readexactly(length))[0]


async def test_connections_that_send_nothing_make_room_for_others(make_upstream, make_gateway, wire, caplog):
    gateway = await make_gateway(await make_upstream(), max_client_connections=8)
    used_reader, used = await connect(gateway.port, get())
    assert (await responded(used_reader)).status == 200
    with caplog.at_level(logging.WARNING):
        idle = [await connect(gateway.port) for _ in range(30)]
        await wire.until(lambda: gateway.connections.closed["idlest"] == 23, "the closing of the idlest")
        assert gateway.connections.open == 8
        for reader, _ in idle[:20]:
            assert await ended(reader)
        assert (await gateway.chat()).status == 200
        used.write(get())
        assert (await responded(used_reader)).status == 200
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("gatewayz.connections", "WARNING")
    assert "the bound of 8 client connections is reached" in record.getMessage()
    for _, writer in [*idle, (None, used)]:
        writer.close()
    await gateway.session.close()
    await wire.until(lambda: gateway.connections.open == 0, "the end of all connections")


async def test_used_connections_make_room_the_idlest_first(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), max_client_connections=4)
    clients = [await connect(gateway.port, get()) for _ in range(4)]
    for reader, _ in clients:
        assert (await responded(reader)).status == 200
    clients[0][1].write(get())
    assert (await responded(clients[0][0])).status == 200
    newest = await connect(gateway.port, get())
    assert (await responded(newest[0])).status == 200
    assert await ended(clients[1][0])
    clients[0][1].write(get())
    assert (await responded(clients[0][0])).status == 200
    for _, writer in [*clients, newest]:
        writer.close()


async def test_what_is_being_served_is_never_closed_for_a_newer_connection(make_upstream, make_gateway, wire):
    may_go_on = asyncio.Event()

    async def slow(exchange):
        await may_go_on.wait()
        await exchange.reply(wire.completion)

    upstream = await make_upstream(slow)
    gateway = await make_gateway(upstream, max_client_connections=3)
    clients = [await connect(gateway.port, post()) for _ in range(3)]
    await wire.until(lambda: len(upstream.exchanges) == 3, "three calls")
    for _ in range(5):
        reader, writer = await connect(gateway.port, post())
        refused = await responded(reader)
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (503, "overloaded")
        assert await ended(reader)
        writer.close()
    assert gateway.connections.closed["refused"] == 5
    assert len(upstream.exchanges) == 3
    may_go_on.set()
    for reader, writer in clients:
        assert (await responded(reader)).status == 200
        writer.close()
    await gateway.finished()


async def test_monitoring_is_reachable_while_every_connection_is_being_served(make_upstream, make_gateway, wire):
    may_go_on = asyncio.Event()

    async def slow(exchange):
        await may_go_on.wait()
        await exchange.reply(wire.completion)

    upstream = await make_upstream(slow)
    gateway = await make_gateway(upstream, max_client_connections=3)
    clients = [await connect(gateway.port, post()) for _ in range(3)]
    await wire.until(lambda: len(upstream.exchanges) == 3, "three calls")
    silent = [await connect(gateway.port) for _ in range(40)]
    await wire.until(lambda: gateway.connections.closed["refused"] == 24, "the closing of all but sixteen")
    assert gateway.connections.open == 19
    for path in (b"/health/live", b"/metrics", b"/prometheus/metrics/summary"):
        reader, writer = await connect(gateway.port, get(path))
        # The application of these tests has no such path; that it responds is what counts.
        assert (await responded(reader)).status == 404
        assert await ended(reader)
        writer.close()
    # A connection beyond the bound is like any other once others have ended.
    may_go_on.set()
    for reader, writer in clients:
        assert (await responded(reader)).status == 200
        writer.close()
    for _, writer in silent[:-1]:
        writer.close()
    await wire.until(lambda: gateway.connections.open == 1, "the end of the others")
    reader, writer = silent[-1]
    for _ in range(2):
        writer.write(get())
        assert (await responded(reader)).status == 200
    writer.close()
    await gateway.finished()


async def test_many_episodes_are_many_warnings_and_one_is_one(caplog):
    connections = Connections(10)

    class Client:
        is_extra = False

        def __init__(self):
            self.transport = self

        def get_write_buffer_size(self):
            return 0

        def abort(self):
            connections.leave(self)

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clients = [Client() for _ in range(30)]
            for client in clients:
                assert connections.admit()
                connections.is_unused(client)
            for client in clients[20:]:
                client.abort()
            assert connections.open == 0
            assert connections.admit()
            connections.leave(None)
    assert len(caplog.records) == 3
    assert connections.closed["idlest"] == 60


async def test_without_a_descriptor_the_idlest_connection_goes_and_accepting_goes_on(caplog):
    """A listener that fails as the kernel does; a real process without descriptors is in the live test below."""

    class Listener:
        def __init__(self):
            self.failures = 3
            self.real = socket.create_server(("127.0.0.1", 0))
            self.real.setblocking(False)

        def fileno(self):
            return self.real.fileno()

        def getsockopt(self, *option):
            return self.real.getsockopt(*option)

        def accept(self):
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self.real.accept()

    made = asyncio.Event()

    class Protocol(AcceptedProtocol):
        def connection_made(self, transport):
            made.set()
            transport.close()

    listener, connections = Listener(), Connections(10)
    events = ClientEvents(asyncio.get_running_loop(), LoopSharing(lambda: 0.0))
    acceptor = Acceptor(asyncio.get_running_loop(), listener, events, Protocol, connections)
    with caplog.at_level(logging.WARNING):
        _, writer = await asyncio.open_connection(*listener.real.getsockname())
        async with asyncio.timeout(READ_SECONDS):
            await made.wait()
    writer.close()
    acceptor.close()
    await asyncio.sleep(0)
    events.close()
    listener.real.close()
    assert connections.closed["no_descriptor"] == 3
    (record,) = caplog.records
    assert "no file descriptor left" in record.getMessage()


@pytest.mark.parametrize(
    ("wanted", "limit", "providers", "expected"),
    [
        (None, 1_048_576, 2, MOST_CONNECTIONS),
        (None, 1_024, 2, 464),
        (None, 1_024, 20, 432),
        (None, 64, 1, 16),
        (100, 1_024, 2, 100),
        (5_000, 1_024, 2, 864),
        (50_000, 1_048_576, 2, 50_000),
    ],
)
def test_descriptors_are_reserved_for_providers_and_the_gateway_itself(wanted, limit, providers, expected):
    config = AppConfig(
        server=ServerConfig(max_connections=wanted),
        providers=tuple(ProviderConfig(name=f"p{index}", base_url="http://localhost/v1") for index in range(providers)),
    )
    assert max_client_connections(config, limit) == expected
    assert spare_descriptors(config, limit, expected) == max(0, limit - 160 - 200 * providers - expected)


async def test_a_pipeline_is_parsed_one_request_at_a_time_and_read_no_further(make_upstream, make_gateway, wire):
    may_go_on = asyncio.Event()

    async def slow(exchange):
        await may_go_on.wait()
        await exchange.reply(wire.completion)

    upstream = await make_upstream(slow)
    gateway = await make_gateway(upstream)
    count = 20_000
    reader, writer = await connect(gateway.port, post())
    await wire.until(lambda: upstream.exchanges, "the first call")
    sending = asyncio.create_task(send_all(writer, get(b"/v1/nowhere") * count))
    await wire.until(lambda: gateway.connections.unparsed_bytes > 16_000, "the bytes behind it")
    assert len(gateway.recorder.requests) == 1
    assert gateway.connections.unparsed_bytes < 100_000
    may_go_on.set()
    assert (await responded(reader)).status == 200
    assert (await responded(reader)).status == 404
    writer.close()
    sending.cancel()
    await wire.until(lambda: gateway.connections.open == 0, "the end of the connection")
    assert gateway.connections.unparsed_bytes == 0
    await gateway.finished()
    assert len(gateway.recorder.requests) < count


async def send_all(writer, data):
    writer.write(data)
    await writer.drain()


async def test_each_of_many_pipelined_requests_is_served_and_counted_once(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    count = 3_000
    raw = await exchange(gateway.port, get(b"/v1/nowhere") * count + post() + get(b"/v1/models", b"connection: close"))
    assert [response.status for response in responses(raw)] == [404] * count + [200, 200]
    recorded = await gateway.finished()
    assert len(recorded.requests) == count + 2


KINDS = {
    "unknown path": get(b"/v1/nowhere"),
    "wrong method": get(b"/v1/chat/completions"),
    "wrong key": get(key=b"bad"),
    "list": get(),
    "call": post(),
    "bad body": post(body=b"x"),
    "no request": b"GET / HTTP/1.1\r\nx: y\r\n\r\n",
    "cut off": post()[:-3],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_has_ended_leaves_no_cycles(make_upstream, make_gateway, wire, kind):
    """What is freed without the garbage collector does not have to wait for it."""
    gateway = await make_gateway(await make_upstream())

    async def one():
        _, writer = await connect(gateway.port, KINDS[kind] * 3)
        await asyncio.sleep(0.02)
        writer.close()
        await wire.until(lambda: gateway.connections.open == 0, "the end of the connection")

    await one()
    await gateway.finished()
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            await one()
        await gateway.finished()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = {type(each).__name__ for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left & {"HttpConnection", "RequestInput", "HeadParser", "HttpRequestParser", "RequestHead", "Timers"}


async def test_the_head_of_a_request_counts_until_its_response_has_ended(make_upstream, make_gateway, wire):
    may_go_on = asyncio.Event()

    async def slow(exchange):
        await may_go_on.wait()
        await exchange.reply(wire.completion)

    gateway = await make_gateway(await make_upstream(slow))
    fields = [b"x-%d: " % number for number in range(100)]
    reader, writer = await connect(gateway.port, post(*fields))
    await wire.until(lambda: gateway.connections.unparsed_bytes > len(fields) * FIELD_BYTES, "the head")
    may_go_on.set()
    assert (await responded(reader)).status == 200
    await wire.until(lambda: gateway.connections.unparsed_bytes == 0, "the end of the head")
    writer.close()
    await gateway.finished()
