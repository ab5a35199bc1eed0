"""Compares the overhead that a gateway shows with what a client measures, at an upstream that responds after 200 ms.

    python -m bench.overhead [--calls 40]

From outside it is the time of a call, less the 200 ms, less what the same call takes without a gateway. A
busy machine disturbs either view at random; the calls with the least of both are the undisturbed ones, and they are compared.
Exit code 1: the two differ by more than a tenth. That the metric leaves out what is not the gateway's is
tested on a clock that the test moves.
"""

import argparse
import asyncio
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx

from bench.cores import available_cores, on_cores, split_cores
from bench.environment import DIRECT_MODEL, Bench
from demo.environment import create_key
from demo.process import ChildFailedError
from tests.harness.exposition import ACCEPT, read_exposition
from tests.harness.polling import wait_for

PROVIDER_SECONDS = 0.2
PROMPT_CHARACTERS = 500_000
"""Large enough that the gateway's own time is many times what the kernel takes to wake two processes."""
COMPARED = 5
TOLERANCE = 0.1
WHOLE = (("operation", "chat"), ("stream", "false"))
RESPONSE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "u",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100_000, "completion_tokens": 1, "total_tokens": 100_001},
    }
).encode()


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
                    % (len(RESPONSE), RESPONSE)
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
    if head is None or not head.startswith(b"HTTP/1.1 200"):
        raise ChildFailedError(f"a call failed: {head!r}")
    return seconds - upstream.slept_seconds


def shown(gateway_url: str) -> tuple[float, float]:
    """Return sum and count of the metric."""
    response = httpx.get(f"{gateway_url}/metrics", headers={"accept": ACCEPT})
    samples = read_exposition(response.text)
    name = "gatewayz_overhead_seconds"
    return samples.get((f"{name}_sum", WHOLE), 0.0), samples.get((f"{name}_count", WHOLE), 0.0)


def measure(gateway_url: str, upstream: SlowUpstream, upstream_port: int, secret: str, calls: int) -> float:
    """Return what the metric shows of what is measured outside, as a ratio."""
    url = httpx.URL(gateway_url)
    both: list[tuple[float, float]] = []
    without: list[float] = []
    with (
        socket.create_connection((url.host, url.port)) as through,
        socket.create_connection(("127.0.0.1", upstream_port)) as direct,
    ):
        call_seconds(through, upstream, DIRECT_MODEL, secret)
        wait_for(lambda: shown(gateway_url)[1] == 1, "the first call is counted")
        for number in range(calls):
            before, _ = shown(gateway_url)
            outside = call_seconds(through, upstream, DIRECT_MODEL, secret)
            wait_for(lambda: shown(gateway_url)[1] == len(both) + 2, "the call is counted")
            both.append((outside, shown(gateway_url)[0] - before))
            without.append(call_seconds(direct, upstream, "u"))
            print(f"\roverhead: call {number + 1} of {calls}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    undisturbed = sorted(both, key=max)[:COMPARED]
    inside = sum(shown_seconds for _, shown_seconds in undisturbed) / COMPARED
    outside = sum(seconds for seconds, _ in undisturbed) / COMPARED - sum(sorted(without)[:COMPARED]) / COMPARED
    print(
        f"the metric shows {inside * 1e3:.2f} ms, a client measures {outside * 1e3:.2f} ms: ratio {inside / outside:.3f}"
    )
    return inside / outside


async def run(folder: Path, calls: int) -> float:
    """Start the gateway on a core of its own and measure."""
    with slow_upstream() as (upstream, port):
        bench = Bench(folder, f"http://127.0.0.1:{port}")
        bench.secret, _ = await create_key(bench.write_config(), "bench", "free")
        async with AsyncExitStack() as running:
            with on_cores(split_cores(available_cores()).server):
                gateway = await running.enter_async_context(bench.gateway(bench.write_config(), {}))
            return await asyncio.to_thread(measure, gateway.url, upstream, port, bench.secret, calls)


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratio = asyncio.run(run(Path(folder), arguments.calls))
    return 0 if abs(ratio - 1) <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
