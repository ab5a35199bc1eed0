"""The acceptor: the kernel's queue is emptied quickly, and what watches the gateway is connected first."""

import asyncio
import contextlib
import errno
import itertools
import socket
import sys

import pytest

from app.gateway.capacity.loop_sharing import LoopSharing
from app.server.acceptor import AcceptedProtocol, Acceptor
from app.server.connections import Connections
from app.server.socket_events import ClientEvents
from tests.harness.passes import Passes
from tests.harness.polling import until

CLIENTS = 60
PROBE = b"GET /health/live HTTP/1.1\r\n"


class Accepted:
    """An acceptor that starts while many clients wait; `made` has their ports in the order of their connections."""

    def __init__(self, max_open=1_000, clients=CLIENTS, spare_descriptors=0):
        accepted = self

        class Protocol(AcceptedProtocol):
            def connection_made(self, transport):
                self.transport = transport
                accepted.transports.append(transport)
                accepted.made.append(transport.get_extra_info("peername")[1])
                accepted.connections.is_unused(self)

            def get_buffer(self, _sizehint):
                return bytearray(100)

            def buffer_updated(self, nbytes):
                pass

            def connection_lost(self, _exc):
                accepted.connections.leave(self)

        self.made, self.transports = [], []
        self.sharing = LoopSharing(lambda: 0.0)
        self.connections = Connections(max_open, spare_descriptors)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2 * clients)
        self._listener.setblocking(False)
        self.clients = [socket.create_connection(self._listener.getsockname()) for _ in range(clients)]
        self._protocol = Protocol

    def start(self):
        self._events = ClientEvents(asyncio.get_running_loop(), self.sharing)
        self.acceptor = Acceptor(
            asyncio.get_running_loop(), self._listener, self._events, self._protocol, self.connections
        )

    async def close(self):
        self.acceptor.close()
        for transport in self.transports:
            transport.abort()
        for client in self.clients:
            client.close()
        await until(lambda: self.connections.open == 0)
        self._events.close()
        self._listener.close()


@pytest.fixture
async def accepted():
    made = Accepted()
    yield made
    await made.close()


async def test_a_health_check_at_the_end_of_the_queue_is_connected_first(accepted):
    probe = accepted.clients[-1]
    probe.sendall(PROBE)
    accepted.start()
    await until(lambda: len(accepted.made) == CLIENTS)
    ports = [client.getsockname()[1] for client in accepted.clients]
    assert accepted.made == [ports[-1], *ports[:-1]]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long the queue is")
