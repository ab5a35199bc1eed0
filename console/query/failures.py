"""Failures: failed attempts that have provider, model and error kind in common."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from console.query.conditions import NEVER, any_of, every
from console.query.faults import fault_of
from console.query.growth import read_growth
from console.query.log_rows import fields_of
from console.query.shapes.base import Bases, Basis
from console.query.shapes.now import FailureGroup, FailureOrder, Failures
from console.query.times import to_seconds
from console.query.view import View
from console.query.windows import covered_window
from console.store.read_logs import read_trace_logs
from otel.catalogue import causes, semconv

MAX_GROUPS: Final = 200
_MAX_READ: Final = 5_000
"""Groups of spans that are compared with the counter: a sender decides how many names there are."""
_MAX_REASONS: Final = 50
_LINES: Final = 100
_LOGGER: Final = "gatewayz.attempt"

_GROUPS: Final = """
SELECT provider, model, error_type, max(fault), count(*), min(start_ns), max(start_ns)
FROM spans INDEXED BY spans_failed
WHERE status_code = 2 AND start_ns >= ? AND start_ns < ? AND kind = 3 AND {condition}
GROUP BY provider, model, error_type ORDER BY {order} DESC LIMIT ?
"""
_ORDERS: Final[dict[FailureOrder, str]] = {
    "count": "count(*)",
    "last_seen": "max(start_ns)",
    "first_seen": "min(start_ns)",
}
_EXAMPLE: Final = """
SELECT trace_id FROM spans INDEXED BY spans_failed
WHERE status_code = 2 AND start_ns = ? AND kind = 3 AND provider IS ? AND model IS ? AND error_type IS ? LIMIT 1
"""

BASIS: Final[Bases] = {
    "count": Basis(
        source="client spans with status error",
        window_seconds=None,
        formula="retained ones of the window; fewer than counted where traces are sampled",
    ),
    "counted": Basis(
        source=f"metric {causes.ATTEMPT_FAILURES}",
        window_seconds=None,
        formula=f"increase({causes.ATTEMPT_FAILURES}[window] anchored); not sampled",
    ),
    "first_seen": Basis(
        source="client spans with status error", window_seconds=None, formula="in the response's window"
    ),
    "last_seen": Basis(
        source="client spans with status error", window_seconds=None, formula="in the response's window"
    ),
    "reason": Basis(source="lines of gatewayz.attempt", window_seconds=None, formula="of the example's trace"),
}


class FailureFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a failed span must be like; empty: anything."""

    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    error_kinds: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


def read_failures(
    view: View, wanted: FailureFilter, *, begin_ns: int, end_ns: int, order: FailureOrder = "count"
) -> Failures:
    """Return the groups, the most frequent first, or the one seen last or first seen last; those without a time last."""
    services = any_of("resource_id", view.resource_ids(wanted.services)) or NEVER if wanted.services else None
    condition = every(
        any_of("provider", wanted.providers),
        any_of("model", wanted.models),
        any_of("error_type", wanted.error_kinds),
        services,
    )
    rows = view.connection.execute(
        _GROUPS.format(condition=condition.sql, order=_ORDERS[order]),
        (begin_ns, end_ns, *condition.values, _MAX_READ),
    ).fetchall()
    counted = _counted(view, begin_ns, end_ns)
    found = [_Found._make((*row, counted.get(row[:3]))) for row in rows]
    found += _without_spans({row[:3] for row in rows}, counted, wanted)
    found.sort(key=_places(order), reverse=True)
    groups = [_group(view, each, with_reason=index < _MAX_REASONS) for index, each in enumerate(found[:MAX_GROUPS])]
    return Failures(
        window=covered_window(view, "spans", begin_ns, end_ns),
        order=order,
        groups=groups,
        left_out=max(0, len(found) - MAX_GROUPS),
        truncated=len(found) > MAX_GROUPS or len(rows) == _MAX_READ,
        basis=BASIS,
    )


class _Found(NamedTuple):
    """A group before its example is looked up."""

    provider: str | None
    model: str | None
    kind: str | None
    fault: str | None
    spans: int
    first_ns: int | None
    last_ns: int | None
    counted: float | None


def _places(order: FailureOrder) -> Callable[[_Found], tuple[float, ...]]:
    """Return what sorts groups, the largest first; of equal ones the one seen last."""

    def place(found: _Found) -> tuple[float, ...]:
        last_ns = found.last_ns or 0
        if order == "count":
            # The counter is behind the spans until the next push, the spans are fewer where traces are sampled.
            return max(found.spans, found.counted or 0.0), last_ns
        return (last_ns if order == "last_seen" else found.first_ns or 0), found.counted or 0.0

    return place


def _counted(view: View, begin_ns: int, end_ns: int) -> dict[tuple[str, ...], float]:
    """Return the failures that the counter has, by provider, model and error kind."""
    sums: dict[tuple[str, ...], float] = {}
    for growth in read_growth(view, causes.ATTEMPT_FAILURES, (begin_ns, min(end_ns, view.now_ns))):
        key = tuple(growth.labels.get(name, "") for name in (semconv.PROVIDER, semconv.MODEL, semconv.ERROR_KIND))
        sums[key] = sums.get(key, 0.0) + sum(step for step in growth.steps if step is not None)
    return sums


def _without_spans(
    known: set[tuple[Any, ...]], counted: dict[tuple[str, ...], float], wanted: FailureFilter
) -> Iterator[_Found]:
    """Yield what the counter has and no retained span: of traces that were not sampled. Counters are of all services."""
    if wanted.services or len(known) == _MAX_READ:
        return
    filters = (wanted.providers, wanted.models, wanted.error_kinds)
    for key, count in counted.items():
        is_wanted = all(not values or value in values for values, value in zip(filters, key, strict=True))
        if count > 0 and key not in known and is_wanted:
            provider, model, kind = key
            yield _Found(provider, model, kind, fault_of(kind), 0, None, None, count)


def _group(view: View, found: _Found, *, with_reason: bool) -> FailureGroup:
    trace_id = None
    if found.last_ns is not None:
        key = (found.last_ns, found.provider, found.model, found.kind)
        example = view.connection.execute(_EXAMPLE, key).fetchone()
        trace_id = None if example is None else example[0].hex()
    return FailureGroup(
        provider=found.provider,
        model=found.model,
        error_kind=found.kind,
        fault=found.fault or fault_of(found.kind),
        count=found.spans,
        counted=found.counted,
        first_seen=None if found.first_ns is None else to_seconds(found.first_ns),
        last_seen=None if found.last_ns is None else to_seconds(found.last_ns),
        example_trace_id=trace_id,
        reason=_reason(view, trace_id, found.provider, found.kind) if with_reason and trace_id is not None else None,
    )


def _reason(view: View, trace_id: str, provider: str | None, kind: str | None) -> str | None:
    """Return what the provider wrote, from the line of the attempt."""
    for record in read_trace_logs(view.connection, trace_id, _LINES):
        fields = fields_of(record) if record.logger == _LOGGER else {}
        if fields.get("provider") == provider and fields.get("error_kind") == kind:
            reason = fields.get("reason")
            return reason if isinstance(reason, str) else None
    return None
