"""PRICING: tokens to money, in whole nano-US-dollars.

Comes in: token counts and the prices of a configured route. Goes out: what the provider charges us and what the caller is charged, each
rounded half up once per attempt. No floats take part, so that sums over any number of calls are exact.
"""

from fractions import Fraction
from typing import Final

import msgspec

NANO_PER_MILLIONTH: Final = 1_000
"""Nano-US-dollars per token at a price of one US dollar per million tokens."""


class Price(msgspec.Struct, frozen=True):
    """The price of a route as integers: a call costs `(input * input_rate + output * output_rate) / divisor` nano-US-dollars.

    `multiplier_top / multiplier_bottom` turns our cost into the caller's charge.
    """

    input_rate: int = 0
    output_rate: int = 0
    divisor: int = 1
    multiplier_top: int = 1
    multiplier_bottom: int = 1

    def cost_nanousd(self, input_tokens: int, output_tokens: int) -> int:
        """Return what the provider charges us."""
        return _divide_half_up(input_tokens * self.input_rate + output_tokens * self.output_rate, self.divisor)

    def credits_nanousd(self, cost_nanousd: int) -> int:
        """Return what the caller is charged for a cost of ours."""
        return _divide_half_up(cost_nanousd * self.multiplier_top, self.multiplier_bottom)


def price_of(input_usd_per_million: float, output_usd_per_million: float, credit_multiplier: float) -> Price:
    """Build the price of a route from the decimal numbers that the configuration shows.

    A float is read through its shortest decimal form: 0.15 means 15/100, not the nearest binary fraction.
    """
    input_rate = Fraction(repr(input_usd_per_million)) * NANO_PER_MILLIONTH
    output_rate = Fraction(repr(output_usd_per_million)) * NANO_PER_MILLIONTH
    multiplier = Fraction(repr(credit_multiplier))
    divisor = input_rate.denominator * output_rate.denominator
    return Price(
        input_rate=int(input_rate * divisor),
        output_rate=int(output_rate * divisor),
        divisor=divisor,
        multiplier_top=multiplier.numerator,
        multiplier_bottom=multiplier.denominator,
    )


def _divide_half_up(top: int, bottom: int) -> int:
    """Divide non-negative integers, a remainder of one half or more rounding up."""
    return (2 * top + bottom) // (2 * bottom)
