"""Runs the real servers on loopback, and ends them.

Each server can be stopped, killed, frozen and started again while the others run. Several stacks run at the same time on
different ports.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from compose.native.ports import Ports, variables
from compose.native.process import ServerProcess
from compose.native.servers import Choices, servers


class Stack:
    """The servers by name: alertmanager, prometheus, loki, tempo, otelcol."""

    def __init__(self, processes: Mapping[str, ServerProcess], ports: Ports, data: Path) -> None:
        self.ports = ports
        self.data = data
        self._processes = dict(processes)

    def __getitem__(self, name: str) -> ServerProcess:
        return self._processes[name]

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of their start."""
        return tuple(self._processes)

    def url(self, name: str) -> str:
        """Return a server's base URL; the Collector's is that of OTLP over HTTP."""
        return self._processes[name].server.url

    async def start(self, *names: str) -> dict[str, float]:
        """Start these servers (all, where none is named) and wait until they are ready; return the seconds each took."""
        chosen = names or self.names
        for name in chosen:
            await self._processes[name].start()
        seconds = await asyncio.gather(*(self._processes[name].wait_ready() for name in chosen))
        return dict(zip(chosen, seconds, strict=True))

    async def stop(self, *names: str) -> tuple[str, ...]:
        """End these servers (all, where none is named): the Collector first, so that it can still deliver.

        Returns those that did not end in time and were killed: what these had in memory is lost.
        """
        chosen = names or self.names
        first = [name for name in chosen if name == "otelcol"]
        killed = [name for name in first if not await self._processes[name].stop()]
        others = [name for name in chosen if name not in first]
        ended = await asyncio.gather(*(self._processes[name].stop() for name in others))
        return (*killed, *(name for name, by_itself in zip(others, ended, strict=True) if not by_itself))

    async def kill(self, name: str) -> None:
        """End a server by SIGKILL."""
        await self._processes[name].kill()

    def freeze(self, name: str) -> None:
        """Stop a server's process without ending it (SIGSTOP)."""
        self._processes[name].signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen server go on (SIGCONT)."""
        self._processes[name].signal(signal.SIGCONT)


def make_stack(
    binaries: Mapping[str, Path],
    data: Path,
    ports: Ports,
    choices: Choices = Choices(),  # noqa: B008  immutable
    extra: Mapping[str, str] | None = None,
) -> Stack:
    """Return a stack that is not started; `extra` are further environment variables of its servers."""
    environ = {**os.environ, **variables(ports, data), **(extra or {})}
    logs = data / "log"
    logs.mkdir(parents=True, exist_ok=True)
    processes = {
        server.name: ServerProcess(server, environ, logs / f"{server.name}.log")
        for server in servers(binaries, ports, data, choices)
    }
    return Stack(processes, ports, data)


@asynccontextmanager
async def running_stack(
    binaries: Mapping[str, Path],
    data: Path,
    ports: Ports,
    choices: Choices = Choices(),  # noqa: B008  immutable
    extra: Mapping[str, str] | None = None,
) -> AsyncIterator[Stack]:
    """Run a stack from ready to ended; raises `ServerFailedError`."""
    stack = make_stack(binaries, data, ports, choices, extra)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()
