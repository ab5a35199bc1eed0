"""Connections that wait to be made: what a client has sent decides, and what is lost least gives way."""

import socket
import struct

import pytest

from app.server.waiting_connections import Accepted, WaitingConnections

MANY = 300
FEW = 20
PROBE = b"GET /health/live HTTP/1.1\r\n"
CALL = b"POST /v1/chat/completions HTTP/1.1\r\n"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: a close resets."""


class Clients:
    """Connections of one address that wait; each is known by its client's port."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2 * MANY)
        self.waiting = WaitingConnections()
        self.taken, self.sockets = [], []

    def connect(self, start=b""):
        client = socket.create_connection(self.listener.getsockname())
        client.sendall(start)
        connection, address = self.listener.accept()
        connection.setblocking(False)
        self.sockets += [client, connection]
        assert self.waiting.put(Accepted(connection, address[0], is_extra=False))
        return client

    def take_all(self):
        while (accepted := self.waiting.take()) is not None:
            self.taken.append(accepted.connection.getpeername()[1])
        return self.taken

    def close(self):
        self.take_all()
        for each in (self.listener, *self.sockets):
            each.close()


@pytest.fixture
def clients():
    made = Clients()
    yield made
    made.close()


def port(client):
    return client.getsockname()[1]


def test_a_probe_that_is_sent_after_its_connection_was_accepted_does_not_wait_for_all_others(clients):
    for _ in range(FEW):
        clients.connect()
    late = clients.connect()
    clients.connect()
    late.sendall(PROBE)
    assert clients.waiting.look() == 0
    assert clients.take_all()[0] == port(late)
    assert len(clients.taken) == FEW + 2


def test_those_that_have_sent_something_and_those_that_have_not_take_turns(clients):
    silent = [clients.connect() for _ in range(FEW)]
    heard = [clients.connect(CALL) for _ in range(3)]
    expected = [each for pair in zip(heard, silent[:3], strict=True) for each in pair] + silent[3:]
    assert clients.take_all() == [port(each) for each in expected]


@pytest.mark.parametrize("start", [b"", CALL], ids=["silent", "heard"])
def test_one_whose_client_has_reset_it_is_never_made(clients, start):
    left = [clients.connect() for _ in range(FEW)]
    gone = clients.connect(start)
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    gone.close()
    assert clients.waiting.look() == 1
    assert len(clients.waiting) == FEW
    assert clients.take_all() == [port(each) for each in left]


def test_one_that_was_closed_without_a_word_is_never_made(clients):
    for _ in range(FEW):
        clients.connect()
    clients.connect().close()
    assert clients.waiting.look() == 1
    assert len(clients.take_all()) == FEW


def test_what_has_gone_before_it_waits_is_not_kept(clients):
    for _ in range(FEW):
        clients.connect()
    client = socket.create_connection(clients.listener.getsockname())
    client.close()
    connection, address = clients.listener.accept()
    connection.setblocking(False)
    assert not clients.waiting.put(Accepted(connection, address[0], is_extra=False))
    assert connection.fileno() == -1


def test_one_whose_client_has_ended_its_side_gives_way_first_and_is_served_otherwise(clients):
    for _ in range(FEW):
        clients.connect()
    ended = [clients.connect(CALL) for _ in range(2)]
    for each in ended:
        each.shutdown(socket.SHUT_WR)
    assert not clients.waiting.can_give_way
    assert clients.waiting.look() == 0
    assert clients.waiting.can_give_way
    replaced = clients.waiting.take_to_give_way().connection
    assert replaced.getpeername()[1] == port(ended[0])
    assert port(ended[1]) in clients.take_all()


def test_of_many_silent_ones_the_oldest_gives_way_and_of_few_none(clients):
    oldest, *_ = (clients.connect() for _ in range(MANY))
    assert clients.waiting.can_give_way
    assert clients.waiting.take_to_give_way().connection.getpeername()[1] == port(oldest)
    while len(clients.waiting) > FEW:
        clients.waiting.take()
    assert not clients.waiting.can_give_way
