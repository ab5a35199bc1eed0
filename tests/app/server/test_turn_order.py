"""Which of many clients is served next: over the connections' own protocol, without a network."""

import asyncio
import time
import types

from app.config.schema import ServerConfig
from app.gateway.capacity.loop_sharing import LoopSharing
from app.gateway.clock import SystemClock
from app.gateway.ports import IDENTIFIED_KEY
from app.server.connections import Connections
from app.server.http_protocol import bounded_protocol
from tests.harness.polling import until

PARTIAL_POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"a" * 3_000
PROBE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
MODELS = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
FLOOD = 3_000


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, address):
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": (address, 2)})
        self.written = b""

    def write(self, data):
        self.written += data

    def write_eof(self):
        pass

    def is_closing(self):
        return False

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def close(self):
        pass

    def flush(self):
        pass

    def goes_on_with_probes(self, is_probing):
        pass

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high=None, low=None):
        pass


class Server:
    """Connections of one server whose application only responds; `served` has the paths in their order."""

    def __init__(self):
        self.served = []
        self._config = types.SimpleNamespace(loaded_app=self._app, timeout_keep_alive=75)
        self._state = types.SimpleNamespace(connections=set(), tasks=set(), total_requests=0, default_headers=[])
        sharing = LoopSharing(time.monotonic)
        self._protocol = bounded_protocol(ServerConfig(), Connections(10_000), SystemClock(), sharing)

    async def _app(self, scope, _receive, send):
        self.served.append(scope["path"])
        for name, value in scope["headers"]:
            if name == b"authorization":
                scope[IDENTIFIED_KEY](value.decode())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def connect(self, address="10.0.0.1"):
        connection = self._protocol(self._config, self._state, {})
        connection.connection_made(Transport(address))
        return connection

    def flood(self):
        for _ in range(FLOOD):
            receive(self.connect(), PARTIAL_POST)

    async def ended(self):
        for _ in range(1_000):
            if not self._state.tasks and len(self.served) > FLOOD:
                break
            await asyncio.sleep(0)
        for connection in list(self._state.connections):
            connection.connection_lost(None)


def receive(connection, data):
    while data:
        buffer = connection.get_buffer(-1)
        size = min(len(buffer), len(data))
        buffer[:size], data = data[:size], data[size:]
        connection.buffer_updated(size)


async def served_before(server, connection, request):
    """Flood the server, then send a request; return how many others were served before it."""
    path = request.split()[1].decode()
    server.flood()
    begun = len(server.served)
    receive(connection, request)
    for _ in range(1_000):
        if path in server.served[begun:]:
            break
        await asyncio.sleep(0)
    before = server.served.index(path, begun)
    await server.ended()
    assert server.served.count("/v1/chat/completions") == FLOOD
    return before


async def kept_connection(server):
    connection = server.connect()
    receive(connection, PROBE)
    for _ in range(5):
        await asyncio.sleep(0)
    assert b"200 OK" in connection.transport.written
    return connection


async def test_a_key_does_not_wait_for_the_flood_of_another_one_behind_the_same_proxy():
    server = Server()
    of_flood, of_other = (
        b"GET /v1/models/%b HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\n\r\n" % (key, key) for key in (b"a", b"b")
    )
    connections = [server.connect() for _ in range(500)]
    other = server.connect()
    for _ in range(2):
        server.served.clear()
        for connection in connections:
            receive(connection, of_flood)
        receive(other, of_other)
        for _ in range(500):
            if len(server.served) == len(connections) + 1:
                break
            await asyncio.sleep(0)
    # In the second round the key of each connection is known.
    assert server.served.index("/v1/models/b") <= 64
    await server.ended()


async def test_neither_does_it_on_new_connections_once_its_key_is_known():
    server = Server()
    of_flood, of_other = (
        b"GET /v1/models/%b HTTP/1.1\r\nhost: x\r\nAuthorization:  Bearer %b \r\n\r\n" % (key, key)
        for key in (b"a", b"b")
    )
    for request in (of_flood, of_other):
        receive(server.connect(), request)
    await until(lambda: len(server.served) == 2)
    server.served.clear()
    for _ in range(FLOOD):
        receive(server.connect(), of_flood)
    receive(server.connect(), of_other)
    await server.ended()
    assert len(server.served) == FLOOD + 1
    assert server.served.index("/v1/models/b") <= 64


async def test_a_health_check_on_a_kept_connection_does_not_wait_for_a_flood_of_bodies():
    server = Server()
    assert await served_before(server, await kept_connection(server), PROBE) <= 64


async def test_neither_does_one_on_a_new_connection():
    server = Server()
    assert await served_before(server, server.connect(), PROBE) <= 64


async def test_a_client_that_was_served_before_does_not_wait_for_a_flood_of_new_ones():
    server = Server()
    assert await served_before(server, await kept_connection(server), MODELS) <= 64


async def test_another_client_does_not_wait_for_the_flood_of_one():
    server = Server()
    assert await served_before(server, server.connect("10.0.0.2"), MODELS) <= 64


async def test_new_connections_of_one_client_have_their_order():
    server = Server()
    assert await served_before(server, server.connect(), MODELS) == FLOOD
