"""The thread that writes: it commits the requests that wait together, then reports each one's outcome.

Between commits it deletes what is beyond the caps. The queue is bounded in bytes; what does not fit
is refused at once, so that the client sends it again.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from console.store.file import StoreFile
from console.store.identities import Identities
from console.store.inserts import Inserts
from console.store.limits import Limits
from console.store.pruning import Pruning
from console.store.records import Batch
from console.store.work import Failed, Malformed, MalformedError, Outcome, Overloaded, Stored, Work

MAX_QUEUE_BYTES: Final = 32 * 2**20
MAX_QUEUE_REQUESTS: Final = 1_000
_COMMIT_BYTES: Final = 4 * 2**20
"""Of the bodies that one commit takes, at least one."""
_COMMIT_REQUESTS: Final = 200
_IDLE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 5
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY: Final = 0xFF
"""The part of SQLite's codes that is the primary one."""


class StoreWriter:
    """Writes to an open file until `close`. `unix_s` is the wall clock in seconds; `print_line` prints one line for the operator."""

    def __init__(
        self, file: StoreFile, limits: Limits, *, unix_s: Callable[[], float], print_line: Callable[[str], None]
    ) -> None:
        self._file = file
        self._connection = file.connection
        self._unix_s = unix_s
        self._print_line = print_line
        self._inserts = Inserts(self._connection, Identities(self._connection, limits.max_series))
        self._pruning = Pruning(self._connection, file.path, limits)
        self._ready = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._waiting_bytes = 0
        self._is_closing = False
        self._is_failing = False
        self._is_damaged = False
        self._has_reported_defect = False
        self._thread = threading.Thread(target=self._run, name="console-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, work: Work) -> bool:
        """Enqueue a request, from any thread; False where there is no room."""
        with self._ready:
            is_full = self._waiting_bytes + work.size_bytes > MAX_QUEUE_BYTES and self._waiting
            if self._is_closing or is_full or len(self._waiting) >= MAX_QUEUE_REQUESTS:
                return False
            self._waiting.append(work)
            self._waiting_bytes += work.size_bytes
            self._ready.notify()
            return True

    def close(self) -> None:
        """Write what waits, end the thread and close the file."""
        with self._ready:
            self._is_closing = True
            self._ready.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._file.close()

    def _run(self) -> None:
        while True:
            works = self._take()
            if works:
                self._write(works)
            elif self._is_closing:
                return
            self._prune(is_idle=not works)

    def _take(self) -> list[Work]:
        """Return the next requests for one commit; none where none came for a while."""
        with self._ready:
            if not self._waiting and not self._is_closing:
                self._ready.wait(0 if self._pruning.has_more else _IDLE_SECONDS)
            works: list[Work] = []
            taken_bytes = 0
            while self._waiting and len(works) < _COMMIT_REQUESTS:
                if works and taken_bytes + self._waiting[0].size_bytes > _COMMIT_BYTES:
                    break
                works.append(self._waiting.popleft())
                taken_bytes += works[-1].size_bytes
            self._waiting_bytes -= taken_bytes
            return works

    def _write(self, works: list[Work]) -> None:
        """Write requests in one transaction; where that fails, each in one of its own."""
        prepared = [(work, self._prepare(work)) for work in works]
        batches = [(work, batch) for work, batch in prepared if isinstance(batch, Batch)]
        for work, outcome in prepared:
            if not isinstance(outcome, Batch):
                work.done(outcome)
        if not batches:
            return
        failed = self._commit([batch for _, batch in batches])
        for work, batch in batches:
            if failed is None:
                work.done(Stored(batch.refused, batch.reason))
            elif len(batches) == 1:
                work.done(failed)
            else:
                work.done(self._write_alone(work))

    def _write_alone(self, work: Work) -> Outcome:
        """Write one request of a commit that failed; it is read again, because the failed one may have changed its counts."""
        batch = self._prepare(work)
        if not isinstance(batch, Batch):
            return batch
        return self._commit([batch]) or Stored(batch.refused, batch.reason)

    def _prepare(self, work: Work) -> Batch | Outcome:
        try:
            return work.prepare()
        except MalformedError as error:
            return Malformed(str(error), error.is_too_large)
        except Exception as error:  # noqa: BLE001  one request must not end the thread
            self._report_defect(error)
            return Failed("the console failed to read the request")

    def _commit(self, batches: list[Batch]) -> Overloaded | Failed | None:
        """Store batches together and return None, or nothing of them and return why."""
        if not self._pruning.has_room():
            return Overloaded("the console deletes old telemetry to make room", _RETRY_SECONDS)
        if not self._file.is_in_place:
            self._report(
                f"{self._file.path} was deleted or replaced; telemetry is refused until it is back,"
                " or the console is started again"
            )
            return Overloaded("the console's file was deleted or replaced", _RETRY_SECONDS)
        now_s = int(self._unix_s())
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for batch in batches:
                self._inserts.add(batch, now_s)
            self._pruning.count(self._inserts.take_counts())
            self._inserts.store_last_ids()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._pruning.shrink()
            self._report_error("write to", error, "; telemetry is refused until that is over")
            return Overloaded("the console cannot write to its file", _RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001  as in `_prepare`
            self._roll_back()
            self._report_defect(error)
            return Failed("the console failed to store the request")
        if self._is_failing:
            self._is_failing = False
            self._print_line(f"writes to {self._file.path} again")
        return None

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._inserts.forget()
        except sqlite3.Error as error:
            self._report_error("read", error)

    def _prune(self, *, is_idle: bool) -> None:
        try:
            if self._pruning.run(int(self._unix_s()), is_idle=is_idle):
                self._inserts.forget_deleted()
        except sqlite3.Error as error:
            self._roll_back()
            self._report_error("delete old telemetry in", error)

    def _report_defect(self, error: Exception) -> None:
        """Print the first one: what sends such requests may send many."""
        if not self._has_reported_defect:
            self._has_reported_defect = True
            self._print_line(f"failed on a request, please report it: {type(error).__name__}: {error}")

    def _report_error(self, verb: str, error: sqlite3.Error, consequence: str = "") -> None:
        """Report what SQLite could not do. Of a damaged file parts may work: it is reported once, whatever goes on."""
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY not in _DAMAGED:
            self._report(f"cannot {verb} {self._file.path}: {error}{consequence}")
        elif not self._is_damaged:
            self._is_damaged = True
            self._print_line(
                f"{self._file.path} is damaged: {error}; a part of the telemetry may be refused and not be shown."
                " Stop the console and delete the file, or name another one with --data"
            )

    def _report(self, line: str) -> None:
        """Print the first of several failures in a row."""
        if not self._is_failing:
            self._is_failing = True
            self._print_line(line)
