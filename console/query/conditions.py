"""SQL conditions from filters: values are always bound, and columns come from fixed tables."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec


class Condition(msgspec.Struct, frozen=True):
    """SQL that is true for the wanted rows, with its values."""

    sql: str
    values: tuple[Any, ...] = ()


def any_of(column: str, values: Sequence[Any]) -> Condition | None:
    """Return that a column has one of the values; None without values."""
    if not values:
        return None
    return Condition(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def between(expression: str, low: float | None, high: float | None) -> Condition | None:
    """Return that a number is within inclusive bounds, either of which may be missing; NULL never is."""
    parts = [(f"{expression} >= ?", low), (f"{expression} <= ?", high)]
    wanted = [(sql, bound) for sql, bound in parts if bound is not None]
    if not wanted:
        return None
    return Condition(" AND ".join(sql for sql, _ in wanted), tuple(bound for _, bound in wanted))


def either(*conditions: Condition | None) -> Condition | None:
    """Return that one of the conditions holds; None without conditions."""
    wanted = [condition for condition in conditions if condition is not None]
    if not wanted:
        return None
    values = tuple(value for condition in wanted for value in condition.values)
    return Condition(f"({' OR '.join(condition.sql for condition in wanted)})", values)


def every(*conditions: Condition | None) -> Condition:
    """Return that all conditions hold."""
    wanted = [condition for condition in conditions if condition is not None]
    if not wanted:
        return ALWAYS
    values = tuple(value for condition in wanted for value in condition.values)
    return Condition(" AND ".join(condition.sql for condition in wanted), values)


ALWAYS: Final = Condition("1")
"""Every row is wanted."""
NEVER: Final = Condition("? = 1", (0,))
"""No row is wanted. With a constant instead SQLite finds no plan for a query that names its index."""
