"""Where each number of the screen Now comes from."""

from typing import Final

from console.query.shapes.base import Bases, Basis
from otel.catalogue import causes, http, inference, money, providers

_MINUTES_5: Final = 300.0
_MINUTES_10: Final = 600.0
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0


def _p95(name: str, by: str) -> Basis:
    formula = f"histogram_quantile(0.95, sum by (le, {by}) (increase({name}_bucket[5m] anchored)))"
    return Basis(source=f"metric {name}", window_seconds=_MINUTES_5, formula=formula)


def _latest(name: str, formula: str = "") -> Basis:
    return Basis(
        source=f"metric {name}", window_seconds=None, formula=formula or f"latest {name}, not older than 5 minutes"
    )


BASIS: Final[Bases] = {
    "totals.requests_per_minute": Basis(
        source=f"metric {http.REQUESTS}",
        window_seconds=_MINUTES_5,
        formula="increase by the minutes of the window since counting began",
    ),
    "totals.error_share": Basis(
        source=f"metric {http.REQUESTS}", window_seconds=_MINUTES_5, formula='increase of status_code=~"5.." / increase'
    ),
    "totals.p95_seconds": Basis(
        source=f"metric {http.REQUEST_DURATION}",
        window_seconds=_MINUTES_5,
        formula=f"histogram_quantile(0.95, sum by (le) (increase({http.REQUEST_DURATION}_bucket[5m] anchored)))",
    ),
    "totals.in_progress": _latest(http.REQUESTS_IN_PROGRESS, f"sum({http.REQUESTS_IN_PROGRESS})"),
    "totals.usd_per_hour": Basis(
        source=f"metric {money.COST}",
        window_seconds=_MINUTES_10,
        formula="increase by the hours of the window since counting began",
    ),
    "totals.tokens_per_minute": Basis(
        source=f"metric {inference.TOKENS}",
        window_seconds=_MINUTES_5,
        formula="increase by the minutes of the window since counting began",
    ),
    "totals_before": Basis(
        source="the metrics of the totals",
        window_seconds=None,
        formula="the same over the window of the same length before; unknown where not all of it is held",
    ),
    "health.score": _latest(providers.HEALTH_SCORE, f"min by (provider) ({providers.HEALTH_SCORE})"),
    "health.availability": _latest(providers.AVAILABILITY),
    "health.error_rate": _latest(providers.ERROR_RATE),
    "health.latency_score": Basis(
        source="derived",
        window_seconds=_MINUTES_5,
        formula="(score - 0.4 x availability - 0.3 x (1 - error rate)) / 0.3",
    ),
    "uptime_24h": Basis(source=f"metric {inference.UPTIME}", window_seconds=_DAY, formula="latest, from the ledger"),
    "breakers": _latest(providers.BREAKER_STATE, "the state whose series is 1; of several gateways the worst"),
    "errors.attempts": Basis(
        source=f"metric {inference.REQUESTS}",
        window_seconds=_MINUTES_5,
        formula=f"increase({inference.REQUESTS}[5m] anchored), calls that clients left are not counted",
    ),
    "errors.failed": Basis(
        source=f"metric {inference.REQUESTS}",
        window_seconds=_MINUTES_5,
        formula=f'increase({inference.REQUESTS}{{status="error"}}[5m] anchored)',
    ),
    "errors.rate": Basis(source=f"metric {inference.REQUESTS}", window_seconds=_MINUTES_5, formula="failed / attempts"),
    "errors.by_cause": Basis(
        source=f"metric {causes.ATTEMPT_FAILURES}",
        window_seconds=_MINUTES_5,
        formula=f"sum by (error_kind) (increase({causes.ATTEMPT_FAILURES}[5m] anchored))",
    ),
    "p95_seconds": _p95(providers.RESPONSE_TIME, "provider"),
    "p95_seconds.model": _p95(inference.DURATION, "model"),
    "ttft_p95_seconds": _p95(inference.TIME_TO_FIRST_TOKEN, "provider"),
    "attempts_per_minute": Basis(
        source=f"metric {inference.REQUESTS}",
        window_seconds=_MINUTES_5,
        formula="increase by the minutes of the window since counting began",
    ),
    "usd_per_hour": Basis(
        source=f"metric {money.COST}",
        window_seconds=_MINUTES_10,
        formula="increase by the hours of the window since counting began",
    ),
    "spark": Basis(
        source=f"metric {inference.REQUESTS}",
        window_seconds=_HOUR,
        formula="increase of each step, without extrapolation: a minute, or more where there are thousands of series",
    ),
    "newest_failure": Basis(
        source="spans", window_seconds=_DAY, formula="newest client span with status error, of the newest 2000"
    ),
}
