"""Lookups of spans and resources."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from console.store.read_budget import ReadBudget
from console.store.rows import Program, Resource, Span, SpanEvent, SpanLink
from console.store.values import decode

MAX_TRACE_SPANS: Final = 10_000
_SPAN: Final = """
SELECT s.id, s.trace_id, s.span_id, s.parent_span_id, s.kind, s.name, s.start_ns, s.duration_ns, s.status_code,
  s.status_message, s.trace_state, s.flags, s.attributes, s.dropped_attributes, s.dropped_events, s.dropped_links,
  s.resource_id, c.name, c.version
FROM spans s JOIN scopes c ON c.id = s.scope_id
"""


def read_trace(
    connection: sqlite3.Connection, trace_id: str, limit: int = MAX_TRACE_SPANS, budget: ReadBudget | None = None
) -> list[Span]:
    """Return the spans of a trace (32 hex digits) by start time, at most `limit`, those within the budget.

    Empty where it is unknown or no trace id.
    """
    try:
        key = bytes.fromhex(trace_id)
    except ValueError:
        return []
    rows = connection.execute(f"{_SPAN} WHERE s.trace_id = ? ORDER BY s.start_ns LIMIT ?", (key, limit))
    return _spans(connection, rows, budget or ReadBudget())


def read_spans(connection: sqlite3.Connection, ids: Iterable[int]) -> list[Span]:
    """Return spans by `spans.id`, those that exist."""
    found = (row for each in ids if (row := connection.execute(f"{_SPAN} WHERE s.id = ?", (each,)).fetchone()))
    return _spans(connection, found, ReadBudget())


def read_programs(connection: sqlite3.Connection) -> dict[int, Program]:
    """Return what all resources are called, by id."""
    rows = connection.execute(
        "SELECT id, service_name, service_version, service_instance, first_received_s FROM resources ORDER BY id"
    )
    return {row[0]: Program(*row) for row in rows}


def read_resource(connection: sqlite3.Connection, resource_id: int) -> Resource:
    """Return one resource; raises `LookupError` where it is unknown."""
    row = connection.execute(f"{_RESOURCE} WHERE id = ?", (resource_id,)).fetchone()
    if row is None:
        raise LookupError(f"no resource {resource_id}")
    return _resource(row)


_RESOURCE: Final = """
SELECT id, service_name, service_version, service_instance, attributes, schema_url, first_received_s, received_s
FROM resources
"""


def _resource(row: tuple[int, str | None, str | None, str | None, str, str, int, int]) -> Resource:
    return Resource(
        id=row[0],
        service_name=row[1],
        service_version=row[2],
        service_instance=row[3],
        attributes=decode(row[4]),
        schema_url=row[5],
        first_received_s=row[6],
        received_s=row[7],
    )


def _spans(connection: sqlite3.Connection, rows: Iterable[Any], budget: ReadBudget) -> list[Span]:
    """Return the spans of rows with the columns of `_SPAN`, each with what belongs to it."""
    resources: dict[int, Resource] = {}
    lengths: dict[int, int] = {}
    spans = []
    for row in budget.rows(rows):
        if row[16] not in resources:
            resources[row[16]] = read_resource(connection, row[16])
            lengths[row[16]] = _resource_chars(connection, row[16])
        # Each span of a response has the attributes of its resource.
        budget.take(lengths[row[16]])
        spans.append(
            Span(
                id=row[0],
                trace_id=row[1].hex(),
                span_id=row[2].hex(),
                parent_span_id=None if row[3] is None else row[3].hex(),
                kind=row[4],
                name=row[5],
                start_ns=row[6],
                duration_ns=row[7],
                status_code=row[8],
                status_message=row[9],
                trace_state=row[10],
                flags=row[11],
                attributes=decode(row[12]),
                dropped_attributes=row[13],
                dropped_events=row[14],
                dropped_links=row[15],
                events=_events(connection, row[0], budget),
                links=_links(connection, row[0], budget),
                resource=resources[row[16]],
                scope_name=row[17],
                scope_version=row[18],
            )
        )
    return spans


def _resource_chars(connection: sqlite3.Connection, resource_id: int) -> int:
    row = connection.execute("SELECT length(attributes) FROM resources WHERE id = ?", (resource_id,)).fetchone()
    return int(row[0])


def _events(connection: sqlite3.Connection, span: int, budget: ReadBudget) -> tuple[SpanEvent, ...]:
    rows = connection.execute(
        "SELECT time_ns, name, attributes, dropped_attributes FROM span_events WHERE span = ? ORDER BY position",
        (span,),
    )
    return tuple(
        SpanEvent(time_ns=time_ns, name=name, attributes=decode(attributes), dropped_attributes=dropped)
        for time_ns, name, attributes, dropped in budget.rows(rows)
    )


def _links(connection: sqlite3.Connection, span: int, budget: ReadBudget) -> tuple[SpanLink, ...]:
    rows = connection.execute(
        "SELECT trace_id, span_id, trace_state, attributes, dropped_attributes FROM span_links"
        " WHERE span = ? ORDER BY position",
        (span,),
    )
    return tuple(
        SpanLink(
            trace_id=trace_id.hex(),
            span_id=span_id.hex(),
            trace_state=trace_state,
            attributes=decode(attributes),
            dropped_attributes=dropped,
        )
        for trace_id, span_id, trace_state, attributes, dropped in budget.rows(rows)
    )
