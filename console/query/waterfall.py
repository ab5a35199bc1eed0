"""The order of a trace's spans: a parent, then its children by start, each with its depth.

Whatever parents the spans name, each span comes exactly once: a loop of parents is cut at its
earliest span.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from console.store.rows import Span


class Bar(NamedTuple):
    """One span in its place."""

    span: Span
    depth: int
    parent_missing: bool


_CLIENT = 3
_SERVER = 2


def waterfall(spans: Sequence[Span]) -> list[Bar]:
    """Return the spans in order; iterative, as a sender decides on the depth."""
    ordered = sorted(spans, key=lambda span: (span.start_ns, span.id))
    children: dict[int, list[Span]] = {}
    roots: list[tuple[Span, bool]] = []
    by_id: dict[str, list[Span]] = {}
    for span in ordered:
        by_id.setdefault(span.span_id, []).append(span)
    for span in ordered:
        parent = _parent(span, by_id)
        if parent is None:
            roots.append((span, span.parent_span_id is not None))
        else:
            children.setdefault(parent.id, []).append(span)
    bars: list[Bar] = []
    placed: set[int] = set()
    for root, parent_missing in roots:
        bars += _below(root, children, placed, parent_missing=parent_missing)
    for span in ordered:
        if span.id not in placed:
            bars += _below(span, children, placed, parent_missing=False)
    return bars


def _parent(span: Span, by_id: dict[str, list[Span]]) -> Span | None:
    """Return the parent; of a client and a server span that share an id, the server's parent is the client."""
    if span.parent_span_id is None and span.kind != _SERVER:
        return None
    shared = [each for each in by_id.get(span.span_id, ()) if each.kind == _CLIENT and each.id != span.id]
    if span.kind == _SERVER and shared:
        return shared[0]
    candidates = by_id.get(span.parent_span_id or "", ())
    # A span below a shared id belongs to the server's side of it.
    return max((each for each in candidates if each.id != span.id), key=lambda each: each.kind == _SERVER, default=None)


def _below(root: Span, children: dict[int, list[Span]], placed: set[int], *, parent_missing: bool) -> Iterator[Bar]:
    waiting = [(root, 0, parent_missing)]
    while waiting:
        span, depth, is_missing = waiting.pop()
        if span.id in placed:
            continue
        placed.add(span.id)
        yield Bar(span, depth, is_missing)
        waiting += [(child, depth + 1, False) for child in reversed(children.get(span.id, ()))]
