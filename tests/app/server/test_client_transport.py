"""The transport of a client connection: what is written arrives whole and in order, and each connection ends once."""

import asyncio
import errno
import socket

import pytest

from app.gateway.capacity.loop_sharing import LoopSharing
from app.server.client_transport import ClientTransport
from app.server.socket_events import ClientEvents, SocketEvents
from tests.harness.polling import until

LARGE = bytes(range(256)) * 16_384


class Recorded(asyncio.BufferedProtocol):
    """A protocol that records what it is told."""

    def __init__(self, keeps_open=False):
        self.keeps_open = keeps_open
        self.received = bytearray()
        self.told = []
        self.losses = []
        self._buffer = bytearray(1_000)

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, _sizehint):
        return self._buffer

    def buffer_updated(self, nbytes):
        self.received += self._buffer[:nbytes]

    def eof_received(self):
        self.told.append("end")
        return self.keeps_open

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")

    def connection_lost(self, exc):
        self.losses.append(exc)


class Connected:
    """A connection with both sides in this process."""

    def __init__(self, protocol=None, events=None):
        loop = asyncio.get_running_loop()
        self.events = events or ClientEvents(loop, LoopSharing(lambda: 0.0))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            accepted, self.address = listener.accept()
        self.client.settimeout(20)
        self.server_socket = accepted
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        self.protocol = protocol or Recorded()
        self.transport = ClientTransport(loop, self.events, accepted, self.protocol)

    async def read_to_end(self):
        return await asyncio.to_thread(self._read_to_end)

    def _read_to_end(self):
        parts = []
        while part := self.client.recv(65_536):
            parts.append(part)
        return b"".join(parts)

    async def lost(self):
        await until(lambda: self.protocol.losses)
        await until(lambda: self.server_socket.fileno() == -1)


@pytest.fixture
async def connected():
    made = []

    def connect(*arguments):
        made.append(Connected(*arguments))
        return made[-1]

    yield connect
    for each in made:
        each.transport.abort()
        each.client.close()
        await each.lost()
        assert len(each.protocol.losses) == 1
    for events in {each.events for each in made}:
        events.close()


async def test_what_is_written_in_one_pass_leaves_together_and_in_order(connected):
    connection = connected()
    for part in (b"HTTP/1.1 200 OK\r\n", bytearray(b"\r\n"), memoryview(b"body"), b""):
        connection.transport.write(part)
    assert connection.transport.get_write_buffer_size() == 23
    await until(lambda: connection.transport.get_write_buffer_size() == 0)
    assert connection.client.recv(100) == b"HTTP/1.1 200 OK\r\n\r\nbody"


async def test_flush_gives_the_kernel_at_once_what_it_takes(connected):
    connection = connected()
    connection.transport.write(b"whole")
    connection.transport.flush()
    assert connection.transport.get_write_buffer_size() == 0
    assert connection.client.recv(100) == b"whole"


@pytest.mark.parametrize("piece", [len(LARGE), 100_000, 1_000])
async def test_a_client_that_reads_late_gets_every_byte(connected, piece):
    connection = connected()
    connection.transport.set_write_buffer_limits(high=16_384)
    for start in range(0, len(LARGE), piece):
        connection.transport.write(LARGE[start : start + piece])
    connection.transport.close()
    assert connection.transport.is_closing()
    assert connection.transport.get_write_buffer_size() > 0
    assert await connection.read_to_end() == LARGE
    await connection.lost()
    assert connection.protocol.losses == [None]
    assert connection.protocol.told == ["pause", "resume"]


async def test_limits_pause_and_resume_the_protocol(connected):
    connection = connected()
    transport, told = connection.transport, connection.protocol.told
    transport.set_write_buffer_limits(high=1_000_000)
    assert transport.get_write_buffer_limits() == (250_000, 1_000_000)
    transport.write(b"x" * 900_000)
    assert told == []
    transport.set_write_buffer_limits(high=0)
    assert told == ["pause"]
    reading = asyncio.create_task(connection.read_to_end())
    await until(lambda: told == ["pause", "resume"])
    assert transport.get_write_buffer_size() == 0
    transport.close()
    assert len(await reading) == 900_000


async def test_nothing_is_read_while_reading_is_paused(connected):
    connection = connected()
    connection.transport.pause_reading()
    assert not connection.transport.is_reading()
    connection.client.sendall(b"late")
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection.protocol.received == b""
    connection.transport.resume_reading()
    await until(lambda: connection.protocol.received == b"late")


async def test_what_has_arrived_can_be_read_at_once(connected):
    connection = connected()
    connection.transport.read()
    assert connection.protocol.received == b""
    connection.client.sendall(b"now")
    connection.transport.read()
    assert connection.protocol.received == b"now"


