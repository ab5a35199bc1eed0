"""The cost report."""

from typing import Literal

from console.query.shapes.base import Bases, Shape, Window


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


class CostReport(Shape, frozen=True):
    """GET /api/cost.

    By provider, model and source from counters, so failed attempts of failovers count where they
    were made. By plan and key from request lines, each of which has the cost of all its attempts.
    """

    period: Literal["today", "month", "range"]
    """Days and months are those of UTC."""
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
    basis: Bases
