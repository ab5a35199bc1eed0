"""A backend in a process of its own that takes OTLP, over HTTP and over gRPC, and misbehaves on command.

As a program: one JSON command per line comes in, one JSON response per line goes out. `Backend` is
the test's end of it:

    async with running_backend() as backend:
        ...  # a Collector whose exporters lead to backend.http_port and backend.grpc_port
        await backend.http("respond_status", 429, retry_after="1")
        assert await backend.log_bodies() == [...]
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from compose.native.servers import ROOT
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver


def main() -> None:
    """Obey until the input ends."""
    with OtlpReceiver() as over_http, OtlpGrpcReceiver() as over_grpc:
        receivers: dict[str, OtlpReceiver | OtlpGrpcReceiver] = {"http": over_http, "grpc": over_grpc}
        _say({"http_port": over_http.port, "grpc_port": over_grpc.port})
        for line in sys.stdin:
            command = json.loads(line)
            receiver = receivers[command["receiver"]]
            if command["do"] == "report":
                _say(
                    {
                        "log_bodies": [record["body"] for record in receiver.log_records],
                        "span_numbers": [span["attributes"]["n"] for span in receiver.spans],
                        "metric_values": [
                            value for metric in receiver.metrics.values() for value in metric.points.values()
                        ],
                        "requests": len(receiver.requests),
                    }
                )
            else:
                getattr(receiver, command["do"])(*command["arguments"], **command["keywords"])
                _say({})


def _say(response: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(response) + "\n")
    sys.stdout.flush()


class Backend:
    """The backend as a test sees it. For one task at a time."""

    def __init__(self, process: asyncio.subprocess.Process, ports: dict[str, int]) -> None:
        self.http_port = ports["http_port"]
        self.grpc_port = ports["grpc_port"]
        self._process = process

    async def http(self, do: str, *arguments: Any, **keywords: Any) -> None:
        """Throw a switch of `OtlpReceiver`."""
        await self._ask("http", do, arguments, keywords)

    async def grpc(self, do: str, *arguments: Any, **keywords: Any) -> None:
        """Throw a switch of `OtlpGrpcReceiver`."""
        await self._ask("grpc", do, arguments, keywords)

    async def log_bodies(self) -> list[Any]:
        """Return the bodies of the accepted log records, in order of arrival."""
        return list((await self._ask("http", "report"))["log_bodies"])

    async def metric_values(self) -> list[float]:
        """Return the newest value of every accepted metric point."""
        return list((await self._ask("http", "report"))["metric_values"])

    async def span_numbers(self) -> list[int]:
        """Return attribute `n` of the accepted spans, in order of arrival."""
        return list((await self._ask("grpc", "report"))["span_numbers"])

    async def requests(self, receiver: str) -> int:
        """Return how many requests came, whatever the responses."""
        return int((await self._ask(receiver, "report"))["requests"])

    async def _ask(self, receiver: str, do: str, arguments: Any = (), keywords: Any = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        command = {"receiver": receiver, "do": do, "arguments": list(arguments), "keywords": keywords or {}}
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await _heard(self._process)


async def _heard(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        line = await process.stdout.readline()
    assert line, "the backend ended"
    response: dict[str, Any] = json.loads(line)
    return response


@asynccontextmanager
async def running_backend() -> AsyncIterator[Backend]:
    """Run a backend that accepts everything until it is told otherwise."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.stack.scripted_backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=64 * 1024 * 1024,
    )
    try:
        ports = await _heard(process)
        yield Backend(process, ports)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    main()
