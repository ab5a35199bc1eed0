"""Writes one ledger row per finished call, committed in groups off the request path.

A row leaves the queue only after its commit, and its primary key makes a second attempt harmless: it
is stored exactly once. Rows wait while the database is unavailable. A killed process loses at most
the last `commit_seconds`; one that is closed in time loses nothing. No request waits or fails here.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from itertools import islice

import msgspec
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config.schema import LedgerConfig
from app.gateway.ports import LedgerRow
from app.store.database_file import DatabaseFile
from app.store.schema import LEDGER
from app.store.transactions import writing
from otel.events import LedgerRowsDropped, Recorder

_LOGGER = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 5.0
_CANCEL_SECONDS = 0.5


class LedgerWriter:
    """Satisfies `Ledger`. `start` it on the event loop that appends, `close` it at the end.

    When `max_queued_rows` wait, the newest row is dropped and counted, not the oldest: the oldest may be in a commit whose result
    is not known yet, and an accepted row is never dropped. So the loss of a long outage is one gap, at its end.
    """

    def __init__(
        self, engine: AsyncEngine, config: LedgerConfig, recorder: Recorder, *, file: DatabaseFile | None = None
    ) -> None:
        self._engine = engine
        self._file = file or DatabaseFile(None)
        self._config = config
        self._recorder = recorder
        self._insert = _insert_statement(engine.dialect)
        self._queue: deque[LedgerRow] = deque()
        self._wake = asyncio.Event()  # the first row, a full group, or the end
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_dropping = False
        self._is_failing = False

    @property
    def queued_rows(self) -> int:
        """Rows that are not committed yet."""
        return len(self._queue)

    def start(self) -> None:
        """Start the one task that writes."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write(), name="ledger writer")

    def append(self, row: LedgerRow) -> None:
        """Queue one row for the next group commit; never blocks, never raises. On the event loop's thread."""
        if self._closing.is_set() or len(self._queue) >= self._config.max_queued_rows:
            self._drop_newest()
            return
        self._is_dropping = False
        self._queue.append(row)
        if len(self._queue) in {1, self._config.commit_rows}:
            self._wake.set()

    async def close(self, deadline_seconds: float) -> int:
        """Commit the queued rows, for as long as the deadline allows, and return how many were lost.

        A commit that the deadline cut short may still arrive: the number is never too small.
        """
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=deadline_seconds)
            self._task.cancel()
            # A driver that hangs may swallow the first cancellation while it closes its connection.
            await asyncio.wait({self._task}, timeout=_CANCEL_SECONDS)
        lost = len(self._queue)
        if lost:
            self._recorder.record(LedgerRowsDropped(rows=lost))
            _LOGGER.error("ledger: %d rows lost, the database did not take them before the shutdown deadline", lost)
            self._queue.clear()
        return lost

    async def _write(self) -> None:
        """Commit group after group until the queue is empty and closed; a failing database is tried again indefinitely."""
        retry_seconds = _FIRST_RETRY_SECONDS
        group_since = asyncio.get_running_loop().time()
        while True:
            await self._gather(group_since)
            if not self._queue:
                return
            group_since = asyncio.get_running_loop().time()  # rows that come in from here on belong to the next group
            if await self._commit(list(islice(self._queue, self._config.commit_rows))):
                retry_seconds = _FIRST_RETRY_SECONDS
            else:
                await self._pause(retry_seconds)
                retry_seconds = min(2 * retry_seconds, _LAST_RETRY_SECONDS)

    async def _gather(self, group_since: float) -> None:
        """Wait until a group is due: it is full, its first row has waited for `commit_seconds`, or the ledger is closed."""
        while not self._queue and not self._closing.is_set():
            self._wake.clear()
            await self._wake.wait()
            group_since = asyncio.get_running_loop().time()
        due = group_since + self._config.commit_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                while len(self._queue) < self._config.commit_rows and not self._closing.is_set():
                    self._wake.clear()
                    await self._wake.wait()

    async def _commit(self, rows: list[LedgerRow]) -> bool:
        """Write `rows`, the head of the queue, in one transaction and take them off the queue; False if the database fails.

        A row that the database refuses (too large a number, broken text) must not delay the others: the group is halved until that
        row is alone, and it is dropped.
        """
        try:
            self._file.check()
            async with writing(self._engine) as connection:
                await connection.exec_driver_sql(self._insert, [msgspec.structs.astuple(row) for row in rows])
            # Rows in a deleted file are lost: they are written again, which is harmless where the file came back.
            self._file.check()
        except Exception as error:  # noqa: BLE001  the one writer outlives whatever a driver raises
            if not _is_refusal(error):
                self._note_failure(error)
                return False
            if len(rows) > 1:
                half = len(rows) // 2
                return await self._commit(rows[:half]) and await self._commit(rows[half:])
            self._note_refusal(rows[0], error)
        for _ in rows:
            self._queue.popleft()
        self._note_success()
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait between two attempts; shorter while the ledger closes."""
        if self._closing.is_set():
            await asyncio.sleep(_FIRST_RETRY_SECONDS)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _drop_newest(self) -> None:
        self._recorder.record(LedgerRowsDropped(rows=1))
        if not self._is_dropping:
            self._is_dropping = True
            _LOGGER.error("ledger: rows are dropped, %d are waiting already", len(self._queue))

    def _note_refusal(self, row: LedgerRow, error: Exception) -> None:
        self._recorder.record(LedgerRowsDropped(rows=1))
        _LOGGER.error("ledger: the database refuses the row of call %s: %s", row.call_id, _reason(error))

    def _note_failure(self, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            _LOGGER.warning("ledger: the database fails, %d rows wait: %s", len(self._queue), _reason(error))

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            _LOGGER.warning("ledger: the database takes rows again, %d wait", len(self._queue))


def _insert_statement(dialect: Dialect) -> str:
    """The insert in the driver's form, compiled once: rows are passed as tuples, without SQLAlchemy's work for each parameter."""
    insert = postgresql.insert(LEDGER) if dialect.name == "postgresql" else sqlite.insert(LEDGER)
    return str(insert.on_conflict_do_nothing(index_elements=[LEDGER.c.call_id]).compile(dialect=dialect))


def _is_refusal(error: Exception) -> bool:
    """Whether the values are at fault, not the database's state: then trying again is useless.

    Drivers raise plain `ValueError`, `OverflowError` and `TypeError` for what they cannot encode; PostgreSQL's SQLSTATE classes
    22 (data exception) and 23 (integrity constraint violation) are the server's form of the same.
    """
    if isinstance(error, DataError | IntegrityError | ValueError | OverflowError | TypeError):
        return True
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    is_unbindable = "Error binding parameter" in str(error.orig)  # sqlite3, of a type that it does not know
    return is_unbindable or sqlstate[:2] in {"22", "23"} or isinstance(error.orig.__cause__, ValueError)


def _reason(error: Exception) -> str:
    """One line; the statement and its parameters stay out of the logs."""
    return " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
