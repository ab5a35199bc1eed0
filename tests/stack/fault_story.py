"""What happens to the stack while the load goes on: each fault with its time, in lanes that run beside each other or follow each other."""

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable

import msgspec

from bench.open_load import OpenLoad
from compose.native.stack import Stack
from tests.harness.polling import holds_within
from tests.stack.stores import Stores

REFUSED_WHILE_ENDING = r'"otelcol\.component\.id": "{exporter}".*Ingester is shutting down.*"dropped_items": (\d+)'
"""The Collector's line for a batch that reached a store in the milliseconds between the end of its ingester and that of its listener.

Tempo 2.9 responds to it with the code UNKNOWN, Loki 3.7 with 500: OTLP calls neither retryable (docs/collector.md, "What is lost")."""

CATCH_UP_SECONDS = 90.0
PAUSE_SECONDS = 5.0


def count_refused_while_ending(log: str, exporter: str) -> int:
    """Return how many items of an exporter the Collector has dropped for that, by its log."""
    return sum(map(int, re.findall(REFUSED_WHILE_ENDING.format(exporter=re.escape(exporter)), log)))


class Fault(msgspec.Struct, kw_only=True):
    """One fault: which server, how, from when until when (monotonic seconds), and how long its store took to have everything again."""

    what: str
    began_seconds: float
    ended_seconds: float = 0.0
    catch_up_seconds: float = 0.0


class Story:
    """The faults so far. `counted` says how many requests the driver knows to have ended well."""

    def __init__(self, stack: Stack, stores: Stores, load: OpenLoad, say: Callable[[str], None]) -> None:
        self.faults: list[Fault] = []
        self._stack = stack
        self._stores = stores
        self._load = load
        self._say = say

    async def away(self, server: str, how: signal.Signals, seconds: float) -> None:
        """End a server, leave it away, start it again, and wait until its store has what was sent meanwhile."""
        fault = self._begin(f"{server} {how.name}")
        if how is signal.SIGKILL:
            await self._stack.kill(server)
        else:
            assert not await self._stack.stop(server), f"{server} did not end by SIGTERM in time, and was killed"
        await asyncio.sleep(seconds)  # how long the fault lasts
        await self._stack.start(server)
        await self._end(fault, server)

    def refused_while_ending(self, exporter: str) -> int:
        """Return how many items of an exporter the Collector has dropped for that."""
        return count_refused_while_ending(self._stack["otelcol"].log_path.read_text(errors="replace"), exporter)

    async def frozen(self, server: str, seconds: float) -> None:
        """Stop a server's process without ending it, and let it go on."""
        fault = self._begin(f"{server} SIGSTOP")
        self._stack.freeze(server)
        await asyncio.sleep(seconds)
        self._stack.thaw(server)
        await self._end(fault, server)

    async def during(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something else, as a fault of its own."""
        fault = self._begin(what)
        await act()
        await self._end(fault, "otelcol")

    def _begin(self, what: str) -> Fault:
        fault = Fault(what=what, began_seconds=time.monotonic())
        self.faults.append(fault)
        self._say(f"{what}; {len(self._load.sent)} requests so far")
        return fault

    async def _end(self, fault: Fault, server: str) -> None:
        """Wait until the stores behind the server show everything that had ended when it came back."""
        fault.ended_seconds = time.monotonic()
        ended = [each for each in self._load.sent if each.trace_id]
        newest = ended[-1].trace_id
        looks: dict[str, Callable[[], Awaitable[bool]]] = {
            "prometheus": lambda: self._has_counted(len(ended)),
            "loki": lambda: self._stores.has_log(newest),
            "tempo": lambda: self._stores.has_trace(newest),
        }
        for store, look in looks.items():
            if server in {store, "otelcol"} and not await holds_within(look, CATCH_UP_SECONDS):
                self._say(f"{store} did not catch up within {CATCH_UP_SECONDS:g} s after {fault.what}")
        fault.catch_up_seconds = time.monotonic() - fault.ended_seconds
        self._say(f"{fault.what}: back, caught up after {fault.catch_up_seconds:.1f} s")
        await asyncio.sleep(PAUSE_SECONDS)  # so that each fault begins in health

    async def _has_counted(self, count: int) -> bool:
        return await self._stores.total("fastapi_requests_total") >= count
