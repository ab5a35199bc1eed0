"""A provider that attacks: `POST /ANSWER/v1/…` gets the answer of that name in `answers.py`; any GET an empty list of models.

A proxy that does not choose a provider by the model sends `POST /v1/…`: it gets the answer of the model's name, else a usual one.

`python -m bench.attacks.upstream` prints its URL. It gives way to what is measured, which has a provider of its own.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import Iterable

import uvloop

from bench.attacks.answers import ANSWERS, Answer
from bench.priority import give_way

READY_LINE = "hostile upstream: ready on "
USUAL = "plain"
_MODEL = re.compile(rb'"model": ?"([^"]{1,40})"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LONGEST_HEAD_BYTES = 1024 * 1024
_SKIP_BYTES = 256 * 1024


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection, one request at a time."""
    with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            beginning = await _skip(reader, int(length[1]) if length else 0)
            method, _, rest = head.partition(b" /")
            name = rest.partition(b"/")[0].decode("latin-1")
            if method == b"POST":
                await _send(writer, answer_of(name, beginning))
            else:
                writer.write(_models())
    writer.close()


def _models() -> bytes:
    body = b'{"object":"list","data":[]}'
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def answer_of(name: str, beginning: bytes) -> Answer:
    """Return the answer that a path names, or the model in the beginning of a body, or a usual one."""
    if name not in ANSWERS:
        model = _MODEL.search(beginning)
        name = model[1].decode("latin-1") if model else USUAL
    return ANSWERS.get(name, ANSWERS[USUAL])


async def _skip(reader: asyncio.StreamReader, length: int) -> bytes:
    """Read so many bytes of a body, and return its beginning."""
    beginning = b""
    while length > 0:
        data = await reader.read(min(length, _SKIP_BYTES))
        if not data:
            raise EOFError
        beginning = beginning or data
        length -= len(data)
    return beginning


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    for piece in answer.interim():
        writer.write(piece)
        await writer.drain()
    if answer.pause_seconds:
        await asyncio.sleep(answer.pause_seconds)
    framing = "transfer-encoding: chunked" if answer.length is None else f"content-length: {answer.length}"
    lines = (f"HTTP/1.1 {answer.status}", *answer.headers, framing, "", "")
    writer.write("\r\n".join(lines).encode())
    for piece in answer.pieces():
        writer.write(piece if answer.length is not None else _chunked(piece, answer.chunk_bytes))
        await writer.drain()
    if answer.length is None:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


def _chunked(piece: bytes, chunk_bytes: int) -> bytes:
    parts: Iterable[bytes] = (piece[start : start + chunk_bytes] for start in range(0, len(piece), chunk_bytes))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


async def main() -> None:
    """Serve until SIGTERM."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_LONGEST_HEAD_BYTES)
    print(f"{READY_LINE}http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    give_way()
    uvloop.run(main())
