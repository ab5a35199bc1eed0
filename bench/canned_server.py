"""Responds with prepared bytes, so that neither the provider nor the OTLP endpoint is what is measured.

As a provider it sends a chat completion, or a stream of twelve parts with a pause between them, each in a write of its
own; as the provider `flaky` it has an error. As an OTLP endpoint it sends an empty 200. `python -m bench.canned_server
[PAUSE_SECONDS]` prints its URL; the pause is a millisecond, and with 0 the next part follows in the next turn of the
event loop.
"""

import asyncio
import re
import signal
import sys
from typing import cast

import msgspec
import uvloop

READY_LINE = "canned server: ready on "
EVENTS = 10
PAUSE_SECONDS = 0.001
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')


def _event(fields: dict[str, object]) -> bytes:
    data = b"data: " + msgspec.json.encode(fields) + b"\n\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _chunk(delta: dict[str, object], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]})


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return head + body


_HEAD: dict[str, object] = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "canned"}
_USAGE = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "word " * 10}, "finish_reason": "stop"}
WHOLE = _response(msgspec.json.encode({**_HEAD, "object": "chat.completion", "choices": [_CHOICE], "usage": _USAGE}))
NOTHING = _response(b"")
FAILURE = _response(b'{"error": {"message": "overloaded", "type": "server_error"}}', b"500 Internal Server Error")
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + _chunk({"role": "assistant", "content": ""}, None),
    *(_chunk({"content": "word "}, None) for _ in range(EVENTS)),
    _chunk({}, "stop")
    + _event({**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
)


class Canned(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pause_seconds: float) -> None:
        self._loop = loop
        self._pause_seconds = pause_seconds
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods, not by its class

    def data_received(self, data: bytes) -> None:
        """Respond as soon as the body is whole."""
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or len(body) < (int(length[1]) if length else 0):
            return
        self._buffer = b""
        line = head.partition(b"\r\n")[0]
        if not line.startswith(b"POST ") or b"/chat/completions " not in line:
            self._write(NOTHING)
        elif b"/flaky/" in line:
            self._write(FAILURE)
        elif _STREAM.search(body):
            self._stream(0)
        else:
            self._write(WHOLE)

    def _stream(self, position: int) -> None:
        self._write(STREAM[position])
        position += 1
        if position == len(STREAM):
            return
        if self._pause_seconds:
            self._loop.call_later(self._pause_seconds, self._stream, position)
        else:
            # The event loop joins the writes of one turn.
            self._loop.call_soon(self._stream, position)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def main(pause_seconds: float) -> None:
    """Serve until SIGTERM."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(lambda: Canned(loop, pause_seconds), "127.0.0.1", 0)
    print(f"{READY_LINE}http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else PAUSE_SECONDS))
