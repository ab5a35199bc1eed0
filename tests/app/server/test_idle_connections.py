"""How long a connection may be idle: over its own protocol, without a network, by a clock that the test moves."""

import asyncio

import pytest

from tests.app.server.test_turn_order import MODELS, Server, receive


@pytest.fixture
async def advance(monkeypatch):
    """Stop the event loop's clock, and return the function that moves it on and lets what is due happen."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)

    async def advance(seconds):
        nonlocal now
        now += seconds
        for _ in range(4):
            await asyncio.sleep(0)

    return advance


@pytest.fixture
async def connection(advance, monkeypatch):
    connection = Server().connect()
    closed = []
    monkeypatch.setattr(connection.transport, "close", lambda: closed.append(True))
    connection.closed = closed
    return connection


async def test_a_connection_without_a_request_is_closed_after_its_time(advance, connection):
    await advance(74)
    assert not connection.closed
    await advance(2)
    assert connection.closed
    connection.connection_lost(None)


async def test_each_request_gives_the_connection_its_whole_time_again(advance, connection):
    for _ in range(3):
        await advance(50)
        receive(connection, MODELS)
        await advance(0)
        assert not connection.closed
    await advance(74)
    assert not connection.closed
    await advance(2)
    assert connection.closed
    connection.connection_lost(None)


async def test_a_request_in_flight_is_no_idle_time(advance, connection):
    head, end = MODELS[:-2], MODELS[-2:]
    receive(connection, head)
    for _ in range(3):
        connection._timers.stop("head")  # another bound, for the head alone
        await advance(60)
    assert not connection.closed
    receive(connection, end)
    await advance(0)
    await advance(74)
    assert not connection.closed
    await advance(2)
    assert connection.closed
    connection.connection_lost(None)


async def test_a_connection_that_has_ended_keeps_no_timer(advance, connection):
    receive(connection, MODELS)
    await advance(0)
    connection.connection_lost(None)
    await advance(200)
    assert not connection.closed
