"""The figures of the gateway as a whole, now and in the window of the same length before."""

from collections.abc import Sequence
from typing import Final

from console.query.earlier import is_covered
from console.query.gauges import read_latest, sum_of
from console.query.growth import Growth, read_growth, total, total_by
from console.query.histogram_growth import distribution_quantile, read_histogram_growth
from console.query.shapes.now import NowTotals
from console.query.times import SECOND
from console.query.view import View
from otel.catalogue import http, inference, money, semconv

WINDOW_NS: Final = 300 * SECOND
COST_WINDOW_NS: Final = 600 * SECOND
MINUTE_NS: Final = 60 * SECOND
HOUR_NS: Final = 3_600 * SECOND
P95: Final = 0.95

_SERVER_ERROR: Final = "5"


def read_totals(view: View) -> NowTotals:
    """Return the figures of the windows that end now."""
    window = (view.now_ns - WINDOW_NS, view.now_ns)
    cost_window = (view.now_ns - COST_WINDOW_NS, view.now_ns)
    requests = read_growth(view, http.REQUESTS, window)
    tokens = read_growth(view, inference.TOKENS, window)
    cost = read_growth(view, money.COST, cost_window)
    return NowTotals(
        requests_per_minute=per(total(requests), requests, window, MINUTE_NS),
        error_share=_error_share(requests),
        p95_seconds=_p95(view, window),
        in_progress=sum_of(read_latest(view, http.REQUESTS_IN_PROGRESS)),
        usd_per_hour=per(total(cost), cost, cost_window, HOUR_NS),
        tokens_per_minute=per(total(tokens), tokens, window, MINUTE_NS),
    )


def read_totals_before(view: View) -> NowTotals:
    """Return the figures of the windows that end where those of `read_totals` begin.

    A figure is None where the console does not hold its whole window. So is `in_progress`, a latest value.
    """
    begin_ns = view.now_ns - 2 * WINDOW_NS
    window = (begin_ns, begin_ns + WINDOW_NS)
    requests = read_growth(view, http.REQUESTS, window)
    is_known = is_covered(view, http.REQUESTS, requests, begin_ns)
    return NowTotals(
        requests_per_minute=_rate(total(requests), WINDOW_NS, MINUTE_NS) if is_known else None,
        error_share=_error_share(requests) if is_known else None,
        p95_seconds=_p95(view, window) if is_known else None,
        in_progress=None,
        usd_per_hour=_rate_before(view, money.COST, COST_WINDOW_NS, HOUR_NS),
        tokens_per_minute=_rate_before(view, inference.TOKENS, WINDOW_NS, MINUTE_NS),
    )


def per(counted: float | None, growths: Sequence[Growth], window: tuple[int, int], unit_ns: int) -> float | None:
    """Return the count per unit of time, over the part of the window that is known."""
    if counted is None:
        return None
    begin_ns, end_ns = window
    since = min((growth.unknown_before_ns or growth.begun_ns or begin_ns for growth in growths), default=begin_ns)
    known_ns = end_ns - max(begin_ns, since)
    return counted * unit_ns / known_ns if known_ns > 0 else None


def _rate_before(view: View, name: str, length_ns: int, unit_ns: int) -> float | None:
    begin_ns = view.now_ns - 2 * length_ns
    growths = read_growth(view, name, (begin_ns, begin_ns + length_ns))
    return _rate(total(growths), length_ns, unit_ns) if is_covered(view, name, growths, begin_ns) else None


def _rate(counted: float | None, length_ns: int, unit_ns: int) -> float | None:
    return None if counted is None else counted * unit_ns / length_ns


def _error_share(requests: Sequence[Growth]) -> float | None:
    counted = total(requests)
    by_status = total_by(requests, semconv.STATUS_CODE)
    failed = sum(count for status, count in by_status.items() if status[:1] == _SERVER_ERROR)
    return failed / counted if counted else None


def _p95(view: View, window: tuple[int, int]) -> float | None:
    durations = read_histogram_growth(view, http.REQUEST_DURATION, *window)
    return distribution_quantile(P95, [each.distribution for each in durations])
