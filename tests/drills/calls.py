"""Calls to a gateway at a steady pace, each sort of them for as long as its act lasts."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

_TICK_SECONDS: Final = 0.25
_PLANNED: Final = frozenset({200, 429, 502, 503, 504})


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One sort of call: so often every second, to this model with this key, and what its upstream does."""

    model: str
    per_second: float
    key: str
    script: Mapping[str, Mapping[str, Any]] = {}
    stream: bool = False


class Calls:
    """Sends what `now` holds, by name, until the block of `running` ends; `now` may change at any time."""

    def __init__(self, gateway_url: str) -> None:
        self.now: dict[str, Call] = {}
        self._url = f"{gateway_url}/v1/chat/completions"
        self._due: dict[str, float] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send until the end of the block; then raises what went wrong with a call. A gateway that is away is nothing wrong."""
        tasks: list[asyncio.Task[None]] = []
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            pace = asyncio.create_task(self._run(session, tasks))
            try:
                yield
            finally:
                pace.cancel()
                done = await asyncio.gather(*tasks, return_exceptions=True)
            assert [each for each in done if each is not None and not isinstance(each, aiohttp.ClientError)] == []

    async def _run(self, session: aiohttp.ClientSession, tasks: list[asyncio.Task[None]]) -> None:
        while True:
            for name, call in self.now.items():
                self._due[name] = self._due.get(name, 0.0) + call.per_second * _TICK_SECONDS
                while self._due[name] >= 1.0:
                    self._due[name] -= 1.0
                    tasks.append(asyncio.create_task(self._ask(session, call)))
            await asyncio.sleep(_TICK_SECONDS)  # the pace

    async def _ask(self, session: aiohttp.ClientSession, call: Call) -> None:
        messages = [{"role": "user", "content": "say something"}]
        body = {"model": call.model, "messages": messages, "stream": call.stream, "x_script": call.script}
        headers = {"authorization": f"Bearer {call.key}", "content-type": "application/json"}
        async with session.post(self._url, data=msgspec.json.encode(body), headers=headers) as response:
            await response.read()
            assert response.status in _PLANNED
