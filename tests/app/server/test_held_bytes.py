"""Clients whose heads do not end take no connection from those with usual ones."""

from app.server.connections import _SMALL_BYTES, _UNPARSED_BYTES, Connections
from app.server.http_input import RequestInput

LONG_HEAD = b"GET / HTTP/1.1\r\nhost: a\r\nx-long: " + b"v" * 60_000
USUAL_HEAD = b"GET /health/live HTTP/1.1\r\nhost: a\r\nx-some: " + b"v" * 1_000 + b"\r\n\r\n"


def begin(connections, data):
    source = RequestInput(64 * 1024, connections.hold)
    source.add(data)
    source.take_head()
    return source, source.release_taken()


def test_a_usual_head_is_taken_while_long_ones_hold_all_there_is():
    connections = Connections(4_096)
    held = []
    while True:
        source, may_go_on = begin(connections, LONG_HEAD)
        if not may_go_on:
            break
        held.append(source)
    assert len(held) * len(LONG_HEAD) <= _UNPARSED_BYTES
    assert connections.closed["unparsed_bytes"] == 1
    source.drop()
    for _ in range(50):
        source, may_go_on = begin(connections, USUAL_HEAD)
        assert may_go_on
        held.append(source)
    assert not begin(connections, LONG_HEAD[: 2 * _SMALL_BYTES] + b"\r\n")[1]
    assert connections.closed["unparsed_bytes"] == 2
