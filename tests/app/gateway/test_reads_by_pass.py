"""A client that sends as fast as it can is read once in each pass of the gateway's event loop, so that others have their turn."""

import asyncio
import contextlib
import socket

import pytest

from app.server.http_protocol import HttpConnection
from tests.harness.passes import Passes
from tests.harness.polling import until

pytestmark = pytest.mark.live
SENT_BYTES = 900_000


@pytest.fixture(scope="module")
def anyio_backend():
    """The gateway's event loop: it reads up to 32 times in a pass, asyncio's own once."""
    return "asyncio", {"use_uvloop": True}


def head(wire, *, key, length=SENT_BYTES):
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


def whole_body(wire):
    start = b'{"model":"acme/tiny","messages":[{"role":"user","content":"'
    return start + b"a" * (SENT_BYTES - len(start) - 4) + b'"}]}'


SENDS = {
    "body": (lambda wire: head(wire, key=wire.key) + whole_body(wire), b" 200 "),
    "body of a refused request": (lambda wire: head(wire, key="gwz_none") + b"a" * SENT_BYTES, b" 401 "),
    "head": (lambda _wire: b"GET /health/live HTTP/1.1\r\nx-a: " + b"a" * SENT_BYTES, b" 431 "),
}


@pytest.mark.parametrize("kind", SENDS)
async def test_what_arrives_at_once_is_read_in_several_passes(make_upstream, make_gateway, wire, monkeypatch, kind):
    gateway = await make_gateway(await make_upstream())
    data, status = SENDS[kind][0](wire), SENDS[kind][1]
    passes, updated = Passes(), HttpConnection.buffer_updated

    def noted(connection, nbytes):
        passes.note()
        updated(connection, nbytes)

    monkeypatch.setattr(HttpConnection, "buffer_updated", noted)
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.setblocking(False)
        left, received = memoryview(data), b""

        def filled():
            """Fill the kernel's buffers at once; return whether the response has come."""
            nonlocal left, received
            try:
                while left:
                    left = left[client.send(left) :]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                left = left[:0]
            with contextlib.suppress(BlockingIOError):
                received += client.recv(65_536)
            return b"\r\n\r\n" in received

        await until(filled)
        # What is left of a refused one is discarded.
        await until(lambda: filled() and (not left or status == b" 431 "))
        for _ in range(10):
            await asyncio.sleep(0)
    assert status in received.partition(b"\r\n")[0] + b" "
    reads, most = passes.stop()
    assert reads > 3
    assert most <= 1
    await gateway.finished()
