"""Who lets a provider's connection read on: a rest within a pass of the event loop, and a reader that waits, do not end one another."""

import asyncio

import pytest

from app.gateway.bounded_reads import READ_BYTES
from app.gateway.connector import ProviderConnection


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.reads = True

    def set_protocol(self, protocol):
        self.protocol = protocol

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True


@pytest.fixture
async def transport():
    return Transport()


@pytest.fixture
async def connection(transport):
    made = ProviderConnection(asyncio.get_running_loop(), memoryview(bytearray(READ_BYTES)))
    made.connection_made(transport)
    return made


async def test_a_connection_rests_until_the_next_pass(connection, transport):
    connection._rest()
    assert not transport.reads
    await asyncio.sleep(0)
    assert transport.reads


async def test_one_that_is_held_is_not_read_after_its_rest(connection, transport):
    connection._rest()
    assert connection.try_pause()
    await asyncio.sleep(0)
    assert not transport.reads
    connection.go_on()
    assert transport.reads


async def test_one_that_rests_is_not_read_when_it_is_no_longer_held(connection, transport):
    assert connection.try_pause()
    connection._rest()
    connection.go_on()
    assert not transport.reads
    await asyncio.sleep(0)
    assert transport.reads


async def test_a_rest_outlives_its_connection(connection):
    connection._rest()
    connection.connection_lost(None)
    await asyncio.sleep(0)
