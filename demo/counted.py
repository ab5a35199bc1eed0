"""Writes a count with its noun. The demo sees the gateway from outside, and shares no code with it."""


def counted(count: int, noun: str) -> str:
    """Return as in `1 request` and `1,000 requests`; the plural of `noun` ends in an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
