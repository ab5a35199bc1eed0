"""Runs one console process: both listeners on one event loop, the store beside them, until a signal.

It stops in this order: no new connections, requests in flight are served, what was accepted is
written, the file is closed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import uvicorn

from console.address import AddressError, bound, listen
from console.http.build import build_console_app
from console.query.traces import LinkTemplates
from console.receive.http_app import OtlpApp
from console.settings import ConsoleSettings
from console.slow_heads import HeadDeadlineProtocol
from console.store.file import StoreFileError
from console.store.store import Store

OTLP_LINE: Final = "receiving OTLP/HTTP on "
PAGE_LINE: Final = "listening on "
"""The URLs follow; the second line is the last of the start."""

_GRACE_SECONDS: Final = 2
_CONNECTIONS: Final = 200
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Server(uvicorn.Server):
    """One listener; signals are handled for both together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_run`."""
        yield


def run_console(
    settings: ConsoleSettings, print_line: Callable[[str], None], *, version: str, lifeline: int | None = None
) -> int:
    """Serve until a signal and return the exit code: 0, or 1 where the start failed, for one printed reason.

    `lifeline` is a descriptor at whose end the console stops, as at a signal: the process that
    started it holds the other end.
    """
    try:
        with contextlib.ExitStack() as stack:
            page = stack.enter_context(listen(settings.listen, "--listen"))
            otlp = stack.enter_context(listen(settings.otlp, "--otlp"))
            store = Store(settings.data, settings.limits, unix_s=time.time, print_line=print_line)
            stack.callback(store.close)
            token = None if settings.otlp.is_loopback else settings.token
            receiver = OtlpApp(store, token=token, unix_s=time.time)
            screens = build_console_app(
                store,
                version=version,
                token=settings.token,
                print_line=print_line,
                host_names=settings.host_names,
                links=LinkTemplates(grafana=settings.grafana_link, tempo=settings.tempo_link),
                otlp_url=bound(otlp).url,
            )
            print_line(f"keeps telemetry of {_kept(settings)} in {store.path}")
            asyncio.run(
                _run([(receiver, otlp, OTLP_LINE), (screens, page, PAGE_LINE)], screens.close, print_line, lifeline)
            )
    except (AddressError, StoreFileError) as error:
        print_line(str(error))
        return 1
    print_line("stopped")
    return 0


async def _run(
    served: Sequence[tuple[Any, socket.socket, str]],
    close: Callable[[], None],
    print_line: Callable[[str], None],
    lifeline: int | None,
) -> None:
    """Serve each application on its listener, print its line, and call `close` when the stop begins."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    if lifeline is not None:
        _stop_at_end_of(lifeline, loop, stop)
    servers = [server_of(app) for app, _, _ in served]
    serving = [
        asyncio.create_task(server.serve([listener])) for server, (_, listener, _) in zip(servers, served, strict=True)
    ]
    for _, listener, line in served:
        print_line(f"{line}{bound(listener).url}")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    close()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving)


def server_of(app: Any) -> uvicorn.Server:
    """Return what serves an application, on one of the listeners."""
    return _Server(
        uvicorn.Config(
            app,
            # Its buffer of headers is bounded, unlike that of httptools.
            http=HeadDeadlineProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            # What strangers send is no line for the operator.
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )


def _stop_at_end_of(lifeline: int, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(lifeline, 1):
                pass
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="console-lifeline", daemon=True).start()


def _kept(settings: ConsoleSettings) -> str:
    hours = settings.limits.retention_seconds / 3_600
    return f"the last {hours:g} h, at most {settings.limits.max_bytes / 2**20:g} MiB,"
