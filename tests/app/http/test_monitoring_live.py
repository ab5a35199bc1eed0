"""The monitoring endpoints behind a real server: HEAD, gzip and keep-alive as bytes on a socket."""

import gzip
import http.client
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from litestar import Litestar

from app.http.exposure import Exposure
from app.http.monitoring import monitoring_router
from tests.harness.metered import Metered

pytestmark = pytest.mark.live


@pytest.fixture
def connection() -> Iterator[http.client.HTTPConnection]:
    metered = Metered(share_seconds=3600)
    for number in range(200):
        metered.instruments.record("provider_response_time_seconds", 0.3, {"provider": f"p{number}"})
    app = Litestar([monitoring_router(metered.exposition, exposure=Exposure())], logging_config=None)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    (listener,) = server.servers
    connection = http.client.HTTPConnection("127.0.0.1", listener.sockets[0].getsockname()[1], timeout=10)
    yield connection
    connection.close()
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def ask(connection, method, headers=None):
    connection.request(method, "/metrics", headers=headers or {})
    response = connection.getresponse()
    return response, response.read()


def test_head_and_get_take_turns_on_one_connection(connection):
    for _ in range(3):
        head, nothing = ask(connection, "HEAD")
        assert head.status == 200
        assert nothing == b""
        whole, body = ask(connection, "GET")
        assert head.headers["content-length"] == whole.headers["content-length"] == str(len(body))
        assert body.count(b"\n") == 2 + 200 * 18


def test_gzip_is_one_stream_of_the_announced_length(connection):
    _, plain = ask(connection, "GET")
    packed, body = ask(connection, "GET", {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(body) < len(plain) / 5
    assert gzip.decompress(body) == plain
