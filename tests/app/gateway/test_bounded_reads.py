"""How much is read at once from a provider: less of what costs much for its size."""

import asyncio

import pytest

from app.gateway.bounded_reads import READ_BYTES, BoundedReads

CHUNKS_OF_A_BYTE = b"1\r\na\r\n"
USUAL_EVENT = b'c8\r\ndata: {"choices":[{"index":0,"delta":{"content":"' + b"w" * 130 + b'"}}]}\n\n\r\n'


class Taken(asyncio.Protocol):
    def __init__(self):
        self.received = b""
        self.sizes = []
        self.rests_after = []

    def rest(self):
        self.rests_after.append(len(self.sizes))

    def data_received(self, data):
        self.received += data
        self.sizes.append(len(data))


def read_all(reads, data):
    while data:
        buffer = reads.get_buffer(-1)
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        reads.buffer_updated(size)
        data = data[size:]


@pytest.fixture
def taken():
    return Taken()


@pytest.fixture
def reads(taken):
    return BoundedReads(taken, memoryview(bytearray(READ_BYTES)), taken.rest)


def test_of_chunks_of_a_byte_less_is_read_at_once(reads, taken):
    data = CHUNKS_OF_A_BYTE * 20_000
    read_all(reads, data)
    assert taken.received == data
    assert taken.sizes[0] == READ_BYTES
    assert set(taken.sizes[1:-1]) == {1024}
    # The last read was not full, so nothing more had arrived.
    assert taken.rests_after == list(range(1, len(taken.sizes)))


@pytest.mark.parametrize("usual", [USUAL_EVENT, b"x" * 1_000, b"  0.1,\n"])
def test_what_is_usual_is_read_in_large_pieces(reads, taken, usual):
    read_all(reads, usual * (4 * READ_BYTES // len(usual)))
    assert max(taken.sizes[:-1]) == min(taken.sizes[:-1]) == READ_BYTES
    assert not taken.rests_after


def test_after_small_chunks_large_pieces_are_read_again(reads, taken):
    read_all(reads, CHUNKS_OF_A_BYTE * 5_000 + USUAL_EVENT * 1_000)
    assert taken.sizes[1] == 1024
    assert READ_BYTES in taken.sizes[10:]


@pytest.mark.parametrize("data", [CHUNKS_OF_A_BYTE * 10_000, b"x" * 50_000])
def test_over_tls_all_is_read_that_has_been_taken_off_the_wire(taken, data):
    reads = BoundedReads(taken, memoryview(bytearray(READ_BYTES)), taken.rest, is_tls=True)
    for _ in range(2):
        buffer = reads.get_buffer(len(data) + 256)
        assert len(buffer) > len(data)
        buffer[: len(data)] = data
        reads.buffer_updated(len(data))
    assert taken.received == data * 2
    assert len(taken.rests_after) == (0 if data.startswith(b"x") else 2)
    assert len(reads.get_buffer(100)) == READ_BYTES
