"""Sends requests at a steady rate (an open loop), and records each one.

A late response delays no other request, so a stall shows in every request that it affects. Each `Sent` has its trace id,
the time from the moment it was due, and the number of attempts that it must have caused.
"""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from bench.environment import DETOUR_MODEL, DIRECT_MODEL

PROMPT_TOKENS = 10
COMPLETION_TOKENS = 5
_OK = 200
_ANSWER = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS}
_MESSAGES = [{"role": "user", "content": "say something"}]
_REQUEST_SECONDS = 60.0


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One request that has ended. `seconds` runs from the moment it was due; `status` is 0 where there was no response."""

    phase: str
    kind: str
    due_seconds: float
    seconds: float
    status: int
    trace_id: str

    @property
    def attempts(self) -> int:
        """How many calls to providers it caused."""
        return 2 if self.kind == "detour" else 1


class OpenLoad:
    """The driver. Of ten requests six are plain, three streams, and one fails over from one provider to another.

    `phase` may be changed at any time; a request belongs to the phase in which it was due.
    """

    def __init__(self, url: str, secret: str, *, per_second: float) -> None:
        self.phase = ""
        self.sent: list[Sent] = []
        self._url = f"{url}/v1/chat/completions"
        self._headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        self._interval_seconds = 1 / per_second
        self._under_way: set[asyncio.Task[None]] = set()
        self._pace: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
        )
        self._pace = asyncio.create_task(self._run(self._session))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop sending, and wait for the responses that are under way (cancel them when something failed)."""
        if self._pace is not None:
            self._pace.cancel()
        if exc is not None:
            for task in self._under_way:
                task.cancel()
        await asyncio.gather(*self._under_way, *([self._pace] if self._pace else []), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _run(self, session: aiohttp.ClientSession) -> None:
        due_seconds = time.monotonic()
        number = 0
        while True:
            await asyncio.sleep(max(0.0, due_seconds - time.monotonic()))
            task = asyncio.create_task(self._request(session, _kind(number), due_seconds))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            due_seconds += self._interval_seconds
            number += 1

    async def _request(self, session: aiohttp.ClientSession, kind: str, due_seconds: float) -> None:
        phase, status, trace_id = self.phase, 0, ""
        try:
            async with session.post(self._url, data=BODIES[kind]) as response:
                trace_id = response.headers.get("x-trace-id", "")
                whole = await response.read()
                ended_well = kind != "stream" or whole.endswith(b"data: [DONE]\n\n")
                status = response.status if ended_well else 0
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self.sent.append(
            Sent(
                phase=phase,
                kind=kind,
                due_seconds=due_seconds,
                seconds=time.monotonic() - due_seconds,
                status=status,
                trace_id=trace_id,
            )
        )


def _kind(number: int) -> str:
    return "detour" if number % 10 == 9 else "stream" if number % 10 in {2, 5, 8} else "plain"


def _body(kind: str) -> bytes:
    script = {"healthy": _ANSWER} | ({"flaky": {"status": 500}} if kind == "detour" else {})
    model = DETOUR_MODEL if kind == "detour" else DIRECT_MODEL
    body = {"model": model, "messages": _MESSAGES, "stream": kind == "stream", "x_script": script}
    return msgspec.json.encode(body)


BODIES = {kind: _body(kind) for kind in ("plain", "stream", "detour")}


def unanswered(sent: Sequence[Sent]) -> int:
    """Return how many requests did not get the whole response that they should have got."""
    return sum(each.status != _OK for each in sent)
