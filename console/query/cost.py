"""The cost report: by provider, model and source from counters, by plan and key from request lines."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from console.query.callers import Caller, read_callers
from console.query.cost_before import read_cost_before
from console.query.cost_chart import read_cost_chart
from console.query.growth import Growth, read_growth, total, total_by
from console.query.requests import usd
from console.query.shapes.base import Bases, Basis, Window
from console.query.shapes.cost import CostReport, CostRow, Period
from console.query.times import NANO, SECOND, to_nano, to_seconds
from console.query.view import View
from otel.catalogue import inference, money, semconv

MAX_ROWS: Final = 200


def _increase(name: str, by: str) -> Basis:
    return Basis(
        source=f"metric {name}",
        window_seconds=None,
        formula=f"sum by ({by}) (increase({name}[window] anchored)), a series that began in the window from 0",
    )


_LINES: Final = Basis(source="request log", window_seconds=None, formula="sum over the lines of the window")

BASIS: Final[Bases] = {
    "total_usd": _increase(money.COST, ""),
    "requests_total_usd": _LINES,
    "by_provider": _increase(money.COST, semconv.PROVIDER),
    "by_model": _increase(money.COST, semconv.MODEL),
    "by_source": _increase(money.COST, semconv.COST_SOURCE),
    "by_plan": _LINES,
    "by_key": _LINES,
    "cached_share": Basis(
        source=f"metrics {money.TOKEN_DETAILS}, {inference.TOKENS}",
        window_seconds=None,
        formula="cached input tokens / input tokens",
    ),
    "unpriced_tokens": _increase(money.UNPRICED_TOKENS, ""),
    "unpriced_share": Basis(
        source=f"metrics {money.UNPRICED_TOKENS}, {inference.TOKENS}",
        window_seconds=None,
        formula="tokens without a price / all tokens",
    ),
    "estimated_share": Basis(
        source=f"metric {money.COST}", window_seconds=None, formula='cost of cost_source="estimated" / total'
    ),
    "exposure_usd": _increase(money.EXPOSURE, ""),
    "before": Basis(
        source="the same metrics and request log",
        window_seconds=None,
        formula="the same over the window of the same length before; unknown where not all of it is held",
    ),
}


def period_window(period: Period, begin_ns: int, now_ns: int) -> tuple[int, int]:
    """Return the window of a period until now; `begin_ns` is that of `range`. Days and months are those of UTC."""
    if period == "range":
        return begin_ns, now_ns
    now = datetime.fromtimestamp(now_ns // SECOND, UTC)
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        begin = begin.replace(day=1)
    return int(begin.timestamp()) * SECOND, now_ns


class _Tokens(NamedTuple):
    """Sums of one provider or model."""

    input: float | None
    output: float | None
    cached: float | None


class _Counters:
    """What the counters of money and tokens counted in a window."""

    def __init__(self, view: View, begin_ns: int, end_ns: int) -> None:
        times = (begin_ns, min(end_ns, view.now_ns))
        self.cost = read_growth(view, money.COST, times)
        self.tokens = read_growth(view, inference.TOKENS, times)
        self.details = read_growth(view, money.TOKEN_DETAILS, times)
        self.attempts = read_growth(view, inference.REQUESTS, times)
        self.unpriced = read_growth(view, money.UNPRICED_TOKENS, times)
        self.exposure = read_growth(view, money.EXPOSURE, times)

    def rows(self, label: str) -> list[CostRow]:
        """Return the costs by one label, the largest first."""
        costs = total_by(self.cost, label)
        attempts = total_by(self.attempts, label)
        tokens = {kind: total_by(_only(self.tokens, semconv.TOKEN_TYPE, kind), label) for kind in semconv.TOKEN_TYPES}
        cached = total_by(_only(self.details, semconv.TOKEN_DETAIL, "cached"), label)
        whole = sum(costs.values())
        names = {name for name, cost in costs.items() if cost or attempts.get(name)}
        rows = [
            CostRow(
                name=name,
                cost_usd=to_nano(costs[name]),
                share=costs[name] / whole if whole else None,
                input_tokens=_rounded(tokens["input"].get(name)),
                output_tokens=_rounded(tokens["output"].get(name)),
                cached_tokens=_rounded(cached.get(name)),
                requests=_rounded(attempts.get(name)),
            )
            for name in names
        ]
        return _largest(rows)

    def by_source(self) -> list[CostRow]:
        """Return the costs by where the number comes from."""
        costs = total_by(self.cost, semconv.COST_SOURCE)
        whole = sum(costs.values())
        return _largest(
            [
                CostRow(
                    name=source,
                    cost_usd=to_nano(cost),
                    share=cost / whole if whole else None,
                    input_tokens=None,
                    output_tokens=None,
                    cached_tokens=None,
                    requests=None,
                )
                for source, cost in costs.items()
            ]
        )

    @property
    def covered_from_ns(self) -> int | None:
        """Since when all of the cost is known; None where it is from the start."""
        return max((growth.unknown_before_ns for growth in self.cost if growth.unknown_before_ns), default=None)


def read_cost(view: View, period: Period, *, begin_ns: int, end_ns: int) -> CostReport:
    """Return the report; `today` and `month` end at the view's now."""
    if period != "range":
        end_ns = view.now_ns
    counters = _Counters(view, begin_ns, end_ns)
    callers = read_callers(view, begin_ns, end_ns)
    whole = total(counters.cost)
    tokens = total(counters.tokens)
    inputs = total(_only(counters.tokens, semconv.TOKEN_TYPE, "input"))
    cached = total(_only(counters.details, semconv.TOKEN_DETAIL, "cached"))
    unpriced = total(counters.unpriced)
    estimated = total(_only(counters.cost, semconv.COST_SOURCE, "estimated"))
    exposure = total(counters.exposure)
    covered_ns = counters.covered_from_ns
    return CostReport(
        period=period,
        window=Window(
            from_=to_seconds(begin_ns),
            to=to_seconds(end_ns),
            covered_from=None if covered_ns is None else to_seconds(covered_ns),
        ),
        total_usd=None if whole is None else to_nano(whole),
        requests_total_usd=usd(sum(row.cost_nanousd for row in callers)) if callers else None,
        by_provider=counters.rows(semconv.PROVIDER),
        by_model=counters.rows(semconv.MODEL),
        by_source=counters.by_source(),
        by_plan=_by_caller(callers, "plan"),
        by_key=_by_caller(callers, "key_id"),
        cached_share=_share(cached, inputs),
        unpriced_tokens=_rounded(unpriced),
        unpriced_share=_share(unpriced, tokens),
        estimated_share=_share(estimated, whole),
        exposure_usd=None if exposure is None else to_nano(exposure),
        before=read_cost_before(view, period, begin_ns, min(end_ns, view.now_ns)),
        chart=read_cost_chart(view, begin_ns, min(end_ns, view.now_ns)),
        basis=BASIS,
    )


