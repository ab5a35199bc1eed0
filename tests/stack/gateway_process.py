"""The gateway of a fault test: one configuration, one port, one database and one spool over all its starts."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from bench.environment import Bench
from demo.environment import GATEWAY_READY_LINE
from demo.process import Child, start_child


class GatewayProcess:
    """Starts, stops and kills it; each start is a new process with a log file of its own. `database_path` is its ledger.

    `config_path` is its configuration, which each start reads. `changes` are replacements in the text of the configuration; each must
    find something.
    """

    def __init__(self, bench: Bench, otel: Mapping[str, str], changes: Mapping[str, str] | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.database_path = bench.folder / "gateway.db"
        self.logs: list[Path] = []
        self._folder = bench.folder
        self.config_path = bench.write_config()
        text = self.config_path.read_text().replace("port = 0", f"port = {port}")
        text = text.replace("[telemetry]\n", f'[telemetry]\nspool_folder = "{bench.folder}/spool"\n')
        for found, replacement in (changes or {}).items():
            if found not in text:
                raise ValueError(f"there is no {found!r} in the configuration")
            text = text.replace(found, replacement)
        self.config_path.write_text(text)
        self._environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | dict(otel)
        self._child: Child | None = None

    async def start(self) -> None:
        """Start it and wait until it serves."""
        log = self._folder / f"gateway-run-{len(self.logs)}.log"
        self.logs.append(log)
        arguments = ("app", "--config", str(self.config_path), "serve")
        self._child = await start_child("gateway", arguments, log_path=log, environ=self._environ)
        await self._child.wait_ready(GATEWAY_READY_LINE)

    async def stop(self) -> int:
        """End it by SIGTERM; return its exit code."""
        return 0 if self._child is None else await self._child.stop()

    async def kill(self) -> None:
        """End it by SIGKILL."""
        if self._child is not None:
            os.killpg(self._child.pid, signal.SIGKILL)
            await self._child.stop()

    async def restart(self) -> None:
        """End it by SIGTERM and start it again."""
        await self.stop()
        await asyncio.sleep(0)
        await self.start()