async def test_the_clients_end_closes_the_connection_after_what_was_written(connected):
    connection = connected()
    connection.transport.set_write_buffer_limits(high=len(LARGE))
    connection.transport.write(LARGE)
    connection.client.shutdown(socket.SHUT_WR)
    await until(lambda: connection.protocol.told == ["end"])
    assert connection.transport.is_closing()
    assert await connection.read_to_end() == LARGE
    await connection.lost()


async def test_a_protocol_may_go_on_writing_after_the_clients_end(connected):
    connection = connected(Recorded(keeps_open=True))
    connection.client.shutdown(socket.SHUT_WR)
    await until(lambda: connection.protocol.told == ["end"])
    assert not connection.transport.is_closing()
    connection.transport.write(b"still")
    connection.transport.close()
    assert await connection.read_to_end() == b"still"


async def test_the_end_of_the_output_leaves_the_input_open(connected):
    connection = connected()
    connection.transport.write(b"last")
    connection.transport.write_eof()
    assert await connection.read_to_end() == b"last"
    connection.client.sendall(b"rest")
    await until(lambda: connection.protocol.received == b"rest")
    with pytest.raises(RuntimeError, match="end of the output"):
        connection.transport.write(b"more")


async def test_a_reset_is_the_reason_of_the_loss(connected):
    connection = connected()
    connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.client.close()
    await connection.lost()
    assert isinstance(connection.protocol.losses[0], ConnectionResetError)


async def test_a_write_to_a_client_that_has_gone_loses_the_connection_and_keeps_the_count(connected):
    connection = connected()
    connection.transport.pause_reading()
    connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.client.close()
    connection.transport.write(b"lost")
    connection.transport.flush()
    await connection.lost()
    assert isinstance(connection.protocol.losses[0], OSError)
    assert connection.transport.get_write_buffer_size() == 4
    connection.transport.write(b"ignored")
    assert connection.transport.get_write_buffer_size() == 4


async def test_an_aborted_connection_writes_nothing_more(connected):
    connection = connected()
    connection.transport.write(b"never")
    connection.transport.abort()
    connection.transport.abort()
    connection.transport.close()
    assert await connection.read_to_end() == b""
    await connection.lost()


async def test_what_cannot_be_written_ends_its_own_connection(connected):
    reported, connection = [], connected()
    other = connected(None, connection.events)
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
    connection.transport.write("text")
    other.transport.write(b"fine")
    await connection.lost()
    assert [type(error) for error in reported] == [TypeError]
    assert await asyncio.to_thread(other.client.recv, 100) == b"fine"


async def test_a_protocol_that_fails_at_its_start_ends_its_connection(connected):
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    protocol = Recorded()
    protocol.connection_made = lambda _transport: 1 / 0
    connection = connected(protocol)
    await connection.lost()
    assert isinstance(protocol.losses[0], ZeroDivisionError)
    assert connection.events.usual.watched == 0


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_socket_that_cannot_be_watched_ends_its_connection(connected, is_first, monkeypatch):
    """The kernel has a bound of what a user watches."""

    def fail(*_arguments):
        raise OSError(errno.ENOSPC, "no space")

    if is_first:
        monkeypatch.setattr(SocketEvents, "change", fail)
        connection = connected()
    else:
        connection = connected()
        monkeypatch.setattr(SocketEvents, "change", fail)
        connection.transport.write(LARGE)
    await connection.lost()
    assert connection.protocol.losses[0].errno == errno.ENOSPC
    # Its events end without it.
    monkeypatch.undo()


@pytest.mark.parametrize("method", ["buffer_updated", "eof_received"])
async def test_a_protocol_that_fails_ends_its_own_connection(connected, method):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))

    def fail(*_arguments):
        raise ValueError("broken")

    protocol, other = Recorded(), connected()
    setattr(protocol, method, fail)
    connection = connected(protocol)
    connection.client.sendall(b"x") if method == "buffer_updated" else connection.client.shutdown(socket.SHUT_WR)
    await connection.lost()
    assert [str(error) for error in (*reported, *protocol.losses)] == ["broken", "broken"]
    other.client.sendall(b"fine")
    await until(lambda: other.protocol.received == b"fine")


async def test_a_connection_that_goes_on_with_probes_is_watched_apart(connected):
    connection = connected()
    for number, is_probing in enumerate((True, True, False, True)):
        connection.transport.goes_on_with_probes(is_probing)
        connection.client.sendall(b"%d" % number)
        await until(lambda number=number: len(connection.protocol.received) == number + 1)
        watched = [bool(each.watched) for each in (connection.events.usual, connection.events.probes)]
        assert watched == [not is_probing, is_probing]


async def test_addresses_and_socket(connected):
    connection = connected()
    transport = connection.transport
    assert transport.get_extra_info("peername") == connection.address
    assert transport.get_extra_info("sockname") == connection.client.getpeername()
    assert transport.get_extra_info("socket") is connection.server_socket
    assert transport.get_extra_info("cipher", "none") == "none"
    transport.abort()
    await connection.lost()
    assert transport.get_extra_info("peername", "gone") == "gone"
