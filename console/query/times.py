"""Nanoseconds of the store, milliseconds of the series mathematics, seconds of the API; and its money."""

import math
from typing import Final

MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
SECOND: Final = 1_000_000_000
"""Nanoseconds in a second."""
NANO: Final = 1_000_000_000
"""Nano-US-dollars in a US dollar."""


def to_ms(unix_ns: int) -> int:
    """Return whole milliseconds, as Prometheus does with OTLP times."""
    return unix_ns // MS


def to_seconds(unix_ns: int) -> float:
    """Return seconds as a number of JSON; it is exact to a quarter of a microsecond."""
    return unix_ns / SECOND


def to_ns(unix_seconds: float) -> int:
    """Return nanoseconds."""
    return round(unix_seconds * SECOND)


def ceil_ms(unix_ns: int) -> int:
    """Return milliseconds, rounded up: what is after a whole millisecond stays after it."""
    return -(-unix_ns // MS)


def floor_to_ms(unix_ns: int) -> int:
    """Return the nanoseconds of the last whole millisecond."""
    return unix_ns // MS * MS


def to_nano(amount: float) -> float:
    """Return US dollars to the nano-dollar: differences of counters end in digits that floats made up."""
    nano = amount * NANO
    return round(nano) / NANO if math.isfinite(nano) else amount
