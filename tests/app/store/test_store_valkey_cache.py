"""The response cache behind a server: a real one where it is installed; unavailable, silent or nonsensical is a miss, and soon."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.config.load import ConfigError
from app.gateway.clock import SystemClock
from app.store.valkey_cache import ValkeyResponseCache, open_valkey_cache
from tests.harness.polling import DEADLINE_SECONDS


@asynccontextmanager
async def scripted_server(
    response: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A TCP server on a free port whose connections do what `response` does until they are closed."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await response(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(1_000):
        pass


async def babbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1_000):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1_000)
    writer.write(b"$100\r\nhalf an ans")


async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1_000):
        writer.write(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n")


@asynccontextmanager
async def opened(url: str, clock=None, *, seconds: float = DEADLINE_SECONDS) -> AsyncIterator[ValkeyResponseCache]:
    cache = open_valkey_cache(url, clock or SystemClock(), operation_seconds=seconds)
    try:
        yield cache
    finally:
        await cache.close()


@pytest.mark.live
async def test_a_real_server_keeps_responses_until_their_time_is_over(redis_server) -> None:
    async with opened(redis_server.url) as cache:
        assert await cache.is_available()
        assert await cache.get(b"\x00\xffkey") is None
        await cache.put(b"\x00\xffkey", bytes(range(256)) * 1_000, 60)
        await cache.put(b"short", b"x", 0.05)
        await cache.put(b"never", b"x", 0)
        assert await cache.get(b"\x00\xffkey") == bytes(range(256)) * 1_000
        assert await cache.get(b"never") is None
        deadline = time.monotonic() + DEADLINE_SECONDS
        while await cache.get(b"short") is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
    async with opened(redis_server.url) as other:
        assert await other.get(b"\x00\xffkey") == bytes(range(256)) * 1_000
        assert (
            await asyncio.gather(*(other.get(b"\x00\xffkey") for _ in range(200))) == [bytes(range(256)) * 1_000] * 200
        )


@pytest.mark.live
@pytest.mark.parametrize("behaviour", [silent, babbling, hanging_up, full])
async def test_a_server_that_misbehaves_is_a_miss_and_soon(behaviour, clock, caplog) -> None:
    async with (
        scripted_server(behaviour) as url,
        opened(url, clock, seconds=0.05) as cache,
        asyncio.timeout(DEADLINE_SECONDS),
    ):
        assert await cache.get(b"k") is None
        clock.advance(2)
        await cache.put(b"k", b"v", 60)
        assert not await cache.is_available()
    assert len(caplog.records) == 1


async def test_a_refused_port_is_a_miss_with_one_line_of_log(clock, caplog) -> None:
    async with opened("redis://127.0.0.1:1/0", clock) as cache:
        for _ in range(5):
            assert await cache.get(b"k") is None
            await cache.put(b"k", b"v", 60)
            clock.advance(2)
        assert not await cache.is_available()
    assert len(caplog.records) == 1
    assert "every lookup is a miss" in caplog.text


@pytest.mark.live
async def test_a_failing_server_is_untouched_for_a_while_and_its_return_is_noticed(clock, caplog) -> None:
    asked = 0
    works = False

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.read(1_000):
            asked += 1
            writer.write(b"$5\r\nvalue\r\n" if works else b"-ERR no\r\n")

    async with scripted_server(counting) as url, opened(url, clock) as cache:
        for _ in range(10):
            assert await cache.get(b"k") is None
        assert asked == 1
        works = True
        clock.advance(0.999)
        assert await cache.get(b"k") is None
        clock.advance(0.001)
        assert await cache.get(b"k") == b"value"
        assert await cache.get(b"k") == b"value"
        assert asked == 3
    assert ["fails" in record.message for record in caplog.records] == [True, False]
    assert "responds again" in caplog.text


@pytest.mark.live
async def test_a_request_that_is_cancelled_does_not_spoil_the_next_response() -> None:
    arrived, cancelled = asyncio.Event(), asyncio.Event()

    async def late_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(1_000):
            if b"first" in request:
                arrived.set()
                await cancelled.wait()
            writer.write(b"$5\r\nfirst\r\n" if b"first" in request else b"$4\r\nnext\r\n")

    async with scripted_server(late_first) as url, opened(url) as cache, asyncio.timeout(DEADLINE_SECONDS):
        request = asyncio.create_task(cache.get(b"first"))
        await arrived.wait()
        request.cancel()
        await asyncio.wait({request})
        cancelled.set()
        assert [await cache.get(b"next") for _ in range(3)] == [b"next"] * 3


@pytest.mark.parametrize("url", ["http://h", "nonsense", "redis://h:port/0"])
def test_a_url_that_is_none_is_refused(url, clock) -> None:
    with pytest.raises(ConfigError, match=r"cache\.url"):
        open_valkey_cache(url, clock)


def test_without_the_driver_the_error_names_the_extra(monkeypatch, clock) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigError, match="extra `production`"):
        open_valkey_cache("redis://127.0.0.1:1/0", clock)


@pytest.mark.parametrize("scheme", ["valkey", "valkeys"])
async def test_valkey_is_redis_by_another_name(scheme, clock) -> None:
    async with opened(f"{scheme}://user:pass@127.0.0.1:7/3", clock) as cache:
        settings = cache._server.client.connection_pool.connection_kwargs
        assert (settings["host"], settings["port"], settings["db"]) == ("127.0.0.1", 7, 3)
        assert ("SSL" in cache._server.client.connection_pool.connection_class.__name__) == (scheme == "valkeys")
