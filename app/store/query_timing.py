"""Records one `QueryFinished` for each statement of an engine that succeeded, failed or was cancelled.

Statements that neither read nor change rows (PRAGMA, DDL, BEGIN, COMMIT) are not counted. Parameters
are not read, and no statement is changed.
"""

import re
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext

from otel.events import QueryFinished, Recorder

Operation: TypeAlias = Literal["select", "insert", "update", "delete"]

_OPERATIONS: dict[str, Operation] = {
    "select": "select",
    "values": "select",
    "insert": "insert",
    "replace": "insert",
    "update": "update",
    "delete": "delete",
}
_SKIPPED = r"\s+|--[^\n]*|/\*.*?\*/"
_FIRST_WORD = re.compile(rf"(?:{_SKIPPED}|\()*([A-Za-z]+)", re.DOTALL)
# The pieces of a WITH statement, to find its parentheses: those in quoted text and comments do not count.
_PIECES = re.compile(
    rf"""{_SKIPPED}|'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\$(\w*)\$.*?\$\1\$|(?P<word>[A-Za-z_]\w*)|(?P<other>.)""",
    re.DOTALL,
)


def classify(statement: str) -> Operation | None:
    """Return what a statement does to rows, None for one that is not a query.

    A `WITH` is classified by what follows its common table expressions; `INSERT … RETURNING` is an insert.
    """
    first = _FIRST_WORD.match(statement)
    if first is None:
        return None
    word = first[1].lower()
    return _main_operation(statement, first.end()) if word == "with" else _OPERATIONS.get(word)


def _main_operation(statement: str, start: int) -> Operation | None:
    depth = 0
    for piece in _PIECES.finditer(statement, start):
        if piece["other"] == "(":
            depth += 1
        elif piece["other"] == ")":
            depth -= 1
        elif depth <= 0 and piece["word"] and (operation := _OPERATIONS.get(piece["word"].lower())):
            return operation
    return None


def time_queries(engine: Engine, recorder: Recorder, monotonic: Callable[[], float]) -> None:
    """Record every statement that `engine` executes from now on; for an `AsyncEngine` give its `sync_engine`.

    The duration is that of the cursor's `execute` (with the async drivers: including the fetch), without waiting for a connection.
    """
    # The start lives on the execution context: each statement has its own, however connections are shared and cancelled.
    attribute = "gatewayz_query_started"

    def started(_conn: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _executemany: bool) -> None:
        setattr(context, attribute, monotonic())

    def finished(_conn: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _executemany: bool) -> None:
        record(statement, context, None)

    def failed(exception: ExceptionContext) -> None:
        if exception.execution_context is not None and exception.statement is not None:
            error_type = type(exception.original_exception).__name__
            record(exception.statement, exception.execution_context, error_type)

    def record(statement: str, context: Any, error_type: str | None) -> None:
        start = context.__dict__.pop(attribute, None)
        operation = classify(statement)
        if start is not None and operation is not None:
            duration_seconds = monotonic() - start
            recorder.record(
                QueryFinished(
                    operation=operation,
                    duration_seconds=duration_seconds,
                    database=engine.dialect.name,
                    error_type=error_type,
                )
            )

    event.listen(engine, "before_cursor_execute", started)
    event.listen(engine, "after_cursor_execute", finished)
    event.listen(engine, "handle_error", failed)
