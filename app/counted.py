"""Writes a count with its noun, in messages."""


def counted(count: float, noun: str) -> str:
    """Return as in `1 request` and `1,000 requests`; the plural of `noun` ends in an s."""
    return f"{count:,.0f} {noun}{'' if count == 1 else 's'}"
