"""A provider that responds with exactly the bytes that its request asks for, in a process of its own: status lines, framing, JSON, all may lie.

The request's field `x_lie` holds the response: `{"wire": <base64 of the bytes>, "then": "keep" |
"close"}`. Without it the response is a plain one. Run it as `python -m tests.fuzz.lying_upstream`; it
prints one ready line with its URL.
"""

import asyncio
import base64
import contextlib
import json
import signal
import sys
from typing import Any, Final

from tests.fuzz.canaries import ANSWER

READY_LINE: Final = "lying upstream: ready on "
FIELD: Final = "x_lie"
_USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def chat_response() -> dict[str, Any]:
    """Return an honest chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "liar-1", "choices": [choice], "usage": _USAGE}


def embeddings_response() -> dict[str, Any]:
    """Return an honest list of embeddings."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
    return {"object": "list", "data": data, "model": "liar-e", "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def stream_chunks() -> list[dict[str, Any]]:
    """Return the chunks of an honest stream."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "liar-1"}
    return [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {"content": ANSWER}, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**head, "choices": [], "usage": _USAGE},
    ]


def whole(
    body: bytes, content_type: bytes = b"application/json", status: bytes = b"200 OK", extra: bytes = b""
) -> bytes:
    """Return a well-framed response."""
    length = b"content-length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\ncontent-type: " + content_type + b"\r\n" + length + extra + b"\r\n" + body


def event_stream(events: list[bytes]) -> bytes:
    """Return a well-framed event stream, one chunk for each piece."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events if event)
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + chunks
        + b"0\r\n\r\n"
    )


def _honest(path: str, fields: dict[str, Any]) -> bytes:
    if path.endswith("/embeddings"):
        return whole(json.dumps(embeddings_response()).encode())
    if fields.get("stream") is True:
        events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in stream_chunks()]
        return event_stream([*events, b"data: [DONE]\n\n"])
    return whole(json.dumps(chat_response()).encode())


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            body = await reader.readexactly(length)
            wire, then = _response(head.split(b" ", 2)[1].decode(), body)
            writer.write(wire)
            await writer.drain()
            if then == "close":
                break
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _response(path: str, body: bytes) -> tuple[bytes, str]:
    """Return the bytes of the response, and whether the connection is kept."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        fields = {}
    try:
        lie: Any = fields.get(FIELD)
        return base64.b64decode(lie["wire"], validate=True), lie["then"]
    except (KeyError, TypeError, ValueError):
        return _honest(path, fields), "keep"


async def _main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=2**20)
    sys.stdout.write(f"{READY_LINE}http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_main())
