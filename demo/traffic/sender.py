"""Sends planned requests at their times over HTTP, and counts what it observed of each.

Arrivals do not wait for responses (open loop), up to a bound of requests in flight. A client that leaves does so at an
exact event: the upstream has the request, or a number of chunks was read.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import aiohttp
import msgspec

from demo.gateway_config import MAX_BODY_BYTES
from demo.traffic.counters import TrafficCounters
from demo.traffic.plan import Observed, Planned
from demo.traffic.response_reader import StreamReader, read_cached_tokens, read_characters, read_usage

REQUEST_SECONDS: Final = 150.0
_OK: Final = 200
_ARRIVED: Final = 204


class Traffic:
    """One run. Belongs to the event loop in which `run` is awaited; `monotonic` in seconds."""

    def __init__(
        self,
        *,
        gateway_url: str,
        upstream_url: str,
        keys: Mapping[str, str | None],
        counters: TrafficCounters,
        monotonic: Callable[[], float],
        max_in_flight: int = 256,
    ) -> None:
        self.counters = counters
        self._gateway_url = gateway_url
        self._upstream_url = upstream_url
        self._keys = keys
        self._monotonic = monotonic
        self._places = asyncio.Semaphore(max_in_flight)
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._models: dict[int, str | None] = {}

    @property
    def in_flight(self) -> int:
        """How many requests wait for their response or for their turn."""
        return len(self._in_flight)

    async def run(self, plan: Iterator[Planned], stop: asyncio.Event, *, limit: int | None = None) -> None:
        """Send until `stop` is set or `limit` requests were sent, then wait for the responses.

        Cancelling it ends every request without counting it.
        """
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                await self._send_all(session, plan, stop, limit)
                while self._in_flight:
                    await asyncio.wait(self._in_flight.values())
            finally:
                for task in self._in_flight.values():
                    task.cancel()

    async def _send_all(
        self, session: aiohttp.ClientSession, plan: Iterator[Planned], stop: asyncio.Event, limit: int | None
    ) -> None:
        started_seconds = self._monotonic()
        for sent, planned in enumerate(plan):
            if sent == limit:
                return
            await _wait_until(stop, started_seconds + planned.at_seconds - self._monotonic())
            await self._places.acquire()
            if stop.is_set():
                self._places.release()
                return
            task = asyncio.create_task(self._one(session, planned, stop))
            self._in_flight[planned.number] = task
            self._models[planned.number] = planned.model
            task.add_done_callback(partial(self._ended, planned.number))

    def drop(self, model: str) -> None:
        """Cut off the requests for a model, without counting them."""
        for number, task in self._in_flight.items():
            if self._models[number] == model:
                task.cancel()

    def _ended(self, number: int, task: "asyncio.Task[None]") -> None:
        self._places.release()
        del self._in_flight[number], self._models[number]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters.mismatches.append(f"request {number}: the traffic program failed: {error!r}")

    async def _one(self, session: aiohttp.ClientSession, planned: Planned, stop: asyncio.Event) -> None:
        """Send one request and count it. One that still waits for another when traffic stops is not sent."""
        earlier = self._in_flight.get(planned.after) if planned.after is not None else None
        if earlier is not None:
            await asyncio.wait({earlier})
            if stop.is_set():
                return
        started_seconds = self._monotonic()
        try:
            if planned.leaving == "before_first_byte":
                observed = await self._leave_before(session, planned)
            else:
                observed = await self._stay(session, planned, started_seconds)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
            observed = Observed(failure=f"{type(error).__name__}: {error}")
        self.counters.add(planned, observed)

    def _request(self, session: aiohttp.ClientSession, planned: Planned) -> "aiohttp.client._RequestContextManager":
        """Return the request, not sent yet."""
        key = self._keys[planned.key]
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return session.request(
            planned.method,
            self._gateway_url + planned.target,
            data=planned.body or None,
            headers=headers,
            # A body that will be refused unread is not sent: the client could miss the refusal.
            expect100=len(planned.body) > MAX_BODY_BYTES,
        )

    async def _leave_before(self, session: aiohttp.ClientSession, planned: Planned) -> Observed:
        """Leave when the upstream has the request; it never responds."""

        async def wait_for_head() -> int:
            async with self._request(session, planned) as response:
                return response.status

        waiting = asyncio.create_task(wait_for_head())
        try:
            async with session.get(f"{self._upstream_url}/_upstream/arrived/{planned.tag}") as arrived:
                has_arrived = arrived.status == _ARRIVED
            if waiting.done():
                return Observed(status_code=waiting.result(), failure="a response came before the client left")
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
        return Observed(failure=None if has_arrived else "the request never reached the upstream")

    async def _stay(self, session: aiohttp.ClientSession, planned: Planned, started_seconds: float) -> Observed:
        """Read the response, to its end or as far as planned."""
        async with self._request(session, planned) as response:
            head = Observed(
                status_code=response.status,
                provider=response.headers.get("x-gatewayz-provider"),
                cache=response.headers.get("x-gatewayz-cache"),
                trace_id=response.headers.get("x-trace-id"),
            )
            if response.content_type == "text/event-stream":
                observed = await self._read_stream(session, planned, response, head)
            else:
                observed = _whole(head, await response.read())
        return msgspec.structs.replace(observed, duration_seconds=self._monotonic() - started_seconds)

    async def _read_stream(
        self, session: aiohttp.ClientSession, planned: Planned, response: aiohttp.ClientResponse, head: Observed
    ) -> Observed:
        """Read a stream; at the planned chunk, leave or let the upstream go on."""
        reader = StreamReader()
        acted = planned.read_chunks is None
        async for data in response.content.iter_any():
            reader.feed(data)
            if acted or reader.content_chunks < (planned.read_chunks or 0):
                continue
            acted = True
            if planned.leaving == "after_first_byte":
                response.close()
                break
            if planned.releases:
                async with session.post(f"{self._upstream_url}/_upstream/release/{planned.tag}") as released:
                    await released.read()
        return msgspec.structs.replace(
            head,
            characters=reader.characters,
            usage=reader.usage,
            cached_tokens=reader.cached_tokens,
            ended_in_error=reader.ended_in_error,
            is_whole=reader.is_done,
        )


def _whole(head: Observed, body: bytes) -> Observed:
    """Return what a body that is not streamed adds."""
    response = json.loads(body or b"{}")
    if not isinstance(response, dict):
        return head
    if head.status_code != _OK:
        error = response.get("error")
        return msgspec.structs.replace(head, error_code=error.get("code") if isinstance(error, dict) else None)
    return msgspec.structs.replace(
        head,
        characters=read_characters(response),
        usage=read_usage(response),
        cached_tokens=read_cached_tokens(response),
        is_whole=True,
    )


async def _wait_until(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, or less when `stop` is set."""
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await stop.wait()
        except TimeoutError:
            return
