"""What the calls of each plan and key cost in a window: whole hours from their sums, the rest from the rows."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from console.query.times import SECOND
from console.query.view import View

HOUR_NS: Final = 3_600 * SECOND

_WHOLE_HOURS: Final = """
SELECT plan, key_id, sum(requests), total(cost_nanousd), total(input_tokens), total(output_tokens), total(cached_tokens)
FROM request_sums WHERE hour >= ? AND hour < ? GROUP BY plan, key_id
"""
_PART_OF_AN_HOUR: Final = """
SELECT coalesce(plan, ''), coalesce(key_id, ''), count(*), total(cost_nanousd),
  total(input_tokens), total(output_tokens), total(cached_tokens)
FROM requests INDEXED BY requests_by_time
WHERE time_ns >= ? AND time_ns < ? AND operation IS NOT NULL GROUP BY 1, 2
"""


class Caller(NamedTuple):
    """The calls of one key."""

    plan: str
    key_id: str
    requests: int
    cost_nanousd: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int


def read_callers(view: View, begin_ns: int, end_ns: int) -> list[Caller]:
    """Return the sums over begin <= time < end. The hour that is not over counts whole where the window ends now."""
    first, last = -(-begin_ns // HOUR_NS), end_ns // HOUR_NS
    if end_ns >= view.now_ns:
        last += 1
    if first >= last:
        return _rows(view, _PART_OF_AN_HOUR, begin_ns, end_ns)
    found = _rows(view, _WHOLE_HOURS, first, last)
    if begin_ns < first * HOUR_NS:
        found += _rows(view, _PART_OF_AN_HOUR, begin_ns, first * HOUR_NS)
    if last * HOUR_NS < end_ns:
        found += _rows(view, _PART_OF_AN_HOUR, last * HOUR_NS, end_ns)
    return _added(found)


def _rows(view: View, sql: str, low: int, high: int) -> list[Caller]:
    # `total` is a float, exact up to 2**53: `sum` fails where a sender's numbers add up to more than 64 bits.
    rows = view.connection.execute(sql, (low, high))
    return [Caller(plan, key_id, *map(int, numbers)) for plan, key_id, *numbers in rows]


def _added(callers: Iterable[Caller]) -> list[Caller]:
    """Return one row for each plan and key."""
    sums: dict[tuple[str, str], Caller] = {}
    for each in callers:
        known = sums.get(each[:2])
        numbers = each[2:] if known is None else tuple(map(sum, zip(known[2:], each[2:], strict=True)))
        sums[each[:2]] = Caller(each.plan, each.key_id, *numbers)
    return list(sums.values())
