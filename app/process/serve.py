"""Runs one gateway process, from its listening socket to the last telemetry push.

The process stops in this order: no new connections, streams may finish, remaining requests are
ended, the ledger is written, telemetry is pushed, and losses are reported.
"""

import asyncio
import gc
import secrets as random_source
import socket
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TextIO, cast

import uvicorn
import uvloop
from litestar import Litestar

from app.application import create_app
from app.config.load import ConfigError, resolve_secrets
from app.config.schema import AppConfig
from app.config.warnings import config_warnings
from app.gateway.clock import SystemClock
from app.process.exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_LOST
from app.process.telemetry import build_server_telemetry
from app.server.descriptors import raise_descriptor_limit
from app.server.gateway_server import GatewayServer
from app.server.http_protocol import bounded_protocol
from app.server.listener import BACKLOG, listen, why_not_listening
from app.server.stop_signals import end_by_signal
from app.store.database import DatabaseOpenError
from otel.config.environ import TelemetryConfigError

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than clients keep idle connections, so that they close first and never write into a closing one."""

SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How long another thread may hold the interpreter: exporting must not delay requests by the default of 5 ms."""

_COLLECT_AFTER: Final = (5_000, 20, 10)
"""Objects between two collections of the youngest generation, and how many of these an older one waits for. Spans and log records live until
they are encoded: by the default of 700 they are looked at many times over, and promoted. Connections and what
clients send leave no cycles; what other cycles there are wait for a million objects at most, some 100 MB."""

_QUIET_LOGGERS: Final = ("aiosqlite", "alembic", "uvicorn.error")
"""Below WARNING they repeat what the gateway's own lines report, and aiosqlite logs each statement with its values."""


def serve(
    config: AppConfig,
    environ: Mapping[str, str],
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Serve until a signal, and return the exit code; a failure of the start is one line on `stderr`."""

    def print_line(line: str) -> None:
        (stderr or sys.stderr).write(f"gateway: {line}\n")

    try:
        raise_descriptor_limit()
        app_secrets = resolve_secrets(config, environ)
        telemetry = build_server_telemetry(config, app_secrets, environ, stdout or sys.stdout, print_line)
        app = create_app(config, app_secrets, telemetry, random_bytes=random_source.token_bytes)
        listener = listen(config.server)
    except (ConfigError, TelemetryConfigError, DatabaseOpenError) as error:
        print_line(str(error))
        return EXIT_FAILED
    except OSError as error:
        print_line(f"cannot listen on {config.server.host}:{config.server.port}: {why_not_listening(error)}")
        return EXIT_FAILED
    for line in config_warnings(config, environ):
        print_line(f"warning: {line}")
    telemetry.install_logging(quiet=_QUIET_LOGGERS)
    telemetry.start()
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    exit_code = EXIT_DONE
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(config, app, listener, print_line))
    except* DatabaseOpenError as group:
        # The framework's lifespan wraps what is raised in it.
        print_line(str(_first(group)))
        exit_code = EXIT_FAILED
    finally:
        listener.close()
        end_by_signal()
        report = telemetry.shutdown(config.telemetry.shutdown_seconds)
    if exit_code == EXIT_DONE and (not report.is_complete or app.state.lost_ledger_rows):
        exit_code = EXIT_LOST
    for what, items in (
        (f"telemetry not delivered within {config.telemetry.shutdown_seconds:g} s", report.lost_items),
        ("telemetry refused by its endpoint at the stop", report.refused_items),
        (f"telemetry kept in {config.telemetry.spool_folder} for the next start", report.stored_items),
    ):
        if counts := ", ".join(f"{count} {name}" for name, count in items.items() if count):
            print_line(f"{what}: {counts}")
    if exit_code != EXIT_FAILED:
        print_line("stopped")
    return exit_code


async def _run(config: AppConfig, app: Litestar, listener: socket.socket, print_line: Callable[[str], None]) -> None:
    """Run the application's lifespan around the server."""
    parts = app.state.parts
    protocol = bounded_protocol(config.server, parts.connections, SystemClock(), parts.gateway.loop_sharing)
    server = GatewayServer(
        uvicorn.Config(
            cast("ASGIApplication", app.asgi_handler),  # not `app`, which would be one more layer of each request
            http=protocol,  # type: ignore[arg-type]  # a BufferedProtocol does as well
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            backlog=BACKLOG,
        ),
        calls=parts.gateway.calls_in_flight,
        connections=parts.connections,
        sharing=parts.gateway.loop_sharing,
        grace_seconds=config.server.shutdown_grace_seconds,
        print_line=print_line,
        forced_exit_code=EXIT_FAILED,
        send_stall_seconds=config.server.send_stall_seconds,
    )
    async with app.lifespan():
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        # Before the line below: its reader may stop the process.
        with server.capture_signals():
            host, port = listener.getsockname()[:2]
            parts.exposure.bound_to(host)
            print_line(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
            if parts.exposure.notice is not None:
                print_line(parts.exposure.notice)
            await server.serve([listener])
    if app.state.lost_ledger_rows:
        print_line(f"{app.state.lost_ledger_rows} ledger rows were not written")


def _first(group: BaseExceptionGroup[DatabaseOpenError]) -> DatabaseOpenError:
    """Return the first exception of nested groups."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