async def test_an_eighth_of_the_queue_is_accepted_in_each_pass(monkeypatch):
    clients, admitted = 800, Connections.admit
    accepted = Accepted(clients=clients)
    accepted.start()
    passes = Passes()

    def noted(connections):
        passes.note()
        return admitted(connections)

    monkeypatch.setattr(Connections, "admit", noted)
    await until(lambda: len(accepted.made) == clients)
    assert passes.stop() == (clients, clients // 8)
    await accepted.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long the queue is")
async def test_few_connections_are_made_before_a_long_queue_is_empty(monkeypatch):
    clients, admitted, made = 800, Connections.admit, []
    accepted = Accepted(clients=clients)

    def noted(connections):
        made.append(len(accepted.made))
        return admitted(connections)

    monkeypatch.setattr(Connections, "admit", noted)
    accepted.start()
    await until(lambda: len(accepted.made) == clients)
    assert len(made) == clients
    assert made[-1] < clients // 10
    await accepted.close()


@pytest.mark.parametrize(("is_shared", "most"), [(False, 8), (True, 2)])
async def test_connections_are_made_a_few_in_each_pass(accepted, is_shared, most):
    if is_shared:
        accepted.sharing.came_beside(100, 1)
    accepted.start()
    made = [0]
    while made[-1] < CLIENTS:
        await asyncio.sleep(0)
        made.append(len(accepted.made))
    assert accepted.connections.open == CLIENTS
    assert max(after - before for before, after in itertools.pairwise(made)) == most


async def test_what_still_waits_when_the_listener_closes_is_closed(accepted):
    accepted.start()
    for _ in range(10):
        if accepted.connections.open == CLIENTS:
            break
        await asyncio.sleep(0)
    accepted.acceptor.close()
    assert accepted.connections.open < CLIENTS
    await until(lambda: accepted.connections.open == len(accepted.made))
    for transport in accepted.transports:
        transport.abort()
    await until(lambda: accepted.connections.open == 0)
    for client in accepted.clients:
        client.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


class KeptConnection:
    """A connection that has been served and is idle."""

    is_extra = False

    def __init__(self):
        self.transport = self
        self.is_aborted = False

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        self.is_aborted = True


@pytest.mark.parametrize(("bound", "flood"), [(400, 600), (30, 40)], ids=["many", "few"])
async def test_a_flood_of_silent_connections_costs_itself_before_it_costs_those_that_were_served(bound, flood):
    kept = KeptConnection()
    accepted = Accepted(max_open=bound, clients=flood)
    accepted.clients[-1].sendall(PROBE)
    accepted.connections.admit()
    accepted.connections.is_idle(kept)
    accepted.start()
    await until(lambda: accepted.clients[-1].getsockname()[1] in accepted.made)
    await until(lambda: len(accepted.made) + accepted.connections.closed["idlest"] >= flood)
    assert accepted.connections.open <= bound + 16
    assert not kept.is_aborted
    accepted.connections.leave(kept)
    await accepted.close()


def has_ended(client):
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("spare", [0, 50, 1_000])
async def test_connections_that_give_way_are_closed_in_the_end(spare):
    bound, flood = 400, 800
    accepted = Accepted(max_open=bound, clients=flood, spare_descriptors=spare)
    accepted.start()
    await until(lambda: len(accepted.made) + accepted.connections.closed["idlest"] >= flood)
    await until(lambda: accepted.connections.open <= bound)
    await until(lambda: sum(map(has_ended, accepted.clients)) == flood - accepted.connections.open)
    assert accepted.connections.closed["idlest"] == flood - accepted.connections.open
    await accepted.close()


async def test_connections_that_gave_way_do_not_outlive_the_listener():
    accepted = Accepted(max_open=400, clients=800, spare_descriptors=1_000)
    accepted.start()
    await until(lambda: accepted.connections.closed["idlest"] > 0)
    accepted.acceptor.close()
    for transport in accepted.transports:
        transport.abort()
    await until(lambda: all(map(has_ended, accepted.clients[:400])))
    await accepted.close()


async def test_a_lack_of_descriptors_closes_what_gave_way_first(monkeypatch):
    """They have the descriptors that are missing; the kernel's queue stays long meanwhile."""
    accepted = Accepted(max_open=400, clients=1_200, spare_descriptors=1_000)
    take_over, taken = Acceptor._take_over, []

    def counted(acceptor):
        taken.append(1)
        return take_over(acceptor)

    class Listener:
        """Has no descriptor for one connection."""

        def __init__(self, listener):
            self._listener = listener
            self.missing = 0

        def __getattr__(self, name):
            return getattr(self._listener, name)

        def accept(self):
            if len(taken) >= 100 and not self.missing:
                self.missing = accepted.connections.closed["idlest"]
                raise OSError(errno.EMFILE, "too many")
            return self._listener.accept()

    monkeypatch.setattr(Acceptor, "_take_over", counted)
    accepted._listener = listener = Listener(accepted._listener)
    accepted.start()
    await until(lambda: listener.missing)
    assert sum(map(has_ended, accepted.clients)) >= listener.missing
    assert accepted.connections.closed["no_descriptor"] == 0
    await until(lambda: len(accepted.made) + accepted.connections.closed["idlest"] >= 1_200)
    await accepted.close()
