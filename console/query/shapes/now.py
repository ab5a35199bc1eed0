"""The screen Now and the groups of failures."""

from typing import Literal, TypeAlias

from console.query.shapes.base import Bases, Shape, Window

Kind: TypeAlias = Literal["provider", "model"]
Level: TypeAlias = Literal["red", "amber", "green", "unknown"]
FailureOrder: TypeAlias = Literal["count", "last_seen", "first_seen"]
"""By the larger of spans and counter, or by time, the newest first."""
BreakerState: TypeAlias = Literal["closed", "open", "half_open"]


class Health(Shape, frozen=True):
    """The score of a provider and its three terms: 0.4 x availability + 0.3 x (1 - error rate) + 0.3 x latency score."""

    score: float | None
    availability: float | None
    error_rate: float | None
    latency_score: float | None
    """Derived from the three other numbers, as the gateway does not send it; None where one of them is unknown."""


class Breaker(Shape, frozen=True):
    """The state of one circuit breaker."""

    provider: str
    model: str | None
    """None for the breaker of a whole provider."""
    state: BreakerState


class Cause(Shape, frozen=True):
    """One kind of failure in a window."""

    error_kind: str
    fault: str | None
    """The fault domain: caller, policy, provider, network or gateway; None for kinds that the gateway does not have."""
    count: float
    """Failed attempts, as the increase of the counter."""
    share: float | None
    """Of all attempts of the window, 0 to 1; None where there were none."""


class Errors(Shape, frozen=True):
    """Attempts of a window and how many of them failed."""

    attempts: float | None
    failed: float | None
    rate: float | None
    """failed / attempts; None without attempts."""
    by_cause: list[Cause]
    """The most frequent first."""


class Spark(Shape, frozen=True):
    """A small chart: equal steps, the last one ends now."""

    start: float
    step_seconds: float
    attempts: list[float | None]
    """Attempts in each step; None where nothing was received."""
    failed: list[float | None]


class FailingTrace(Shape, frozen=True):
    """The newest failed attempt that has a trace."""

    trace_id: str
    at: float
    provider: str | None
    model: str | None
    error_kind: str | None


class NowRow(Shape, frozen=True):
    """One provider or one model."""

    kind: Kind
    name: str
    level: Level
    reasons: list[str]
    """Why the level is not green, in words."""
    health: Health | None
    """Of a provider; None for a model."""
    uptime_24h: float | None
    """Of a model, 0 to 1; None for a provider."""
    breakers: list[Breaker]
    """A provider's own breaker first, then those of its models; a model's breakers at each provider."""
    errors: Errors
    p95_seconds: float | None
    """A provider's response time; the duration of a model's successful attempts."""
    ttft_p95_seconds: float | None
    attempts_per_minute: float | None
    usd_per_hour: float | None
    spark: Spark
    newest_failure: FailingTrace | None


class NowTotals(Shape, frozen=True):
    """The gateway as a whole."""

    requests_per_minute: float | None
    error_share: float | None
    """5xx of all HTTP requests."""
    p95_seconds: float | None
    in_progress: float | None
    usd_per_hour: float | None
    tokens_per_minute: float | None


class Now(Shape, frozen=True):
    """GET /api/now.

    Rows: red first, then amber, unknown, green; providers before models; those with an open circuit breaker; then
    by the share of attempts that fail by a fault of the provider or the network, in tenths; then by name. The first
    100 of this order.
    """

    at: float
    newest_sample: float | None
    """When the newest metric arrived; a page marks the numbers as old when this is far from `at`."""
    totals: NowTotals
    totals_before: NowTotals
    """Of the window of the same length before; None where the console does not hold all of it, and for `in_progress`."""
    rows: list[NowRow]
    left_out: dict[Level, int]
    """How many more there are of each level, which `find` can find; empty where `rows` are all."""
    basis: Bases


class FailureGroup(Shape, frozen=True):
    """Failed attempts that have provider, model and kind in common."""

    provider: str | None
    model: str | None
    error_kind: str | None
    """None: the span has status error and no `error.type`."""
    fault: str | None
    count: int
    """Retained spans of the window: less than what happened where traces are sampled."""
    counted: float | None
    """The same by the counter, which is not sampled; None where no gateway sent it."""
    first_seen: float | None
    """In the window; None where no span is retained."""
    last_seen: float | None
    example_trace_id: str | None
    """The newest one with a retained trace."""
    reason: str | None
    """What the provider wrote about the newest one, where the gateway logged it."""


class Failures(Shape, frozen=True):
    """GET /api/failures. In the order `sort`, the largest first; of equal groups the one seen last."""

    window: Window
    order: FailureOrder
    groups: list[FailureGroup]
    left_out: int
    """How many more groups there are."""
    truncated: bool
    """Some are left out, here or because there are thousands."""
    basis: Bases
