"""Asks `GET /health/live` again and again and prints how long the answers took, as one line of JSON (`Pings`).

Every second one is on a new connection, as a load balancer's are; they are due at fixed times, so that one slow answer hides
no other. How late this process itself was meanwhile, a timer of a few milliseconds shows, and is taken off each answer.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.core_wait import CoreWait, no_wait
from bench.priority import go_first

EVERY_SECONDS = 0.02
TICK_SECONDS = 0.003
GIVE_UP_SECONDS = 10.0
_REQUEST = b"GET /health/live HTTP/1.1\r\nhost: gateway\r\n\r\n"


class Pings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds; `late_milliseconds`: how late the pinger was at most, `failed`: connections without an answer.

    `own_longest_milliseconds`: without the time in which the server waited for a core.
    """

    answered: int
    failed: int
    longest_milliseconds: float
    own_longest_milliseconds: float
    p99_milliseconds: float
    late_milliseconds: float


class Lateness:
    """How late a timer of this process was, lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ticks: deque[tuple[float, float]] = deque(maxlen=round(GIVE_UP_SECONDS / TICK_SECONDS))
        self.longest_seconds = 0.0

    def tick(self, due_at: float) -> None:
        """Record a tick that was due at a time."""
        late = max(0.0, self._clock() - due_at)
        self._ticks.append((due_at, late))
        self.longest_seconds = max(self.longest_seconds, late)

    def since(self, began_at: float) -> float:
        """Return the longest lateness of a tick that was not over at a time."""
        longest = 0.0
        for due_at, late in reversed(self._ticks):
            if due_at + late < began_at:
                break
            longest = max(longest, late)
        return longest


async def _tick(lateness: Lateness) -> None:
    while True:
        due_at = time.monotonic() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        lateness.tick(due_at)


class Pinger:
    """Pings one server until a time."""

    def __init__(self, host: str, port: int, server_waited: Callable[[], float] = no_wait) -> None:
        self._server_waited = server_waited
        self._own_longest_seconds = 0.0
        self._host = host
        self._port = port
        self._lateness = Lateness()
        self._took_seconds: list[float] = []
        self._failed = 0
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, seconds: float) -> Pings:
        """Ping for so long."""
        ticking = asyncio.create_task(_tick(self._lateness))
        began_at = time.monotonic()
        due_at = began_at
        pings: set[asyncio.Task[None]] = set()
        kept: asyncio.Task[None] | None = None
        is_new = True
        while due_at < began_at + seconds:
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            if is_new:
                ping = asyncio.create_task(self._ping(is_new=True))
                pings.add(ping)
                ping.add_done_callback(pings.discard)
            elif kept is None or kept.done():
                kept = asyncio.create_task(self._ping(is_new=False))
            is_new = not is_new
            due_at += EVERY_SECONDS
        await asyncio.gather(*pings, *([kept] if kept is not None else []))
        ticking.cancel()
        milliseconds = [each * 1e3 for each in self._took_seconds]
        return Pings(
            answered=len(milliseconds),
            failed=self._failed,
            longest_milliseconds=max(milliseconds, default=0.0),
            own_longest_milliseconds=self._own_longest_seconds * 1e3,
            p99_milliseconds=statistics.quantiles(milliseconds, n=100)[98] if len(milliseconds) > 1 else 0.0,
            late_milliseconds=self._lateness.longest_seconds * 1e3,
        )

    async def _ping(self, *, is_new: bool) -> None:
        began_at, waited_before = time.monotonic(), self._server_waited()
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                if is_new:
                    reader, writer = await asyncio.open_connection(self._host, self._port)
                    try:
                        await self._ask(reader, writer)
                    finally:
                        writer.close()
                else:
                    if self._kept is None:
                        self._kept = await asyncio.open_connection(self._host, self._port)
                    await self._ask(*self._kept)
        except (OSError, EOFError):
            if not is_new and self._kept is not None:
                # The gateway may close it between two requests: only new connections count as failed.
                self._kept[1].close()
                self._kept = None
            else:
                self._failed += 1
            return
        took = max(0.0, time.monotonic() - began_at - self._lateness.since(began_at))
        self._took_seconds.append(took)
        self._own_longest_seconds = max(self._own_longest_seconds, took - (self._server_waited() - waited_before))

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode("latin-1"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--server-pid", type=int, required=True)
    arguments = parser.parse_args()
    go_first()
    address = urlsplit(arguments.url)
    pinger = Pinger(address.hostname or "", address.port or 80, CoreWait(arguments.server_pid))
    pings = uvloop.run(pinger.run(arguments.seconds))
    sys.stdout.write(msgspec.json.encode(pings).decode() + "\n")


if __name__ == "__main__":
    main()
