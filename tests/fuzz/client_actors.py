"""Clients that act out what `client_acts` plans, over raw sockets, a bounded number at a time."""

import asyncio
import contextlib
import re
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from tests.fuzz.client_acts import Act
from tests.fuzz.wire import BadResponseError, read_response

RESPONSE_SECONDS: Final = 60.0
_STALL_SECONDS: Final = 0.05
_PIECES: Final = 20
_SMALL_BUFFER_BYTES: Final = 4_096
_LIMIT: Final = 4 * 1024 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of zero: closing resets the connection."""

_TRACE_ID: Final = re.compile(rb"\r\nx-trace-id: ([0-9a-f]{32})\r\n", re.IGNORECASE)


class Observations:
    """What the clients sent and saw."""

    def __init__(self) -> None:
        self.behaviours: Counter[str] = Counter()
        self.requests = 0
        """How many requests the gateway can have seen at the most."""
        self.trace_ids: list[str] = []
        """Of each response of which a client has read the head."""
        self.problems: list[str] = []


class Actors:
    """For one event loop."""

    def __init__(self, port: int, observations: Observations) -> None:
        self._port = port
        self._observations = observations

    async def play(self, acts: Iterable[Act], *, at_once: int) -> None:
        """Act all of them out."""
        shared = iter(acts)
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._work(shared))

    async def _work(self, acts: Iterator[Act]) -> None:
        for act in acts:
            self._observations.behaviours[act.behaviour] += 1
            self._observations.requests += len(act.methods)
            connection = socket.socket()
            connection.setblocking(False)
            if act.behaviour == "slow_reader":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
            reader, writer = await asyncio.open_connection(sock=connection, limit=_LIMIT)
            try:
                async with asyncio.timeout(RESPONSE_SECONDS):
                    await self._act(act, reader, writer)
            except TimeoutError:
                self._problem(act, "no response")
            except OSError:
                pass  # the gateway may close a connection whose client misbehaves
            finally:
                await _end(act, writer)

    async def _act(self, act: Act, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if act.behaviour == "polite":
            writer.write(act.payload)
            await self._whole(act, reader)
            return
        interim = await _send(act, reader, writer)
        if act.behaviour == "slow_reader":
            await asyncio.sleep(_STALL_SECONDS)
        if act.ending == "half_close" and act.behaviour != "dribble":
            writer.write_eof()
        if act.behaviour == "dribble":
            await self._whole(act, reader)
        else:
            await self._some(act, reader, interim)

    async def _whole(self, act: Act, reader: asyncio.StreamReader) -> None:
        """Read the response to its end; it must be one."""
        try:
            response = await read_response(reader, act.methods[0])
        except (BadResponseError, ConnectionError) as error:
            self._problem(act, f"{type(error).__name__} {error}")
            return
        trace_id = None if response is None else response.header(b"x-trace-id")
        if trace_id is None:
            self._problem(act, "the connection ended instead of a response")
        else:
            self._observations.trace_ids.append(trace_id.decode())

    async def _some(self, act: Act, reader: asyncio.StreamReader, interim: bytes) -> None:
        """Read so many bytes at the most, as long as there are any, and note the responses among them."""
        got = bytearray(interim)
        # Nothing is due to a request that was not sent to its end: such a client does not wait.
        patience_seconds = RESPONSE_SECONDS if act.cut == len(act.payload) and act.read_bytes else _STALL_SECONDS
        heads = len(act.methods)
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(min(patience_seconds, RESPONSE_SECONDS / 2)):
                while len(got) < act.read_bytes and len(_TRACE_ID.findall(got)) < heads:
                    data = await reader.read(min(65_536, act.read_bytes - len(got)))
                    if not data:
                        break
                    got += data
        self._observations.trace_ids += [found.decode() for found in _TRACE_ID.findall(got)]

    def _problem(self, act: Act, what: str) -> None:
        if len(self._observations.problems) < 10:
            self._observations.problems.append(
                f"client {act.number} ({act.behaviour}, {act.ending}): {what}; sent {act.payload[:300]!r}"
            )


async def _send(act: Act, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send the payload as far as the act goes; return what was read meanwhile."""
    payload = act.payload[: act.cut]
    if act.behaviour == "dribble":
        step = max(1, len(payload) // _PIECES)
        for start in range(0, len(payload), step):
            writer.write(payload[start : start + step])
            await asyncio.sleep(0)
        return b""
    if act.behaviour != "continue":
        writer.write(payload)
        await writer.drain()
        return b""
    writer.write(payload[: act.head_bytes])
    got = b""
    if act.waits and act.cut >= act.head_bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                got = await reader.read(100)
    writer.write(payload[act.head_bytes :])
    await writer.drain()
    return got


async def _end(act: Act, writer: asyncio.StreamWriter) -> None:
    """End the connection as planned."""
    if act.ending == "stall":
        await asyncio.sleep(_STALL_SECONDS)
    if act.ending in {"reset", "stall"}:
        connection = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
