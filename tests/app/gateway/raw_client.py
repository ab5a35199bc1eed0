"""A client on a raw socket: sends exactly the bytes that a test says, in exactly its pieces."""

import asyncio
import contextlib
import json

CHAT = json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "hi"}]}).encode()
READ_SECONDS = 20.0


def post(*fields: bytes, body: bytes = CHAT, path: bytes = b"/v1/chat/completions", key: bytes = b"good-key") -> bytes:
    """Return a request with a Content-Length."""
    length = b"content-length: %d" % len(body)
    own = [b"host: gateway", b"content-type: application/json", length]
    if key:
        own.append(b"authorization: Bearer " + key)
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", *own, *fields]) + b"\r\n\r\n" + body


def get(path: bytes = b"/v1/models", *fields: bytes, key: bytes = b"good-key") -> bytes:
    """Return a request without a body."""
    own = [b"host: gateway"] + ([b"authorization: Bearer " + key] if key else [])
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", *own, *fields]) + b"\r\n\r\n"


def chunked(body: bytes, *, size: int = 20, trailers: bytes = b"", extension: bytes = b"") -> bytes:
    """Return a body in chunks."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return (
        b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"
    )


class Response:
    """One response, in parts."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.split(b"\r\n")
        self.status = int(lines[0].split(b" ")[1])
        self.headers = [
            (name.lower().decode(), value.strip().decode())
            for name, _, value in (line.partition(b":") for line in lines[1:])
        ]
        self.body = body

    @property
    def same(self) -> tuple[object, ...]:
        """What two responses to the same request have in common."""
        changing = {"date", "x-trace-id", "x-request-id"}
        return (self.status, [field for field in self.headers if field[0] not in changing], self.body)

    @property
    def code(self) -> str | None:
        return json.loads(self.body)["error"]["code"]


def responses(raw: bytes) -> list[Response]:
    """Split what came on a connection by its framing; raises ValueError for what is no whole response."""
    found = []
    while raw:
        head, separator, raw = raw.partition(b"\r\n\r\n")
        if not separator:
            raise ValueError(f"no whole head: {head!r}")
        response = Response(head, b"")
        fields = dict(response.headers)
        if "content-length" in fields:
            length = int(fields["content-length"])
            response.body, raw = raw[:length], raw[length:]
        elif fields.get("transfer-encoding") == "chunked":
            while True:
                size, _, raw = raw.partition(b"\r\n")
                length = int(size, 16)
                piece, end, raw = raw[:length], raw[length : length + 2], raw[length + 2 :]
                if end != b"\r\n" or len(piece) != length:
                    raise ValueError("broken chunk")
                response.body += piece
                if not length:
                    break
        else:
            response.body, raw = raw, b""
        found.append(response)
    return found


async def read_one(reader: asyncio.StreamReader) -> Response:
    """Read one response with a Content-Length."""
    response = Response((await reader.readuntil(b"\r\n\r\n"))[:-4], b"")
    response.body = await reader.readexactly(int(dict(response.headers)["content-length"]))
    return response


async def exchange(port: int, *pieces: bytes, half_close: bool = False, pause_seconds: float = 0.01) -> bytes:
    """Send pieces in segments of their own, and return everything until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for index, piece in enumerate(pieces):
            if index:
                await asyncio.sleep(pause_seconds)
            writer.write(piece)
            await writer.drain()
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(READ_SECONDS):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
