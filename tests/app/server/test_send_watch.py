"""Which connections the send watch ends, by what their clients take and when."""

import itertools

import pytest

from app.server.send_watch import SendWatch


class Connection:
    """A connection whose client takes what the test says."""

    def __init__(self, taken=None):
        self.taken = taken
        self.aborted = False
        self.transport = self

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
