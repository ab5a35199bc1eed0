"""A connection that sends no whole head is ended; a request that takes its time is not."""

import asyncio
import contextlib
import socket

import pytest
import uvicorn

from console import slow_heads
from console.process import server_of
from tests.harness.console_process import used_port

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class SlowApp:
    """Responds when it is told to."""

    def __init__(self):
        self.entered, self.release = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.entered.set()
        await self.release.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@pytest.fixture
async def served(monkeypatch):
    monkeypatch.setattr(slow_heads, "HEAD_SECONDS", 0.05)
    app, listener = SlowApp(), used_port()
    listener.setblocking(False)
    server: uvicorn.Server = server_of(app)
    serving = asyncio.create_task(server.serve([listener]))
    yield app, listener.getsockname()
    app.release.set()
    server.should_exit = True
    await serving


async def connected(address, first):
    """Connect with the first bytes sent before the server knows of the connection, so that no pause of the machine comes between them."""
    client = socket.create_connection(address)
    client.sendall(first)
    return await asyncio.open_connection(sock=client)


async def read_the_end(reader):
    """Nothing comes but the end, which is a reset where bytes came too late to be read."""
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


@pytest.mark.parametrize("begun", [b"", b"G", HEAD])
async def test_a_connection_without_a_whole_head_is_ended(served, begun):
    _, address = served
    reader, writer = await connected(address, begun)
    await read_the_end(reader)
    writer.close()


async def test_a_request_has_its_time_and_the_next_head_the_deadline_again(served):
    app, address = served
    reader, writer = await connected(address, HEAD + b"\r\n")
    await app.entered.wait()
    # Another one is ended meanwhile: the deadline has passed.
    idle_reader, idle_writer = await connected(address, b"")
    await read_the_end(idle_reader)
    idle_writer.close()
    app.release.set()
    assert (await reader.readline()).startswith(b"HTTP/1.1 204")
    assert await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET /")
    await read_the_end(reader)
    writer.close()
