"""Sends inputs to the gateway over a bounded number of connections, reads what comes back, and counts it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from tests.fuzz.canaries import Keys
from tests.fuzz.inputs import Input
from tests.fuzz.responses import problems, trace_id
from tests.fuzz.wire import BadResponseError, Response, read_body, read_head, read_response

RESPONSE_SECONDS: Final = 20.0
QUIET_SECONDS: Final = 0.15
_LIMIT: Final = 4 * 1024 * 1024
_MOST_FAILURES: Final = 10


class Failure(msgspec.Struct, frozen=True):
    """What was wrong, and the input that showed it."""

    problem: str
    made: Input


class ResponseCounters:
    """What the clients saw."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.counted: Counter[tuple[str, int]] = Counter()
        """Responses with a trace id by method (tame inputs) or `wild`, and status."""
        self.not_seen = 0
        """How many requests the gateway may have counted at the most whose responses no client read."""
        self.failures: list[Failure] = []

    @property
    def inputs(self) -> int:
        """How many inputs were sent."""
        return sum(self.sent.values())

    def saw(self, made: Input, response: Response) -> None:
        """Enter one response's head."""
        self.statuses[response.status] += 1
        if trace_id(response) is not None:
            self.counted[made.method or "wild", response.status] += 1

    def fail(self, made: Input, problem: str) -> None:
        """Enter a failure; the first few are enough."""
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(Failure(problem, made))


class Driver:
    """The clients. For one event loop."""

    def __init__(self, port: int, keys: Keys, counters: ResponseCounters, stop: asyncio.Event) -> None:
        self._port = port
        self._keys = keys
        self._counters = counters
        self._stop = stop

    async def send(self, inputs: Iterable[Input], *, workers: int) -> None:
        """Send every input once, until one fails or the run is stopped."""
        shared = iter(inputs)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(shared))

    async def _work(self, inputs: Iterator[Input]) -> None:
        """Send inputs one after the other; tame ones share a connection for as long as the server keeps it."""
        connection: _Connection | None = None
        try:
            for made in inputs:
                if self._stop.is_set() or self._counters.failures:
                    break
                self._counters.sent[made.kind] += 1
                try:
                    connection = connection or await _Connection.open(self._port)
                except OSError as error:
                    self._counters.fail(made, f"no connection: {error}")
                    break
                if made.is_tame:
                    connection = await self._tame(connection, made)
                else:
                    wild, connection = connection, None
                    await self._wild(wild, made)
        finally:
            if connection is not None:
                await connection.close()

    async def _tame(self, connection: "_Connection", made: Input) -> "_Connection | None":
        """Send a tame input and check its one response; return the connection if it may be used again."""
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                await connection.write(made)
                response = await read_response(connection.reader, made.method)
        except (BadResponseError, ConnectionError, TimeoutError) as error:
            self._counters.fail(made, f"no response to a well-formed request: {type(error).__name__} {error}")
            response = None
        else:
            if response is None:
                self._counters.fail(made, "the connection ended instead of a response")
        if response is not None:
            self._counters.saw(made, response)
            self._check(made, response)
            if not response.closes:
                return connection
        await connection.close()
        return None

    async def _wild(self, connection: "_Connection", made: Input) -> None:
        """Send a wild input on a connection of its own and check every response."""
        seen = 0
        try:
            # The server may have closed already: ENOTCONN is an OSError and no ConnectionError.
            with contextlib.suppress(OSError):
                await connection.write(made)
                if made.leave == "half_close":
                    connection.writer.write_eof()
            if made.leave != "close":
                seen = await self._answers(connection, made)
        finally:
            await connection.close(abort=made.leave in {"close", "after_head"})
        self._counters.not_seen += max(0, made.most_requests - seen)

    async def _answers(self, connection: "_Connection", made: Input) -> int:
        """Read responses until the server closes or is quiet; return how many were counted as requests."""
        seen = 0
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS) as patience:
                    head = await read_head(connection.reader)
                    patience.reschedule(asyncio.get_running_loop().time() + RESPONSE_SECONDS)
                    if head is None:
                        return seen
                    self._counters.saw(made, head)
                    seen += trace_id(head) is not None
                    if made.leave == "after_head":
                        return seen
                    response = await read_body(connection.reader, head, None)
            except (TimeoutError, ConnectionError):
                return seen
            except BadResponseError as error:
                if made.leave != "half_close":
                    self._counters.fail(made, str(error))
                return seen
            self._check(made, response)

    def _check(self, made: Input, response: Response) -> None:
        for problem in problems(made, response, self._keys):
            self._counters.fail(
                made,
                f"{problem} (status {response.status}, headers {response.headers!r}, body {response.body[:300]!r})",
            )


class _Connection:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT))

    async def write(self, made: Input) -> None:
        """Write the payload in its pieces."""
        start = 0
        for cut in (*made.cuts, len(made.payload)):
            self.writer.write(made.payload[start:cut])
            await self.writer.drain()
            if made.cuts:
                await asyncio.sleep(0.001)
            start = cut

    async def close(self, *, abort: bool = False) -> None:
        """Close; `abort` without any farewell."""
        if abort:
            self.writer.transport.abort()
        self.writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self.writer.wait_closed()
