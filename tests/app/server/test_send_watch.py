"""Which connections the send watch ends, by what their clients take and when."""

import asyncio
import itertools

import pytest

from app.server.send_watch import SendWatch
from tests.harness.polling import until


class Connection:
    """A connection whose client takes what the test says."""

    def __init__(self, taken=None, transport=None):
        self.taken = taken
        self.aborted = False
        self.transport = transport or self

    def abort(self):
        self.aborted = True


@pytest.fixture
def at():
    """The watch over two connections, and a way to look at a given time."""
    connections = [Connection(), Connection()]
    now = [0.0]
    watch = SendWatch(lambda: connections, 10.0, lambda: now[0], lambda transport: transport.taken)

    def look(seconds):
        now[0] = seconds
        list(watch.look())
        return [each.aborted for each in connections]

    look.connections = connections
    return look


def test_only_a_client_that_takes_nothing_for_the_whole_time_is_cut(at):
    stalled, slow = at.connections
    stalled.taken = slow.taken = 100
    assert at(0) == [False, False]
    slow.taken += 1
    assert at(9) == [False, False]
    assert at(10) == [True, False]
    slow.taken += 1
    assert at(18) == [True, False]
    assert at(27.9) == [True, False]
    assert at(28) == [True, True]


def test_a_pause_without_anything_to_take_counts_for_nothing(at):
    connection = at.connections[0]
    connection.taken = 5
    at(0)
    connection.taken = None
    at(9)
    connection.taken = 5
    assert at(11) == [False, False]
    assert at(20) == [False, False]
    assert at(21) == [True, False]


def test_a_few_connections_are_looked_at_before_others_have_their_turn():
    looked, connections = [], [Connection(taken=1) for _ in range(1_000)]
    watch = SendWatch(lambda: connections, 10.0, lambda: 0.0, lambda transport: looked.append(transport) or 1)
    between = [len(looked) for _ in watch.look()]
    assert looked == connections
    assert between[0] <= 64
    assert max(later - sooner for sooner, later in itertools.pairwise(between)) <= 64


def test_the_time_goes_on_while_many_are_looked_at():
    connections, now = [Connection(taken=1) for _ in range(70)], [0.0]
    watch = SendWatch(lambda: connections, 10.0, lambda: now[0], lambda transport: transport.taken)
    for _ in watch.look():
        # The last ones take something while others wait for their turn, too.
        now[0] = 4.0
        connections[-1].taken = 2
    now[0] = 10.0
    list(watch.look())
    assert [each.aborted for each in connections] == [True] * 63 + [False] * 7
    now[0] = 14.0
    list(watch.look())
    assert all(each.aborted for each in connections)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": uses}) for uses in (False, True)], ids=str)
async def test_a_connection_may_end_while_others_are_looked_at(anyio_backend):
    del anyio_backend
    served, clients = [], []
    server = await asyncio.start_server(lambda _reader, writer: served.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        clients += [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(70)]
        await until(lambda: len(served) == len(clients))
        watch = SendWatch(
            lambda: [Connection(transport=each.transport) for each in served], 10.0, asyncio.get_running_loop().time
        )
        ending = [each.get_extra_info("socket") for each in served][-1]
        looking = watch.look()
        next(looking)
        served[-1].transport.abort()
        await until(lambda: ending.fileno() == -1)
        assert list(looking) == []
    finally:
        for each in (*clients, *served):
            each.close()
        server.close()