def _only(growths: Sequence[Growth], label: str, value: str) -> list[Growth]:
    return [growth for growth in growths if growth.labels.get(label) == value]


def _by_caller(callers: Sequence[Caller], field: Literal["plan", "key_id"]) -> list[CostRow]:
    """Return the sums by plan or key; calls without one are under the empty name."""
    groups: dict[str, list[Caller]] = {}
    for caller in callers:
        groups.setdefault(getattr(caller, field), []).append(caller)
    whole = sum(caller.cost_nanousd for caller in callers)
    return _largest(
        [
            CostRow(
                name=name,
                cost_usd=(cost := sum(each.cost_nanousd for each in members)) / NANO,
                share=cost / whole if whole else None,
                input_tokens=sum(each.input_tokens for each in members),
                output_tokens=sum(each.output_tokens for each in members),
                cached_tokens=sum(each.cached_tokens for each in members),
                requests=sum(each.requests for each in members),
            )
            for name, members in groups.items()
        ]
    )


def _largest(rows: list[CostRow]) -> list[CostRow]:
    rows.sort(key=lambda row: (-row.cost_usd, -(row.requests or 0), row.name))
    return rows[:MAX_ROWS]


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _rounded(count: float | None) -> int | None:
    return None if count is None or not math.isfinite(count) else round(count)
