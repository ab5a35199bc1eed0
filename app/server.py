"""SERVER: one process of the gateway, from its socket to its last flushed byte.

Comes in: configuration and environment. Goes out: an exit code. The order of stopping is the point of this file: no new connections, streams
may finish, the rest is ended in good order, the ledger is written, telemetry is flushed last, and what was lost is said.
"""

import asyncio
import errno
import gc
import math
import os
import secrets as random_source
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TextIO

import uvicorn
import uvloop
from litestar import Litestar

from app.acceptor import Acceptor
from app.config import AppConfig, ServerConfig
from app.config_load import ConfigError, resolve_secrets
from app.config_warnings import config_warnings
from app.connections import Connections
from app.descriptors import raise_descriptor_limit
from app.gateway.calls_in_hand import CallsInHand
from app.http_protocol import bounded_protocol
from app.main import create_app
from app.server_telemetry import build_server_telemetry
from app.store.database import DatabaseOpenError
from otel.config import TelemetryConfigError

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than clients keep idle connections, so that they close first and never write into a closing one."""

SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How long another thread may hold the interpreter: exporting must not delay requests by the default of 5 ms."""

_COLLECT_AFTER: Final = (5_000, 20, 50)
"""Objects between two collections of the youngest generation, and how many of these an older one waits for. Spans and log records live until
they are encoded: by the default of 700 they are looked at many times over, and promoted."""

_QUIET_LOGGERS: Final = ("aiosqlite", "alembic", "uvicorn.error")
"""Below WARNING they repeat at each start what the gateway's own lines tell, and aiosqlite logs each statement with its values."""

_POLL_SECONDS: Final = 0.02
_END_SECONDS: Final = 1.0
_BACKLOG: Final = 2_048
_MAX_STALL_MS: Final = 2**31 - 1


class GatewayServer(uvicorn.Server):
    """uvicorn's server with our order of stopping. `say` prints one line for the operator."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        calls: CallsInHand,
        connections: Connections,
        grace_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._calls = calls
        self._grace_seconds = grace_seconds
        self._say = say

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM or SIGINT, at once on the second one. Unlike uvicorn's, it does not raise the signal again at the end."""
        loop = asyncio.get_running_loop()
        handled = (signal.SIGTERM, signal.SIGINT)
        for number in handled:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            # From here on only flushing is left; a second signal must still be able to end it.
            for number in handled:
                loop.add_signal_handler(number, self._end_at_once)

    def _on_signal(self) -> None:
        if self.should_exit:
            self._end_at_once()
        self.should_exit = True

    def _end_at_once(self) -> None:
        self._say("second signal: ending at once; requests, ledger rows and telemetry in memory are lost")
        os._exit(1)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen: unlike uvicorn's own listener, ours knows a bound and what to do when descriptors run out."""
        loop = asyncio.get_running_loop()

        def make_protocol() -> asyncio.BaseProtocol:
            return self.config.http_protocol_class(config=self.config, server_state=self.server_state, app_state={})  # type: ignore[call-arg]

        self._acceptors = [Acceptor(loop, each, make_protocol, self._connections) for each in sockets or []]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving; when it returns no request is being served."""
        for acceptor in self._acceptors:
            acceptor.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._tasks_end(self._grace_seconds):
            stopped = self._calls.stop()
            self._say(f"{stopped} requests did not finish within {self._grace_seconds:g} s and are ended with an error")
            if not await self._tasks_end(_END_SECONDS):
                for task in list(self.server_state.tasks):
                    task.cancel()
                await self._tasks_end(_END_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.close()

    async def _tasks_end(self, timeout_seconds: float) -> bool:
        """Wait until no request is being served; false when the time is over first."""
        deadline = time.monotonic() + timeout_seconds
        while self.server_state.tasks:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True


def serve(
    config: AppConfig,
    environ: Mapping[str, str],
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Serve until a signal comes, and return the exit code; what stops the start is one line on `stderr`."""

    def say(line: str) -> None:
        print(f"gateway: {line}", file=stderr or sys.stderr, flush=True)

    try:
        raise_descriptor_limit()
        app_secrets = resolve_secrets(config, environ)
        telemetry = build_server_telemetry(config, app_secrets, environ, stdout or sys.stdout, say)
        app = create_app(config, app_secrets, telemetry, random_bytes=random_source.token_bytes)
        listener = listen(config.server)
    except (ConfigError, TelemetryConfigError, DatabaseOpenError) as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"cannot listen on {config.server.host}:{config.server.port}: {_why_not_listening(error)}")
        return 1
    for line in config_warnings(config):
        say(f"warning: {line}")
    telemetry.install_logging(quiet=_QUIET_LOGGERS)
    telemetry.start()
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    exit_code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(config, app, listener, say))
    except* DatabaseOpenError as group:
        # The framework's lifespan wraps what is raised in it.
        say(str(_first(group)))
        exit_code = 1
    finally:
        listener.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            # The event loop is gone and its handlers with it: a second signal ends the flush at once.
            signal.signal(number, signal.SIG_DFL)
        report = telemetry.shutdown(config.telemetry.shutdown_seconds)
    if not report.is_complete:
        lost = ", ".join(f"{count} {name}" for name, count in report.lost_items.items() if count)
        say(f"telemetry not delivered within {config.telemetry.shutdown_seconds:g} s: {lost}")
    if report.kept_items:
        kept = ", ".join(f"{count} {name}" for name, count in report.kept_items.items())
        say(f"telemetry kept in {config.telemetry.spool_folder} for the next start: {kept}")
    if exit_code == 0:
        say("stopped")
    return exit_code


async def _run(config: AppConfig, app: Litestar, listener: socket.socket, say: Callable[[str], None]) -> None:
    """Run the application's lifespan around the server."""
    parts = app.state.parts
    server = GatewayServer(
        uvicorn.Config(
            app,
            http=bounded_protocol(config.server, parts.connections),  # type: ignore[arg-type]  # a BufferedProtocol does as well
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            backlog=_BACKLOG,
        ),
        calls=parts.gateway.calls_in_hand,
        connections=parts.connections,
        grace_seconds=config.server.shutdown_grace_seconds,
        say=say,
    )
    async with app.lifespan():
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        host, port = listener.getsockname()[:2]
        parts.exposure.bound_to(host)
        say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        if parts.exposure.notice is not None:
            say(parts.exposure.notice)
        await server.serve([listener])
    if app.state.lost_ledger_rows:
        say(f"{app.state.lost_ledger_rows} ledger rows were not written")


def _first(group: BaseExceptionGroup[DatabaseOpenError]) -> DatabaseOpenError:
    """Return the first exception of nested groups."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def listen(config: ServerConfig) -> socket.socket:
    """Open the listening socket; raises OSError, `socket.gaierror` for a host that has no address."""
    address = (config.host, config.port)
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "Not a host name") from None
    takes_ipv4_too = config.host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=takes_ipv4_too)
    listener.setblocking(False)
    # Connections inherit the listener's options. Small pieces of a stream must not wait for each other.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The kernel alone knows whether a client that is slow to read still reads (Linux).
        stall_ms = math.ceil(config.send_stall_seconds * 1_000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(stall_ms, _MAX_STALL_MS))
    return listener


def _why_not_listening(error: OSError) -> str:
    """Say what is wrong and what to change."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; set server.host or --host to an address of this computer"
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}; set server.host or --host to an address of this computer"
    return f"{reason}; choose another port with --port"
