"""Sends requests in a closed loop over raw sockets, in a process of its own, and prints one line of JSON (`LoadResult`).

Each connection sends its next request when it has the whole response to the last one. Only the status and the end of a
response are read.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.core_wait import CoreWait, no_wait
from bench.priority import give_way, go_first

_CONTENT_LENGTH = b"\r\ncontent-length: "
_OK = b"HTTP/1.1 200"
_LAST_CHUNK = b"0\r\n\r\n"


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The results. `failed` counts responses that were not 200 or not whole; times of the others in milliseconds.

    `own_p99_milliseconds`: without the time in which the server waited for a core.
    """

    responded: int
    failed: int
    seconds: float
    p50_milliseconds: float
    p99_milliseconds: float
    own_p99_milliseconds: float = 0.0


class Connection(asyncio.Protocol):
    """One connection of the load; `done` is set when it has nothing in flight any more."""

    def __init__(self, request: bytes, ends_at: float, server_waited: Callable[[], float] = no_wait) -> None:
        self.took_seconds: list[float] = []
        self.own_seconds: list[float] = []
        self._server_waited = server_waited
        self._waited_before = 0.0
        self.failed = 0
        self.done = asyncio.Event()
        self._request = request
        self._ends_at = ends_at
        self._response = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods, not by its class
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the protocol's signature
        """A response that was in flight is not coming."""
        if not self.done.is_set():
            self.failed += 1
            self.done.set()

    def _next(self) -> None:
        self._sent_at = time.perf_counter()
        if self._transport is None or self._sent_at >= self._ends_at:
            self.done.set()
            return
        self._waited_before = self._server_waited()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Look for the end of the response."""
        self._response += data
        if not _is_whole(self._response):
            return
        if self._response.startswith(_OK):
            took = time.perf_counter() - self._sent_at
            self.took_seconds.append(took)
            self.own_seconds.append(took - (self._server_waited() - self._waited_before))
        else:
            self.failed += 1
        self._response = b""
        self._next()


def _is_whole(response: bytes) -> bool:
    head, separator, body = response.partition(b"\r\n\r\n")
    if not separator:
        return False
    _, found, rest = head.lower().partition(_CONTENT_LENGTH)
    if found:
        return len(body) >= int(rest.partition(b"\r\n")[0])
    return body.endswith(_LAST_CHUNK)


async def run(
    url: str,
    headers: Sequence[str],
    body: bytes,
    *,
    connections: int,
    seconds: float,
    server_waited: Callable[[], float] = no_wait,
) -> LoadResult:
    """Load the server at `url`, with header lines `name: value`; raises OSError when it is not reachable."""
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 80
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\n"
        + "".join(f"{header}\r\n" for header in headers)
        + f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    ends_at = began + seconds
    opened = [
        await loop.create_connection(lambda: Connection(request, ends_at, server_waited), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done.wait() for _, connection in opened))
    took = time.perf_counter() - began
    for transport, _ in opened:
        transport.close()
    times = [each * 1000 for _, connection in opened for each in connection.took_seconds]
    failed = sum(connection.failed for _, connection in opened)
    if len(times) < 2:
        return LoadResult(responded=len(times), failed=failed, seconds=took, p50_milliseconds=0.0, p99_milliseconds=0.0)
    cuts = statistics.quantiles(times, n=100)
    own = [each * 1000 for _, connection in opened for each in connection.own_seconds]
    return LoadResult(
        responded=len(times),
        failed=failed,
        seconds=took,
        p50_milliseconds=cuts[49],
        p99_milliseconds=cuts[98],
        own_p99_milliseconds=statistics.quantiles(own, n=100)[98],
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--header", action="append", default=[], help="`name: value`, as often as wanted")
    parser.add_argument("--body", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument(
        "--background", action="store_true", help="give way at once to whatever else wants the processor"
    )
    parser.add_argument("--first", action="store_true", help="go before everything else: this is what is measured")
    parser.add_argument("--server-pid", type=int, help="the server, whose waits for a core are taken off")
    arguments = parser.parse_args()
    if arguments.first:
        go_first()
    if arguments.background:
        give_way()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(
            run(
                arguments.url,
                arguments.header,
                arguments.body.encode(),
                connections=arguments.connections,
                seconds=arguments.seconds,
                server_waited=CoreWait(arguments.server_pid) if arguments.server_pid else no_wait,
            )
        )
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
