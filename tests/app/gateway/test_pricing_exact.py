"""Money: exact, in whole nano-US-dollars, rounded half up once per attempt."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.pricing import price_of

PRICES = st.decimals(0, 1_000, places=6, allow_nan=False).map(float)
TOKENS = st.integers(0, 10_000_000)


@pytest.mark.parametrize(
    ("prices", "tokens", "cost"),
    [
        ((0.15, 0.6), (1, 0), 150),
        ((0.15, 0.6), (1_000_000, 1_000_000), 750_000_000),
        ((0.0005, 0.0), (1, 0), 1),
        ((0.0004, 0.0), (1, 0), 0),
        ((0.0005, 0.0), (3, 0), 2),
        ((1e-07, 0.0), (10_000_000, 0), 1_000),
        ((0.0, 0.0), (5, 5), 0),
    ],
)
def test_cost(prices, tokens, cost):
    assert price_of(*prices, 1.0).cost_nanousd(*tokens) == cost


@given(PRICES, PRICES, TOKENS, TOKENS)
def test_cost_equals_decimal_arithmetic(input_price, output_price, input_tokens, output_tokens):
    exact = (Decimal(repr(input_price)) * input_tokens + Decimal(repr(output_price)) * output_tokens) * 1_000
    price = price_of(input_price, output_price, 1.0)
    assert price.cost_nanousd(input_tokens, output_tokens) == exact.to_integral_value(ROUND_HALF_UP)


@given(st.integers(0, 10**12), st.decimals(0, 10, places=4, allow_nan=False).map(float))
def test_credits_are_the_cost_times_the_multiplier(cost, multiplier):
    exact = Decimal(repr(multiplier)) * cost
    assert price_of(1.0, 1.0, multiplier).credits_nanousd(cost) == exact.to_integral_value(ROUND_HALF_UP)
