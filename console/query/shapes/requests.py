"""The request log."""

from console.query.shapes.base import Bases, Labels, Shape, Window


class RequestRow(Shape, frozen=True):
    """One HTTP request of the gateway, from its one log line."""

    id: str
    """Identifies the row in this console, and orders rows that arrived at once."""
    at: float
    """The end of the request."""
    trace_id: str | None
    service: str | None
    method: str | None
    path: str | None
    status: int | None
    outcome: str | None
    """ok, refused, error or cancelled."""
    duration_seconds: float | None
    overhead_seconds: float | None
    key_id: str | None
    plan: str | None
    operation: str | None
    model: str | None
    provider: str | None
    """The provider of the last attempt; None where the cache responded."""
    call_status: str | None
    error_kind: str | None
    limit_type: str | None
    cancel_phase: str | None
    stream: bool | None
    cached: bool | None
    attempts: int | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: bool | None
    cost_usd: float | None
    """Of all attempts of the request."""
    cost_source: str | None
    unpriced_tokens: int | None
    exposure_usd: float | None
    tags: Labels
    has_trace: bool
    """Whether at least one span of its trace is retained."""


class RequestPage(Shape, frozen=True):
    """GET /api/requests: the newest first."""

    window: Window
    rows: list[RequestRow]
    next_cursor: str | None
    """Pass it as `cursor` for the next older rows; None at the end."""
    searched_to: float | None
    """How far back the filters were applied. A page can have fewer rows than its limit, or none, and a cursor:
    the search stopped after many rows, and the cursor continues it."""
    basis: Bases


class Facet(Shape, frozen=True):
    """The values of one field that a filter can take."""

    field: str
    values: list[str]
    """Sorted."""
    truncated: bool


class Facets(Shape, frozen=True):
    """GET /api/facets."""

    facets: list[Facet]
