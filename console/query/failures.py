"""Failures: failed attempts that have provider, model and error kind in common."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from console.query.conditions import NEVER, any_of, every
from console.query.faults import fault_of
from console.query.growth import read_growth
from console.query.log_rows import fields_of
from console.query.shapes.base import Bases, Basis
from console.query.shapes.now import FailureGroup, Failures
from console.query.times import to_seconds
from console.query.view import View
from console.query.windows import covered_window
from console.store.read_logs import read_trace_logs
from otel.catalogue import causes, semconv

MAX_GROUPS: Final = 200
_MAX_REASONS: Final = 50
_LINES: Final = 100
_LOGGER: Final = "gatewayz.attempt"

_GROUPS: Final = """
SELECT provider, model, error_type, max(fault), count(*), min(start_ns), max(start_ns)
FROM spans INDEXED BY spans_failed
WHERE status_code = 2 AND start_ns >= ? AND start_ns < ? AND kind = 3 AND {condition}
GROUP BY provider, model, error_type ORDER BY max(start_ns) DESC LIMIT ?
"""
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


def read_failures(view: View, wanted: FailureFilter, *, begin_ns: int, end_ns: int) -> Failures:
    """Return the groups, the one seen last first; those without a retained span last."""
    services = any_of("resource_id", view.resource_ids(wanted.services)) or NEVER if wanted.services else None
    condition = every(
        any_of("provider", wanted.providers),
        any_of("model", wanted.models),
        any_of("error_type", wanted.error_kinds),
        services,
    )
    rows = view.connection.execute(
        _GROUPS.format(condition=condition.sql), (begin_ns, end_ns, *condition.values, MAX_GROUPS + 1)
    ).fetchall()
    counted = _counted(view, begin_ns, end_ns)
    groups = [_group(view, row, counted, with_reason=index < _MAX_REASONS) for index, row in enumerate(rows)]
    groups += _without_spans(groups, counted, wanted)
    return Failures(
        window=covered_window(view, "spans", begin_ns, end_ns),
        groups=groups[:MAX_GROUPS],
        truncated=len(groups) > MAX_GROUPS,
        basis=BASIS,
    )


def _counted(view: View, begin_ns: int, end_ns: int) -> dict[tuple[str, ...], float]:
    """Return the failures that the counter has, by provider, model and error kind."""
    sums: dict[tuple[str, ...], float] = {}
    for growth in read_growth(view, causes.ATTEMPT_FAILURES, (begin_ns, min(end_ns, view.now_ns))):
        key = tuple(growth.labels.get(name, "") for name in (semconv.PROVIDER, semconv.MODEL, semconv.ERROR_KIND))
        sums[key] = sums.get(key, 0.0) + sum(step for step in growth.steps if step is not None)
    return sums


def _without_spans(
    groups: Sequence[FailureGroup], counted: dict[tuple[str, ...], float], wanted: FailureFilter
) -> Iterator[FailureGroup]:
    """Yield what the counter has and no retained span: of traces that were not sampled. Counters are of all services."""
    if wanted.services:
        return
    known = {(group.provider, group.model, group.error_kind) for group in groups}
    filters = (wanted.providers, wanted.models, wanted.error_kinds)
    for key, count in sorted(counted.items(), key=lambda item: -item[1]):
        is_wanted = all(not values or value in values for values, value in zip(filters, key, strict=True))
        if count > 0 and key not in known and is_wanted:
            yield FailureGroup(
                provider=key[0],
                model=key[1],
                error_kind=key[2],
                fault=fault_of(key[2]),
                count=0,
                counted=count,
                first_seen=None,
                last_seen=None,
                example_trace_id=None,
                reason=None,
            )


def _group(
    view: View, row: tuple[Any, ...], counted: dict[tuple[str, ...], float], *, with_reason: bool
) -> FailureGroup:
    provider, model, kind, fault, count, first_ns, last_ns = row
    example = view.connection.execute(_EXAMPLE, (last_ns, provider, model, kind)).fetchone()
    trace_id = None if example is None else example[0].hex()
    return FailureGroup(
        provider=provider,
        model=model,
        error_kind=kind,
        fault=fault or fault_of(kind),
        count=count,
        counted=counted.get((provider, model, kind)),
        first_seen=to_seconds(first_ns),
        last_seen=to_seconds(last_ns),
        example_trace_id=trace_id,
        reason=_reason(view, trace_id, provider, kind) if with_reason and trace_id is not None else None,
    )


def _reason(view: View, trace_id: str, provider: str | None, kind: str | None) -> str | None:
    """Return what the provider wrote, from the line of the attempt."""
    for record in read_trace_logs(view.connection, trace_id, _LINES):
        fields = fields_of(record) if record.logger == _LOGGER else {}
        if fields.get("provider") == provider and fields.get("error_kind") == kind:
            reason = fields.get("reason")
            return reason if isinstance(reason, str) else None
    return None
