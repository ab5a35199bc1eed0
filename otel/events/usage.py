"""The tokens and the money of an attempt, as events carry them.

Money is in nano-US-dollars (int): sums are exact, and the metric equals the ledger.
"""

from typing import Final, Literal, TypeAlias

import msgspec

NANO: Final = 1_000_000_000
"""Nano-US-dollars in a US dollar."""

DisbelievedCount: TypeAlias = Literal[
    "input", "output", "total", "cached", "cache_write", "reasoning", "audio_input", "audio_output", "cost"
]
CostSource: TypeAlias = Literal[
    "reported",  # the provider's own figure
    "priced",  # the provider's tokens at the target's price
    "estimated",  # tokens that the gateway estimated, at the target's price
    "unpriced",  # no price is known for input, output or both: they count as 0
]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and money of one attempt, or of all attempts of a call.

    - `cached_tokens` (read from the provider's cache), `cache_write_tokens` and
      `input_audio_tokens` are part of `input_tokens`; `reasoning_tokens` and
      `output_audio_tokens` are part of `output_tokens`.
    - `estimated`: the provider reported no plausible usage, so the gateway estimated it.
    - `disbelieved` names the reported numbers that are impossible; for a whole call it is empty.
    - `cost_source` is None where nothing was used; for a call, the least certain of its attempts.
    - `reported_nanousd` is the provider's own figure, None without one; `priced_nanousd` is what
      the target's price makes of the tokens, None where it has none for them.
    - `unpriced_tokens` are input and output that no price is known for.
    - `exposure_nanousd` is what the provider may charge beyond the cost for work that was
      abandoned. It is in no cost and no credits.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    estimated: bool = False
    disbelieved: tuple[DisbelievedCount, ...] = ()
    cost_nanousd: int = 0
    credits_nanousd: int = 0
    cost_source: CostSource | None = None
    reported_nanousd: int | None = None
    priced_nanousd: int | None = None
    unpriced_tokens: int = 0
    exposure_nanousd: int = 0


NO_USAGE = Usage()


def has_details(usage: Usage) -> bool:
    """Whether there is more than input, output, credits and a cost from a known price, as few attempts have."""
    return bool(
        usage.cached_tokens
        or usage.cache_write_tokens
        or usage.reasoning_tokens
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or usage.estimated
        or usage.disbelieved
        or usage.unpriced_tokens
        or usage.exposure_nanousd
        or usage.reported_nanousd is not None
    )
