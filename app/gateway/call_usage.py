"""The usage of a call: the sum over its attempts, each priced and rounded by itself."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from otel.events.usage import CostSource, Usage

_LEAST_CERTAIN_FIRST: Final[tuple[CostSource, ...]] = ("unpriced", "estimated", "priced", "reported")
_SUMMED: Final = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "cost_nanousd",
    "credits_nanousd",
    "unpriced_tokens",
    "exposure_nanousd",
)


def total_usage(usages: Sequence[Usage]) -> Usage:
    """Add up; a figure that no attempt has stays None."""
    sums: dict[str, Any] = {name: sum(getattr(usage, name) for usage in usages) for name in _SUMMED}
    sources = {usage.cost_source for usage in usages}
    return Usage(
        **sums,
        reported_nanousd=_known(usage.reported_nanousd for usage in usages),
        priced_nanousd=_known(usage.priced_nanousd for usage in usages),
        estimated=any(usage.estimated for usage in usages),
        cost_source=next((source for source in _LEAST_CERTAIN_FIRST if source in sources), None),
    )


def _known(figures: Iterable[int | None]) -> int | None:
    """Return the sum of the figures that there are."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None
