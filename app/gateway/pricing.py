"""Tokens to money, in whole nano-US-dollars.

Input: token counts and the price of a target. Output: what the provider charges the gateway and
what the caller is charged, each rounded half up once per attempt. No floats take part, and no fractions once
a price is built, so that sums over any number of calls are exact.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

NANO_PER_MILLIONTH: Final = 1_000
"""Nano-US-dollars per token at a price of one US dollar per million tokens."""

_NANO: Final = 1_000_000_000


class Tokens(msgspec.Struct, frozen=True):
    """What an attempt used. The details are parts of `input_tokens` or of `output_tokens`, as in `otel.events.usage.Usage`.

    `long_cache_write_tokens` are those of `cache_write_tokens` that stay in the cache for an hour,
    `cached_audio_tokens` those of `cached_tokens` that are `input_audio_tokens` too.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cached_audio_tokens: int = 0


class UsdRates(msgspec.Struct, frozen=True, kw_only=True):
    """Prices as decimal numbers: US dollars per million tokens, and per request. None costs as what it is part of.

    `above_input_tokens`: they hold for requests with more input than this; what is None there is as
    in the first rates.
    """

    input: Fraction | None = None
    cached_input: Fraction | None = None
    cache_write: Fraction | None = None
    cache_write_1h: Fraction | None = None
    output: Fraction | None = None
    reasoning: Fraction | None = None
    audio_input: Fraction | None = None
    audio_output: Fraction | None = None
    request: Fraction | None = None
    above_input_tokens: int = 0


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Integers: nano-US-dollars per token, and per request, times the price's `divisor`."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    request: int = 0
    above_input_tokens: int = 0
    is_flat: bool = True
    """Whether all input costs the same, and all output."""

    def cost(self, tokens: Tokens) -> int:
        """Return the sum of tokens times their rates."""
        cost = self.request + tokens.input_tokens * self.input + tokens.output_tokens * self.output
        if self.is_flat:
            return cost
        cached, written, long_written = tokens.cached_tokens, tokens.cache_write_tokens, tokens.long_cache_write_tokens
        # What a provider counts as cached and as audio may be the same tokens: they cost as cached ones.
        audio = min(tokens.input_audio_tokens - tokens.cached_audio_tokens, tokens.input_tokens - cached - written)
        spoken = min(tokens.output_audio_tokens, tokens.output_tokens - tokens.reasoning_tokens)
        return (
            cost
            + cached * (self.cached_input - self.input)
            + (written - long_written) * (self.cache_write - self.input)
            + long_written * (self.cache_write_1h - self.input)
            + audio * (self.audio_input - self.input)
            + tokens.reasoning_tokens * (self.reasoning - self.output)
            + spoken * (self.audio_output - self.output)
        )


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a target as integers: an attempt costs what its rates make of its tokens, divided by `divisor`, in nano-US-dollars.

    `tiers` are further rates by length of the input, the longest first. `is_input_known` and
    `is_output_known` are False where the target has no price for it: then it costs nothing.
    `multiplier_top / multiplier_bottom` turns the gateway's cost into the caller's charge.
    """

    rates: Rates = Rates()
    tiers: tuple[Rates, ...] = ()
    divisor: int = 1
    multiplier_top: int = 1
    multiplier_bottom: int = 1
    is_input_known: bool = True
    is_output_known: bool = True

    @property
    def is_known(self) -> bool:
        """Whether there is any price."""
        return self.is_input_known or self.is_output_known

    def unpriced_tokens(self, tokens: Tokens) -> int:
        """Return the tokens that no price is known for."""
        unpriced = 0 if self.is_input_known else tokens.input_tokens
        return unpriced if self.is_output_known else unpriced + tokens.output_tokens

    def cost_nanousd(self, tokens: Tokens) -> int:
        """Return what the provider charges for an attempt; its length of input chooses the rates of all its tokens."""
        rates = self.rates
        for tier in self.tiers:
            if tokens.input_tokens > tier.above_input_tokens:
                rates = tier
                break
        return _divide_half_up(rates.cost(tokens), self.divisor)

    def credits_nanousd(self, cost_nanousd: int) -> int:
        """Return what the caller is charged for a cost of the gateway."""
        return _divide_half_up(cost_nanousd * self.multiplier_top, self.multiplier_bottom)


def price_of(rates: Sequence[UsdRates], credit_multiplier: float = 1.0) -> Price:
    """Build a price of rates by length of input, the shortest first; what the first have no price for is unknown.

    A component that is None costs as the one that it is part of: cached input, cache writes and audio as input,
    reasoning and spoken output as output, and writes for an hour as other writes.
    """
    multiplier = exact(credit_multiplier)
    # A price per request alone is the whole price.
    is_by_request = bool(rates) and rates[0] == UsdRates(request=rates[0].request) != UsdRates()
    first = rates[0] if rates else UsdRates()
    filled = [_filled(each, first) for each in rates or (first,)]
    divisor = math.lcm(*(value.denominator for each in filled for value in each.values()))
    tiers = [
        _scaled(values, divisor, each.above_input_tokens)
        for values, each in zip(filled, rates or (first,), strict=True)
    ]
    return Price(
        rates=tiers[0],
        tiers=tuple(sorted(tiers[1:], key=lambda tier: -tier.above_input_tokens)),
        divisor=divisor,
        multiplier_top=multiplier.numerator,
        multiplier_bottom=multiplier.denominator,
        is_input_known=first.input is not None or is_by_request,
        is_output_known=first.output is not None or is_by_request,
    )


def exact(number: float) -> Fraction:
    """Return a number as the configuration shows it: 0.15 means 15/100, not the nearest binary fraction."""
    return Fraction(repr(number))


_WHOLE: Final[Mapping[str, str]] = {
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}
"""Which component another one is part of; in the order in which they are filled."""


def _filled(rates: UsdRates, first: UsdRates) -> dict[str, Fraction]:
    """Return every component in nano-US-dollars per token or request."""

    def given(name: str) -> Fraction | None:
        value: Fraction | None = getattr(rates, name)
        return value if value is not None else getattr(first, name)

    usd = {name: given(name) or Fraction(0) for name in ("input", "output", "request")}
    for name, whole in _WHOLE.items():
        value = given(name)
        usd[name] = usd[whole] if value is None else value
    return {name: value * (_NANO if name == "request" else NANO_PER_MILLIONTH) for name, value in usd.items()}


def _scaled(values: Mapping[str, Fraction], divisor: int, above_input_tokens: int) -> Rates:
    """Return rates as integers over a common divisor."""
    whole = {name: int(value * divisor) for name, value in values.items()}
    return Rates(
        **whole,
        above_input_tokens=above_input_tokens,
        is_flat=all(whole[name] == whole[parent] for name, parent in _WHOLE.items()),
    )


def _divide_half_up(top: int, bottom: int) -> int:
    """Divide non-negative integers, a remainder of one half or more rounding up."""
    return (2 * top + bottom) // (2 * bottom)
