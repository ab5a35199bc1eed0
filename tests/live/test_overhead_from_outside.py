"""The overhead that a gateway process shows is what a client measures from outside, with an upstream that responds after 200 ms.

From outside it is the time of a call, less the 200 ms, less what the same call takes without a gateway. A busy
machine disturbs either view at random; the calls with the least of both are the undisturbed ones, and they are compared.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.exposition import ACCEPT, read_exposition
from tests.harness.polling import wait_for
from tests.harness.programs import Program, running_programs

pytestmark = pytest.mark.live

PROVIDER_SECONDS = 0.2
PROMPT_CHARACTERS = 500_000
"""Large enough that the gateway's own time is many times what the kernel takes to wake two processes."""
COMPARED = 5
BATCH = 10
DEADLINE_SECONDS = 150.0
WHOLE = (("operation", "chat"), ("stream", "false"))
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "u",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100_000, "completion_tokens": 1, "total_tokens": 100_001},
    }
).encode()
CONFIG = """
[server]
port = 0
[monitoring]
share_seconds = 0.0
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[probes]
enabled = false
[[providers]]
name = "slow"
base_url = "http://127.0.0.1:{port}/v1"
[[models]]
name = "m"
routes = [{{ provider = "slow", upstream_model = "u" }}]
[[plans]]
name = "free"
"""


def read_message(connection: socket.socket) -> bytes | None:
    """Return the head of a message once its body is there too; None at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(1 << 20)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    left = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")) - len(body)
    while left > 0:
        left -= len(connection.recv(1 << 20))
    return head


class SlowUpstream:
    """Responds `PROVIDER_SECONDS` after a whole request; `slept_seconds` is how long that took the last time."""

    def __init__(self, listener: socket.socket) -> None:
        self.slept_seconds = 0.0
        self._listener = listener

    def serve(self) -> None:
        """Accept connections until the listener closes."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._respond, args=(connection,), daemon=True).start()

    def _respond(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while read_message(connection) is not None:
                began = time.monotonic()
                time.sleep(PROVIDER_SECONDS)
                self.slept_seconds = time.monotonic() - began
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(ANSWER), ANSWER)
                )


@contextmanager
def slow_upstream() -> Iterator[tuple[SlowUpstream, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = SlowUpstream(listener)
        threading.Thread(target=upstream.serve, daemon=True).start()
        yield upstream, listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def call_seconds(connection: socket.socket, upstream: SlowUpstream, model: str, key: str = "") -> float:
    """Make one call; return what it took beyond the upstream's time."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x" * PROMPT_CHARACTERS}]}).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
        % (key.encode(), len(body), body)
    )
    began = time.monotonic()
    connection.sendall(request)
    head = read_message(connection)
    seconds = time.monotonic() - began
    assert head is not None
    assert head.startswith(b"HTTP/1.1 200"), head
    return seconds - upstream.slept_seconds


def shown(gateway: Program) -> tuple[float, float]:
    """Return sum and count of the metric."""
    response = httpx.get(f"{gateway.url}/metrics", headers={"accept": ACCEPT})
    samples = read_exposition(response.text)
    name = "gatewayz_overhead_seconds"
    return samples.get((f"{name}_sum", WHOLE), 0.0), samples.get((f"{name}_count", WHOLE), 0.0)


def keep_apart(gateway: Program) -> None:
    """Give the gateway a core of its own, so that client and upstream do not interrupt it when they wake up."""
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    if len(cores) > 1:
        for task in Path(f"/proc/{gateway.process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores[:1])


def test_the_overhead_is_what_a_client_measures(tmp_path: Path) -> None:
    with slow_upstream() as (upstream, port), running_programs(tmp_path) as programs:
        config = tmp_path / "gateway.toml"
        config.write_text(CONFIG.format(folder=tmp_path, port=port))
        environ = os.environ | {"GATEWAYZ_CONFIG": str(config)}
        key = programs.create_key(environ)
        gateway = programs.start("app", "serve", environ=environ)
        keep_apart(gateway)
        url = httpx.URL(gateway.url)
        both: list[tuple[float, float]] = []
        without: list[float] = []
        with (
            socket.create_connection((url.host, url.port)) as through,
            socket.create_connection(("127.0.0.1", port)) as direct,
        ):
            call_seconds(through, upstream, "m", key)
            deadline = time.monotonic() + DEADLINE_SECONDS
            ratio = 0.0
            while not 0.9 <= ratio <= 1.1:
                assert time.monotonic() < deadline, f"shown / measured is {ratio}: {sorted(both, key=max)[:COMPARED]}"
                for _ in range(BATCH):
                    wait_for(lambda: shown(gateway)[1] == len(both) + 1, "the last call is counted")
                    before, count = shown(gateway)
                    outside = call_seconds(through, upstream, "m", key)
                    wait_for(lambda count=count: shown(gateway)[1] == count + 1, "the call is counted")
                    both.append((outside, shown(gateway)[0] - before))
                    without.append(call_seconds(direct, upstream, "u"))
                undisturbed = sorted(both, key=max)[:COMPARED]
                baseline = sum(sorted(without)[:COMPARED])
                ratio = sum(inside for _, inside in undisturbed) / (
                    sum(outside for outside, _ in undisturbed) - baseline
                )
        assert gateway.stop() == 0
