"""Tokens to money, in whole nano-US-dollars.

Input: token counts and the prices of a configured route. Output: what the provider charges
the gateway and what the caller is charged, each rounded half up once per attempt. No floats take part, so that
sums over any number of calls are exact.
"""

import math
from fractions import Fraction
from typing import Final

import msgspec

NANO_PER_MILLIONTH: Final = 1_000
"""Nano-US-dollars per token at a price of one US dollar per million tokens."""


class Price(msgspec.Struct, frozen=True):
    """The price of a route as integers: a call costs the sum of its tokens times their rates, divided by `divisor`, in nano-US-dollars.

    `cached_rate` is for the part of the input that the provider had in its cache.
    `multiplier_top / multiplier_bottom` turns the gateway's cost into the caller's charge.
    """

    input_rate: int = 0
    cached_rate: int = 0
    output_rate: int = 0
    divisor: int = 1
    multiplier_top: int = 1
    multiplier_bottom: int = 1

    def cost_nanousd(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """Return what the provider charges; `cached_tokens` are part of `input_tokens`."""
        cost = (input_tokens - cached_tokens) * self.input_rate + cached_tokens * self.cached_rate
        return _divide_half_up(cost + output_tokens * self.output_rate, self.divisor)

    def credits_nanousd(self, cost_nanousd: int) -> int:
        """Return what the caller is charged for a cost of the gateway."""
        return _divide_half_up(cost_nanousd * self.multiplier_top, self.multiplier_bottom)


def price_of(
    input_usd_per_million: float,
    output_usd_per_million: float,
    credit_multiplier: float,
    *,
    cached_input_usd_per_million: float | None = None,
) -> Price:
    """Build the price of a route from the decimal numbers that the configuration shows; cached input costs as all input by default.

    A float is read through its shortest decimal form: 0.15 means 15/100, not the nearest binary
    fraction.
    """
    if cached_input_usd_per_million is None:
        cached_input_usd_per_million = input_usd_per_million
    rates = [
        Fraction(repr(usd)) * NANO_PER_MILLIONTH
        for usd in (input_usd_per_million, cached_input_usd_per_million, output_usd_per_million)
    ]
    multiplier = Fraction(repr(credit_multiplier))
    divisor = math.lcm(*(rate.denominator for rate in rates))
    input_rate, cached_rate, output_rate = (int(rate * divisor) for rate in rates)
    return Price(
        input_rate=input_rate,
        cached_rate=cached_rate,
        output_rate=output_rate,
        divisor=divisor,
        multiplier_top=multiplier.numerator,
        multiplier_bottom=multiplier.denominator,
    )


def _divide_half_up(top: int, bottom: int) -> int:
    """Divide non-negative integers, a remainder of one half or more rounding up."""
    return (2 * top + bottom) // (2 * bottom)
