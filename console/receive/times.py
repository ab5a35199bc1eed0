"""Times of telemetry, which may be missing, or larger than a column holds."""

from typing import Final

MAX_NS: Final = 2**63 - 1
"""In the year 2262."""


def is_storable(*times_ns: int) -> bool:
    """Whether each of these fixed64 values fits into SQLite's signed integers."""
    return all(each <= MAX_NS for each in times_ns)
