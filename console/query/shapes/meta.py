"""What the page needs once, and access."""

from console.query.shapes.base import Shape


class Session(Shape, frozen=True):
    """GET /api/session. Readable without a session."""

    required: bool
    """Whether this console needs a token at all."""
    authenticated: bool
    """Whether this request may read the rest."""


class Limits(Shape, frozen=True):
    """What the store keeps at most, and the largest responses of the API."""

    max_bytes: int | None
    max_age_seconds: float | None
    page_rows: int
    """The largest `limit` of a page."""
    chart_values: int
    """The most values of a chart: times by series."""
    query_seconds: float


class Meta(Shape, frozen=True):
    """GET /api/meta: what the page needs once."""

    version: str
    now: float
    """The console's clock. Ranges end there, not at the browser's clock."""
    started: float
    services: list[str]
    """`service.name` of everything that sent telemetry, sorted."""
    oldest: float | None
    """The oldest retained span, log record or point."""
    newest: float | None
    limits: Limits
    grafana_url: str | None
    tempo_url: str | None
    otlp_url: str | None
    """Where this console receives OTLP over HTTP; None where that is not known."""
    not_for: str
    """One sentence on what the console is not."""
