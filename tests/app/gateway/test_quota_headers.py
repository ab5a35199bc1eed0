"""What rate-limit headers of the field are read as."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from app.gateway.quota_headers import read_quotas

SHAPES = {
    "OpenAI": (
        {
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-reset-requests": "8.64s",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-tokens": "1999890",
        },
        {"requests": (9_999, 10_000), "tokens": (1_999_890, 2_000_000)},
    ),
    "OpenAI, names in capitals": (
        {"X-RateLimit-Remaining-Requests": "7", "X-RateLimit-Limit-Requests": "9"},
        {"requests": (7, 9)},
    ),
    "Azure, without limits": (
        {"x-ratelimit-remaining-requests": "59", "x-ratelimit-remaining-tokens": "9000"},
        {"requests": (59, None), "tokens": (9_000, None)},
    ),
    "Anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "1000",
            "anthropic-ratelimit-requests-remaining": "999",
            "anthropic-ratelimit-requests-reset": "2025-08-21T12:40:59Z",
            "anthropic-ratelimit-tokens-limit": "96000",
            "anthropic-ratelimit-tokens-remaining": "95000",
            "anthropic-ratelimit-input-tokens-limit": "80000",
            "anthropic-ratelimit-input-tokens-remaining": "79000",
            "anthropic-ratelimit-output-tokens-limit": "16000",
            "anthropic-ratelimit-output-tokens-remaining": "0",
        },
        {
            "requests": (999, 1_000),
            "tokens": (95_000, 96_000),
            "input_tokens": (79_000, 80_000),
            "output_tokens": (0, 16_000),
        },
    ),
    "by day and by minute": (
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-remaining-requests-day": "14399",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-tokens-minute": "59000",
        },
        {"requests": (14_399, 14_400), "tokens": (59_000, 60_000)},
    ),
    "without a kind": ({"x-ratelimit-limit": "20", "x-ratelimit-remaining": "19"}, {"requests": (19, 20)}),
    "draft 03": ({"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "50"}, {"requests": (50, 100)}),
    "draft 07": ({"RateLimit": "limit=100, remaining=50, reset=5"}, {"requests": (50, 100)}),
    "draft 10": (
        {"RateLimit-Policy": '"default";q=100;w=10', "RateLimit": '"default";r=50;t=30'},
        {"requests": (50, 100)},
    ),
    "draft 10, the least that is left": (
        {"RateLimit-Policy": '"burst";q=100;w=60,"daily";q=1000;w=86400', "RateLimit": '"burst";r=90, "daily";r=12;t=9'},
        {"requests": (12, 1_000)},
    ),
    "draft 10, units": (
        {
            "RateLimit-Policy": '"a";q=5000;qu="tokens";w=60, "b";q=9;qu="content-bytes", "c";q=10;qu="requests"',
            "RateLimit": '"a";r=4000;pk=:cGs=:, "b";r=1, "c";r=3',
        },
        {"tokens": (4_000, 5_000), "requests": (3, 10)},
    ),
    "draft 10, without a policy": ({"RateLimit": '"default";r=5'}, {"requests": (5, None)}),
    "decimals": ({"x-ratelimit-remaining-requests": "99.0", "x-ratelimit-limit-requests": "100.0"}, {"requests": (99, 100)}),
    "no limit but text": (
        {"x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": "unlimited"},
        {"requests": (5, None)},
    ),
    "a limit below the rest": (
        {"x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": "0"},
        {"requests": (5, None)},
    ),
    "one kind is nonsense": (
        {"x-ratelimit-remaining-requests": "-1", "x-ratelimit-remaining-tokens": "8"},
        {"tokens": (8, None)},
    ),
    "nothing": ({"content-type": "application/json", "retry-after": "3"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_of_the_field(shape: str) -> None:
    headers, quotas = SHAPES[shape]
    assert read_quotas(CIMultiDict(headers)) == quotas


NONSENSE = [
    "",
    " ",
    "-1",
    "NaN",
    "inf",
    "1e9",
    "0x10",
    "12abc",
    "1.5",
    "9" * 16,
    "\u0661\u0662",
    "soon",
    "5 of 10",
    "true",
]


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize(
    "name", ["x-ratelimit-remaining-requests", "anthropic-ratelimit-tokens-remaining", "ratelimit-remaining"]
)
def test_nonsense_is_ignored(name: str, value: str) -> None:
    assert read_quotas(CIMultiDict({name: value})) == {}


@pytest.mark.parametrize(
    "field",
    ['"default";r=-5', '"default";r=1.5', '"default";r="5"x', "default;r=5", '"default"', '"default";t=5', "limit=5", '"'],
)  # fmt: skip
def test_a_structured_field_that_says_nothing(field: str) -> None:
    found = read_quotas(CIMultiDict({"ratelimit": field}))
    assert found in ({}, {"requests": (5, None)} if field == '"default";r="5"x' else {})


@given(
    st.dictionaries(
        st.sampled_from(["ratelimit", "ratelimit-policy", "ratelimit-limit", "x-ratelimit-remaining-tokens"]), st.text()
    )
)
def test_any_text_gives_counts_or_nothing(headers: dict[str, str]) -> None:
    for remaining, limit in read_quotas(CIMultiDict(headers)).values():
        assert 0 <= remaining < 10**15
        assert limit is None or remaining <= limit < 10**15


@pytest.mark.parametrize(
    "text", ['"a";' * 15_000, '"' * 60_000, "5" * 60_000, '"a"' + ";r=1" * 15_000, ' "a" ; ' * 9_000]
)
def test_a_long_field_takes_no_time(text: str) -> None:
    began = time.process_time()
    read_quotas(CIMultiDict({"ratelimit": text, "ratelimit-policy": text, "ratelimit-remaining": text}))
    assert time.process_time() - began < 0.1
