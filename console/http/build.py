"""Puts the application together for one console."""

import time
from collections.abc import Callable
from pathlib import Path

from console.http.access import Access
from console.http.application import ConsoleApp
from console.http.json_routes import Context
from console.http.query_threads import QUERY_SECONDS, QueryThreads
from console.http.session import Sessions
from console.http.static_files import StaticFiles, packaged_files
from console.http.tail import Tails
from console.query.doctor_result import FILE_NAME
from console.query.meta import About
from console.query.traces import LinkTemplates
from console.store.store import Store


def build_console_app(
    store: Store,
    *,
    version: str,
    token: str | None,
    print_line: Callable[[str], None],
    host_names: frozenset[str] = frozenset(),
    links: LinkTemplates | None = None,
    otlp_url: str | None = None,
    unix_ns: Callable[[], int] = time.time_ns,
    monotonic: Callable[[], float] = time.monotonic,
) -> ConsoleApp:
    """Return the application, for the event loop of the caller's thread.

    With a `token` every client needs it; without one the caller must listen on loopback only.
    `host_names` are names besides addresses and `localhost` by which browsers may reach it.
    `otlp_url` is what the page tells senders while there is no telemetry.
    """
    found = links or LinkTemplates()
    queries = QueryThreads(store.readers, unix_ns)
    sessions = None if token is None else Sessions(token, lambda: unix_ns() / 1_000_000_000)
    about = About(
        version=version,
        started_ns=unix_ns(),
        limits=store.limits,
        query_seconds=QUERY_SECONDS,
        grafana_url=found.grafana,
        tempo_url=found.tempo,
        otlp_url=otlp_url,
    )
    return ConsoleApp(
        queries=queries,
        context=Context(
            about=about,
            links=found,
            store_state=store.state,
            doctor_file=store.path.parent / FILE_NAME,
            home=_home(),
        ),
        access=Access(sessions, names=host_names),
        sessions=sessions,
        files=StaticFiles(packaged_files()),
        tails=Tails(queries, monotonic),
        report=print_line,
    )


def _home() -> Path | None:
    """Return the home folder; None where the user has none of their own, as in some containers."""
    try:
        home = Path.home().resolve()
    except RuntimeError:
        return None
    return None if home == home.parent else home
