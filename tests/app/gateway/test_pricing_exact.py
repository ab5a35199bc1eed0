"""Money: exact, in whole nano-US-dollars, rounded half up once per attempt; every component, and rates by the length of the input."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.pricing import Price, Tokens, UsdRates, exact, price_of

PRICES = st.decimals(0, 1_000, places=6, allow_nan=False).map(float)
TOKENS = st.integers(0, 10_000_000)
COMPONENTS = {
    "input": 2.5,
    "cached_input": 0.25,
    "cache_write": 3.125,
    "cache_write_1h": 5.0,
    "output": 10.0,
    "reasoning": 12.0,
    "audio_input": 40.0,
    "audio_output": 80.0,
    "request": 0.005,
}


def rates(above_input_tokens=0, **usd):
    return UsdRates(**{name: exact(float(value)) for name, value in usd.items()}, above_input_tokens=above_input_tokens)


def flat(input_usd, output_usd):
    return price_of([rates(input=input_usd, output=output_usd)])


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
    assert flat(*prices).cost_nanousd(Tokens(*tokens)) == cost


@given(PRICES, PRICES, TOKENS, TOKENS)
def test_cost_equals_decimal_arithmetic(input_price, output_price, input_tokens, output_tokens):
    exactly = (Decimal(repr(input_price)) * input_tokens + Decimal(repr(output_price)) * output_tokens) * 1_000
    price = flat(input_price, output_price)
    assert price.cost_nanousd(Tokens(input_tokens, output_tokens)) == exactly.to_integral_value(ROUND_HALF_UP)


@given(st.integers(0, 10**12), st.decimals(0, 10, places=4, allow_nan=False).map(float))
def test_credits_are_the_cost_times_the_multiplier(cost, multiplier):
    exactly = Decimal(repr(multiplier)) * cost
    price = price_of([rates(input=1.0, output=1.0)], multiplier)
    assert price.credits_nanousd(cost) == exactly.to_integral_value(ROUND_HALF_UP)


def test_a_prompt_from_the_cache_costs_what_the_provider_bills():
    price = price_of([rates(input=1.25, cached_input=0.125, output=10)])
    # 1 x 1 250 + 27 146 x 125 + 351 x 10 000, in nano-US-dollars.
    assert price.cost_nanousd(Tokens(27_147, 351, cached_tokens=27_146)) == 6_904_500


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        (Tokens(), 5_000_000),
        (Tokens(1_000, 100), 5_000_000 + 1_000 * 2_500 + 100 * 10_000),
        (Tokens(1_000, 0, cached_tokens=400), 5_000_000 + 600 * 2_500 + 400 * 250),
        (Tokens(1_000, 0, cache_write_tokens=300), 5_000_000 + 700 * 2_500 + 300 * 3_125),
        (
            Tokens(1_000, 0, cache_write_tokens=300, long_cache_write_tokens=100),
            5_000_000 + 700 * 2_500 + 200 * 3_125 + 100 * 5_000,
        ),
        (Tokens(0, 100, reasoning_tokens=60), 5_000_000 + 40 * 10_000 + 60 * 12_000),
        (Tokens(1_000, 0, input_audio_tokens=500), 5_000_000 + 500 * 2_500 + 500 * 40_000),
        (Tokens(0, 100, output_audio_tokens=80), 5_000_000 + 20 * 10_000 + 80 * 80_000),
        # The same tokens may be counted as cached and as audio: they cost as cached ones, and none costs twice.
        (
            Tokens(1_000, 0, cached_tokens=800, input_audio_tokens=900),
            5_000_000 + 800 * 250 + 200 * 40_000,
        ),
        (
            Tokens(0, 100, reasoning_tokens=50, output_audio_tokens=80),
            5_000_000 + 50 * 12_000 + 50 * 80_000,
        ),
    ],
)
def test_every_component_has_its_price(tokens, cost):
    assert price_of([rates(**COMPONENTS)]).cost_nanousd(tokens) == cost


def test_a_component_without_a_price_costs_as_what_it_is_part_of():
    tokens = Tokens(1_000, 100, 200, 300, 50, 40, 10, 20)
    assert flat(2.5, 10.0).cost_nanousd(tokens) == 1_000 * 2_500 + 100 * 10_000
    hours = price_of([rates(input=1, output=0, cache_write=2)])
    assert hours.cost_nanousd(Tokens(10, 0, cache_write_tokens=10, long_cache_write_tokens=4)) == 20_000


@pytest.mark.parametrize(
    ("input_tokens", "cost"),
    [(200_000, 200_000 * 1_250 + 10_000), (200_001, 200_001 * 2_500 + 15_000), (500_001, 500_001 * 2_500 + 20_000)],
)
def test_the_length_of_the_input_chooses_the_rates_of_all_tokens(input_tokens, cost):
    price = price_of(
        [
            rates(input=1.25, output=10),
            rates(200_000, input=2.5, output=15),
            rates(500_000, input=2.5, output=20),
        ]
    )
    assert price.cost_nanousd(Tokens(input_tokens, 1)) == cost


def test_what_a_tier_leaves_out_is_as_in_the_first_rates():
    price = price_of([rates(input=1, cached_input=0.1, output=10), rates(100, input=2)])
    assert price.cost_nanousd(Tokens(200, 10, cached_tokens=50)) == 150 * 2_000 + 50 * 100 + 10 * 10_000


def test_without_rates_the_price_is_unknown():
    assert not price_of([]).is_known
    assert price_of([rates(input=0, output=0)]).is_known


DETAIL = st.integers(0, 1_000)


@given(
    st.fixed_dictionaries(dict.fromkeys(COMPONENTS, PRICES)),
    st.lists(DETAIL, min_size=6, max_size=6),
    TOKENS,
    TOKENS,
)
def test_a_cost_is_the_sum_of_its_parts(usd, details, more_input, more_output):
    cached, written, long_written, reasoning, heard, spoken = details
    long_written = min(long_written, written)
    tokens = Tokens(
        more_input + cached + written + heard,
        more_output + reasoning + spoken,
        cached, written, long_written, reasoning, heard, spoken,
    )  # fmt: skip
    counts = {
        "input": more_input, "cached_input": cached, "cache_write": written - long_written, "cache_write_1h": long_written,
        "audio_input": heard, "output": more_output, "reasoning": reasoning, "audio_output": spoken,
    }  # fmt: skip
    exactly = sum(Decimal(repr(usd[name])) * count * 1_000 for name, count in counts.items())
    exactly += Decimal(repr(usd["request"])) * 10**9
    assert price_of([rates(**usd)]).cost_nanousd(tokens) == exactly.to_integral_value(ROUND_HALF_UP)


def test_a_price_is_integers_alone():
    price = price_of([rates(**COMPONENTS), rates(1_000, input=1 / 3)], 1.5)
    numbers = [
        getattr(each, name) for each in (price.rates, *price.tiers) for name in (*COMPONENTS, "above_input_tokens")
    ]
    assert {type(number) for number in (*numbers, price.divisor)} == {int}
    assert isinstance(price, Price)
