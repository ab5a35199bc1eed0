"""The cost report."""

from typing import Literal, TypeAlias

from console.query.shapes.base import Bases, Shape, Window
from console.query.shapes.metrics import Chart

Period: TypeAlias = Literal["today", "month", "range"]
"""Days and months are those of UTC."""


class CostRow(Shape, frozen=True):
    """The cost of one provider, model, plan, key or source."""

    name: str
    cost_usd: float
    share: float | None
    """Of the total; None where the total is 0."""
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    requests: int | None
    """Upstream attempts for providers and models, HTTP requests for plans and keys."""


class CostBefore(Shape, frozen=True):
    """What the earlier window of the same length cost.

    Yesterday until the same time for today, the month before until the same time for a month, what
    precedes it for a range. A name that a table lacks cost nothing in that window.
    """

    window: Window
    total_usd: float | None
    """None where the console does not hold the counters of all of that window; then the next three are None too."""
    by_provider: dict[str, float] | None
    by_model: dict[str, float] | None
    by_source: dict[str, float] | None
    by_plan: dict[str, float] | None
    """None where the console does not hold the request lines of all of that window; so is `by_key`."""
    by_key: dict[str, float] | None


class CostReport(Shape, frozen=True):
    """GET /api/cost.

    By provider, model and source from counters, so failed attempts of failovers count where they
    were made. By plan and key from request lines, each of which has the cost of all its attempts.
    """

    period: Period
    window: Window
    total_usd: float | None
    requests_total_usd: float | None
    """The same total from request lines; a difference shows what one of the two sources lacks."""
    by_provider: list[CostRow]
    by_model: list[CostRow]
    by_source: list[CostRow]
    by_plan: list[CostRow]
    by_key: list[CostRow]
    cached_share: float | None
    """Of the input tokens, those read from a provider's cache."""
    unpriced_tokens: int | None
    unpriced_share: float | None
    """Of all tokens, those that no price is known for."""
    estimated_share: float | None
    """Of the cost, what is estimated."""
    exposure_usd: float | None
    """What abandoned work may cost beyond the total."""
    before: CostBefore
    chart: Chart | None
    """The cost of equal steps by provider; None where there is no cost.

    They add up to the total, less what was counted more than five minutes before the console first saw a series.
    """
    basis: Bases
