"""A provider over TLS that closes its connection right behind a response: all that came is read."""

import asyncio
import contextlib
import socket
import ssl
import threading

import aiohttp
import pytest
import uvloop

from app.gateway.connector import LiveConnector
from tests.harness.certificates import self_signed

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
READ_SECONDS = 30.0
RESPONSES = {
    "large": (b"%x\r\n%b\r\n0\r\n\r\n" % (200_000, b"x" * 200_000), 200_000),
    "chunks of a byte": (b"1\r\nx\r\n" * 3_000 + b"0\r\n\r\n", 3_000),
    "small": (b"1\r\nx\r\n0\r\n\r\n", 1),
}


@pytest.fixture(scope="module")
def server_context(tmp_path_factory):
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def serve(listener, context, response):
    """Respond once, and end both TLS and TCP at once."""
    connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(65_536)
        secured.sendall(HEAD + response)
        secured.setblocking(False)
        with contextlib.suppress(OSError):
            secured.unwrap()
        secured.setblocking(True)
        socket.socket.shutdown(secured, socket.SHUT_WR)
        # The client ends its side when it has read all.
        with contextlib.suppress(OSError):
            socket.socket.recv(secured, 1)


async def body_of(url):
    connector = LiveConnector(limit=1, keepalive_timeout=10, pool_wait_seconds=5, connect_seconds=READ_SECONDS)
    async with (
        asyncio.timeout(READ_SECONDS),
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, ssl=False) as response,
    ):
        return await response.read()


@pytest.mark.live
@pytest.mark.parametrize("kind", RESPONSES)
def test_a_response_is_whole_though_its_connection_ends_with_it(server_context, kind):
    response, size = RESPONSES[kind]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, server_context, response))
        thread.start()
        # As the gateway does: asyncio's own event loop reads a TLS connection in another way.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            body = runner.run(body_of(f"https://127.0.0.1:{listener.getsockname()[1]}/"))
        thread.join(READ_SECONDS)
    assert len(body) == size
