"""What the earlier window of the same length cost, for the comparison in the cost report."""

from collections.abc import Sequence
from typing import Literal

from console.query.callers import Caller, read_callers
from console.query.earlier import earlier_window, is_covered
from console.query.growth import Growth, read_growth, total, total_by
from console.query.shapes.base import Window
from console.query.shapes.cost import CostBefore, Period
from console.query.times import NANO, to_nano, to_seconds
from console.query.view import View
from console.query.windows import oldest_ns
from otel.catalogue import money, semconv


def read_cost_before(view: View, period: Period, begin_ns: int, end_ns: int) -> CostBefore:
    """Return the costs before a window that ends now at the latest; unknown where not all of them are held."""
    earlier_begin_ns, earlier_end_ns = earlier_window(period, begin_ns, end_ns)
    cost = read_growth(view, money.COST, (earlier_begin_ns, earlier_end_ns))
    whole = total(cost) if is_covered(view, money.COST, cost, earlier_begin_ns) else None
    oldest = oldest_ns(view, "requests")
    callers = None
    if oldest is not None and oldest <= earlier_begin_ns:
        callers = read_callers(view, earlier_begin_ns, earlier_end_ns)
    return CostBefore(
        window=Window(from_=to_seconds(earlier_begin_ns), to=to_seconds(earlier_end_ns), covered_from=None),
        total_usd=None if whole is None else to_nano(whole),
        by_provider=None if whole is None else _by_label(cost, semconv.PROVIDER),
        by_model=None if whole is None else _by_label(cost, semconv.MODEL),
        by_source=None if whole is None else _by_label(cost, semconv.COST_SOURCE),
        by_plan=None if callers is None else _by_caller(callers, "plan"),
        by_key=None if callers is None else _by_caller(callers, "key_id"),
    )


def _by_label(cost: Sequence[Growth], label: str) -> dict[str, float]:
    return {name: to_nano(amount) for name, amount in total_by(cost, label).items()}


def _by_caller(callers: Sequence[Caller], field: Literal["plan", "key_id"]) -> dict[str, float]:
    nano: dict[str, int] = {}
    for caller in callers:
        name = getattr(caller, field)
        nano[name] = nano.get(name, 0) + caller.cost_nanousd
    return {name: amount / NANO for name, amount in nano.items()}
