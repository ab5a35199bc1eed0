"""Redis and PostgreSQL frozen, stopped and started again under load: every request is served, a failing cache is a miss, no ledger row is lost.

The faults come one after the other while the same senders go on; each lasts until the gateway has
met it and many more requests were served.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from demo.environment import GATEWAY_READY_LINE, create_key
from demo.process import Child, start_child
from demo.upstream import scripted_upstream
from tests.harness.exposition import scrape
from tests.harness.polling import until
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.live

DEADLINE_SECONDS = 60.0
SENDERS = 6
MORE_RESPONSES = 60
API_KEY = (("cache", "api_key"),)
CONFIG = """
[server]
port = 0
[monitoring]
share_seconds = 0.0
[database]
url = "{database_url}"
[cache]
url = "{cache_url}"
[[providers]]
name = "only"
base_url = "{upstream_url}/healthy/v1"
[[models]]
name = "cached"
cache_ttl_seconds = 600.0
routes = [{{ provider = "only", upstream_model = "f", input_usd_per_million = 1.0, output_usd_per_million = 2.0 }}]
"""


class Senders:
    """Clients that send one request after the other, half of them repeated ones, and the responses to them."""

    def __init__(self, gateway_url: str, secret: str) -> None:
        self.gateway_url = gateway_url
        self._headers = {"authorization": f"Bearer {secret}"}
        self._stop = asyncio.Event()
        self.statuses: Counter[int] = Counter()
        self.caches: Counter[str | None] = Counter()
        self.trace_ids: list[str] = []

    @property
    def responses(self) -> int:
        return self.statuses.total()

    async def run(self) -> None:
        async with aiohttp.ClientSession(self.gateway_url, headers=self._headers) as session:
            await asyncio.gather(*(self._send(session, random.Random(seed)) for seed in range(SENDERS)))

    def stop(self) -> None:
        self._stop.set()

    async def _send(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        while not self._stop.is_set():
            text = f"repeated {rng.randrange(4)}" if rng.random() < 0.5 else f"new {rng.getrandbits(64):x}"
            body = {
                "model": "cached",
                "temperature": 0,
                "messages": [{"role": "user", "content": text}],
                "max_tokens": 3,
            }
            async with session.post("/v1/chat/completions", json=body) as response:
                await response.read()
            self.statuses[response.status] += 1
            self.caches[response.headers.get("x-gatewayz-cache")] += 1
            self.trace_ids.append(response.headers["x-trace-id"])


@asynccontextmanager
async def _gateway(folder: Path, database_url: str, cache_url: str) -> AsyncIterator[tuple[Child, str]]:
    """Start the upstream and the gateway; yields the gateway and an API key."""
    async with AsyncExitStack() as stack:

        async def start(name: str, ready_line: str, *arguments: str) -> Child:
            child = await start_child(name, arguments, log_path=folder / f"{name}.log", environ=os.environ)
            stack.push_async_callback(child.stop)
            await child.wait_ready(ready_line)
            return child

        upstream = await start(
            "upstream", scripted_upstream.READY_LINE, "demo.upstream.scripted_upstream", "--script", "steady"
        )
        config = folder / "gateway.toml"
        config.write_text(CONFIG.format(database_url=database_url, cache_url=cache_url, upstream_url=upstream.url))
        secret, _ = await create_key(config, "t", "free")
        yield await start("gateway", GATEWAY_READY_LINE, "app", "--config", str(config), "serve"), secret


class Faults:
    """What is done to the servers, and how long each state lasts."""

    def __init__(
        self, senders: Senders, session: aiohttp.ClientSession, redis: RedisServer, postgresql: PostgresqlServer
    ) -> None:
        self._senders = senders
        self._session = session
        self._redis = redis
        self._postgresql = postgresql

    async def play(self) -> None:
        await self._hits("a repeated request is served from the cache")
        for take_away, give_back in ((self._redis.freeze, self._redis.thaw), (self._redis.stop, self._redis.start)):
            await asyncio.to_thread(take_away)
            await self._misses()
            await self._answers()
            await asyncio.to_thread(give_back)
            await self._hits("the cache is used again")
        for take_away, give_back in (
            (self._postgresql.freeze, self._postgresql.thaw),
            (self._postgresql.stop, self._postgresql.start),
        ):
            await asyncio.to_thread(take_away)
            await self._key_queries()
            await self._answers()
            await asyncio.to_thread(give_back)
            await self._answers()

    async def _answers(self) -> None:
        """Wait for more responses."""
        before = self._senders.responses

        async def more() -> bool:
            return self._senders.responses >= before + MORE_RESPONSES

        await until(more, "requests are served", timeout_seconds=DEADLINE_SECONDS)

    async def _hits(self, what: str) -> None:
        before = self._senders.caches["hit"]

        async def more() -> bool:
            return self._senders.caches["hit"] >= before + MORE_RESPONSES

        await until(more, what, timeout_seconds=DEADLINE_SECONDS)

    async def _misses(self) -> None:
        """Wait until responses are misses alone: what was in flight has ended."""

        async def only_misses() -> bool:
            hits, responses = self._senders.caches["hit"], self._senders.responses
            await self._answers()
            return self._senders.caches["hit"] == hits and self._senders.responses > responses

        await until(only_misses, "a cache that does not respond is a miss", timeout_seconds=DEADLINE_SECONDS)

    async def _key_queries(self) -> None:
        """Wait until the gateway asked the database for the key again."""
        before = (await scrape(self._session, self._senders.gateway_url)).get(("cache_misses_total", API_KEY), 0)

        async def more() -> bool:
            samples = await scrape(self._session, self._senders.gateway_url)
            return samples.get(("cache_misses_total", API_KEY), 0) > before

        await until(more, "the key is looked up in the database", timeout_seconds=DEADLINE_SECONDS)


async def test_faults_of_the_servers_lose_nothing(
    tmp_path: Path, redis_server: RedisServer, postgresql: PostgresqlServer
) -> None:
    database_url = postgresql.new_database()
    async with (
        _gateway(tmp_path, database_url, redis_server.url) as (gateway, secret),
        aiohttp.ClientSession() as session,
    ):
        senders = Senders(gateway.url, secret)
        sending = asyncio.create_task(senders.run())
        try:
            await Faults(senders, session, redis_server, postgresql).play()
        finally:
            redis_server.thaw()
            postgresql.thaw()
            senders.stop()
            await sending
        assert senders.statuses == {200: senders.responses}, (tmp_path / "gateway.log").read_text()[-3_000:]
        assert set(senders.caches) == {"hit", "miss"}

        async def all_rows() -> bool:
            return await _rows(database_url, "count(*)") == senders.responses

        await until(all_rows, "every row is in the ledger", timeout_seconds=DEADLINE_SECONDS)
        samples = await scrape(session, gateway.url)
        cost = await _rows(database_url, "sum(cost_nanousd)")
        assert await _rows(database_url, "count(*) FILTER (WHERE cached)") == senders.caches["hit"]
    assert gateway.exit_code == 0
    assert await _trace_ids(database_url) == sorted(senders.trace_ids)
    totals: Counter[str] = Counter()
    for (name, _), value in samples.items():
        totals[name] += round(value * 1e9) if name == "gatewayz_cost_by_provider" else round(value)
    assert totals["fastapi_requests_total"] == senders.responses
    assert totals["gatewayz_cost_by_provider"] == cost
    assert totals["gatewayz_ledger_rows_dropped_total"] == 0
    log = (tmp_path / "gateway.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {line["logger"] for line in lines if "exception" in line} <= {"app.jobs.scheduler"}
    assert "every lookup is a miss" in log
    assert "the server responds again" in log
    assert "the database takes rows again" in log


async def _connect(database_url: str) -> asyncpg.Connection:
    return await asyncpg.connect(database_url.replace("+asyncpg", ""))


async def _rows(database_url: str, value: str) -> int:
    connection = await _connect(database_url)
    try:
        return int(await connection.fetchval(f"SELECT {value} FROM ledger"))  # noqa: S608  constant
    finally:
        await connection.close()


async def _trace_ids(database_url: str) -> list[str]:
    connection = await _connect(database_url)
    try:
        return [row[0] for row in await connection.fetch("SELECT trace_id FROM ledger ORDER BY 1")]
    finally:
        await connection.close()
