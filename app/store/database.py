"""Opens a database by its URL, with the schema of this version.

The engine's statements are timed; the caller disposes of the engine. A commit survives the end of
the process at any moment, and a power cut where the disk honours its flush. The password of a URL is
never shown.
"""

import asyncio
import contextlib
import importlib
import inspect
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.errors import StoreUnavailableError
from app.store.database_file import DatabaseFile
from app.store.query_timing import time_queries
from app.store.sqlite import START_SECONDS, is_locked, prepare_file, set_up_connections, sqlite_connect_args
from app.store.transactions import with_writer_turns
from otel.events import Recorder

DATABASE_FAILURES = (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError)
"""What a statement raises: SQLAlchemy's errors, and what drivers let through."""

_LOGGER = logging.getLogger(__name__)
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x6761746577_61797A  # "gatewayz": any constant will do for PostgreSQL's advisory lock
_SQLALCHEMYS_PARAMETERS = frozenset({"async_fallback", "prepared_statement_cache_size"})
"""Parameters of a PostgreSQL URL that the driver never sees."""
_POSTGRESQL_CONNECT_SECONDS = 5.0
_POSTGRESQL_STATEMENT_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_RETRY_SECONDS = 0.02
_MAX_PORT = 65_535


class DatabaseOpenError(Exception):
    """The database cannot be opened or migrated; `str()` is one line without a password."""


async def open_database(url: str, recorder: Recorder) -> AsyncEngine:
    """Create the engine and bring the schema up to date; raises `DatabaseOpenError`."""
    engine = create_engine(url, recorder)
    try:
        await migrate(engine)
    except BaseException:
        await close_database(engine)
        raise
    return engine


async def close_database(engine: AsyncEngine) -> None:
    """Close the connections, within a second.

    A frozen server never confirms the close; connections that are still open then end with the process.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await engine.dispose()


def create_engine(url: str, recorder: Recorder) -> AsyncEngine:
    """Create the engine without connecting; raises `DatabaseOpenError` for a URL that no installed driver serves."""
    try:
        parsed = make_url(url)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        options: dict[str, Any] = {
            "hide_parameters": True,  # parameters hold hashes and names: not for logs
            "pool_use_lifo": True,  # one connection after the other, not each in its turn: one thread and one page cache are in use
        }
        if is_sqlite:
            options["connect_args"] = sqlite_connect_args()
        else:
            options |= {
                "connect_args": {
                    "timeout": _POSTGRESQL_CONNECT_SECONDS,
                    "command_timeout": _POSTGRESQL_STATEMENT_SECONDS,
                },
                "pool_pre_ping": True,  # a restarted server costs a reconnect, not a failed request
                "pool_timeout": _POSTGRESQL_CONNECT_SECONDS,
            }
        engine = create_async_engine(parsed, **options)
        _check_parameters(engine)
    except (ArgumentError, ValueError):
        raise DatabaseOpenError("the database URL is not one; it looks like sqlite+aiosqlite:///file.db") from None
    except ImportError as error:
        raise DatabaseOpenError(
            f"the database URL needs the package {error.name}: install the extra `production`"
        ) from error
    if is_sqlite:
        set_up_connections(engine)
    time_queries(engine.sync_engine, recorder, time.perf_counter)
    return with_writer_turns(engine) if is_sqlite else engine


def _check_parameters(engine: AsyncEngine) -> None:
    """Find the URL's parameters that the driver does not take, before it raises `TypeError` for them at the first connection."""
    if engine.dialect.name == "sqlite":
        return
    given = engine.dialect.create_connect_args(engine.url)[1]
    port = given.get("port", engine.url.port)  # the dialect leaves 0 out
    if port is not None and not all(0 < each <= _MAX_PORT for each in (port if isinstance(port, list) else [port])):
        raise DatabaseOpenError(f"the database URL has a port that is not a number from 1 to {_MAX_PORT}")
    allowed = inspect.signature(importlib.import_module(engine.dialect.driver).connect).parameters.keys()
    unknown = sorted(given.keys() - allowed - _SQLALCHEMYS_PARAMETERS)
    if unknown:
        hint = ", which is `ssl` here" if unknown[0] == "sslmode" else ""
        raise DatabaseOpenError(
            f"the database URL has the parameter {unknown[0]!r}{hint}: the driver {engine.dialect.driver} does not know it"
        )


def _shown(url: URL) -> str:
    """Return a URL without its password, and without its parameters, which may hold another one."""
    return url.set(query={}).render_as_string(hide_password=True)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the schema to the newest revision, all or nothing; processes that start together wait for each other.

    Raises `DatabaseOpenError` where the database cannot be reached, or was migrated by a newer version of the gateway.
    """
    name = _shown(engine.url)
    immediate = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
    try:
        if engine.dialect.name == "sqlite":
            await asyncio.to_thread(prepare_file, engine)
        else:
            await _try_connecting(engine)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                async with immediate.begin() as connection:
                    await connection.run_sync(_upgrade)
            except OperationalError as error:
                if engine.dialect.name != "sqlite" or not is_locked(error) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
    except CommandError as error:
        raise DatabaseOpenError(f"database {name}: {error}; was it made by a newer version of the gateway?") from error
    except DATABASE_FAILURES as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        if not reason:
            reason = "the server does not respond in time" if isinstance(error, TimeoutError) else type(error).__name__
        raise DatabaseOpenError(f"database {name}: cannot be opened: {reason}") from error


async def _try_connecting(engine: AsyncEngine) -> None:
    """Connect once: the driver raises `TypeError` or `ValueError` for a value of a parameter that it cannot use."""
    try:
        async with engine.connect():
            pass
    except DATABASE_FAILURES:
        raise
    except (TypeError, ValueError) as error:
        raise DatabaseOpenError(
            f"database {_shown(engine.url)}: a parameter of its URL has a value that the driver cannot use:"
            f" {' '.join(str(error).split())}"
        ) from error


async def check_database(engine: AsyncEngine, file: DatabaseFile | None = None) -> None:
    """Query the database, and check that its file still exists; raises `StoreUnavailableError`. For readiness."""
    with database_errors():
        if file is not None:
            file.check()
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn what a database and its driver raise into `StoreUnavailableError`, once, at the edge."""
    try:
        yield
    except DATABASE_FAILURES as error:
        raise StoreUnavailableError("The gateway's database does not respond; try again.") from error


def migration_config() -> Config:
    """Alembic's configuration without a file: where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def newest_revision() -> str:
    """The revision that `migrate` leads to."""
    return ScriptDirectory.from_config(migration_config()).get_current_head() or ""


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    config = migration_config()
    config.attributes["connection"] = connection
    before = MigrationContext.configure(connection).get_current_revision()
    command.upgrade(config, "head")
    if before != newest_revision():
        _LOGGER.info("database migrated from %s to %s", before or "an empty one", newest_revision())
