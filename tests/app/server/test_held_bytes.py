"""Clients whose heads do not end take no connection from those with usual ones, nor from those that come later."""

import functools

import pytest

from app.server.connections import _SMALL_BYTES, _UNPARSED_BYTES, Connections
from app.server.http_input import RequestInput

LONG_HEAD = b"GET / HTTP/1.1\r\nhost: a\r\nx-long: " + b"v" * 60_000
USUAL_HEAD = b"GET /health/live HTTP/1.1\r\nhost: a\r\nx-some: " + b"v" * 1_000 + b"\r\n\r\n"


class Connection:
    """A connection that has received some bytes; its own transport."""

    is_extra = False

    def __init__(self, connections, data):
        self.connections, self.transport, self.is_aborted = connections, self, False
        connections.admit()
        connections.is_unused(self)
        self.input = RequestInput(64 * 1024, functools.partial(connections.hold, self))
        self.input.add(data)
        self.input.take_head()
        self.may_go_on = self.input.release_taken()

    def abort(self):
        self.is_aborted = True
        self.connections.leave(self)
        self.input.end()


@pytest.fixture
def connections():
    return Connections(4_096)


def fill(connections):
    """Hold as much as all may."""
    held = []
    while connections.closed["unparsed_bytes"] == 0:
        held.append(Connection(connections, LONG_HEAD))
    return held


def test_heads_that_do_not_end_give_way_to_later_ones_the_oldest_first(connections):
    held = fill(connections)
    assert [each.is_aborted for each in held[:2]] == [True, False]
    assert held[-1].may_go_on
    assert connections.unparsed_bytes <= _UNPARSED_BYTES
    newcomer = Connection(connections, LONG_HEAD[: 2 * _SMALL_BYTES] + b"\r\n")
    held += [Connection(connections, LONG_HEAD) for _ in range(len(held) // 2)]
    assert newcomer.may_go_on
    assert not newcomer.is_aborted
    assert connections.unparsed_bytes <= _UNPARSED_BYTES + len(LONG_HEAD)


def test_a_usual_head_closes_no_other_connection(connections):
    fill(connections)
    closed = connections.closed["unparsed_bytes"]
    usual = [Connection(connections, USUAL_HEAD) for _ in range(50)]
    assert all(each.may_go_on for each in usual)
    assert connections.closed["unparsed_bytes"] == closed


def test_what_has_a_request_in_flight_is_not_closed_and_the_newcomer_is(connections):
    while connections.closed["unparsed_bytes"] == 0:
        newcomer = Connection(connections, LONG_HEAD)
        if newcomer.may_go_on:
            connections.is_served(newcomer)
    assert not newcomer.may_go_on
    assert not newcomer.is_aborted


def test_an_input_that_has_ended_leads_nowhere(connections):
    connection = Connection(connections, LONG_HEAD)
    connection.abort()
    assert (connections.unparsed_bytes, connections.open) == (0, 0)
    assert not connections._large
    connection.input.add(LONG_HEAD)
    assert connection.input.release_taken()
    assert connections.unparsed_bytes == 0
