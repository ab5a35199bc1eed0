"""A usual response means the same whether it is read in one step or field by field, and a plain usage whether it is priced so."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.gateway.openai import completion, counted_usage
from app.gateway.openai.completion import read_response
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.plausible_usage import Delivered
from app.gateway.openai.request import parse_chat
from app.gateway.openai.usage_fields import RawDetails, RawUsage
from app.gateway.openai.usual_completion import read_usual_completion
from app.gateway.pricing import Price, Rates

USUAL = {
    "id": "c",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word é"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
TEXTS = st.none() | st.text(max_size=8) | st.sampled_from(["\ud83d", '"', [{"type": "text", "text": "part"}]])
OTHERS = st.sampled_from([None, "", 7, {}, [], {"message": "no"}, [{"function": {"name": "f", "arguments": "{}"}}]])
NAMES = st.none() | st.sampled_from(["", "x", 7])
COUNTS = st.sampled_from([None, 0, 3, 9, 12, 12.0, 2.5, -1, True, "3", 10**15, 10**16])
USAGES = st.dictionaries(st.sampled_from(RawUsage.__struct_fields__), COUNTS, max_size=3).flatmap(
    lambda more: st.builds(
        lambda details, name: USUAL["usage"] | more | ({} if name is None else {name: details}),
        st.dictionaries(
            st.sampled_from(RawDetails.__struct_fields__), st.sampled_from([None, 0, 0.0, 2, {}]), max_size=3
        ),
        st.none() | st.sampled_from([name for name in RawUsage.__struct_fields__ if name.endswith("_details")]),
    )
)
CHOICES = st.fixed_dictionaries(
    {
        "message": st.fixed_dictionaries(
            {"content": TEXTS},
            optional={
                "reasoning_content": TEXTS,
                "reasoning": TEXTS,
                "refusal": TEXTS,
                "tool_calls": OTHERS,
                "function_call": OTHERS,
                "error": OTHERS,
            },
        )
        | st.sampled_from([None, 7])
    },
    optional={
        "finish_reason": st.sampled_from([None, "", "length", "Error", 7]),
        "usage": st.sampled_from([None, {"completion_tokens": 3}]),
        "error": OTHERS,
        "logprobs": st.none() | st.just(float("nan")),
    },
)
RESPONSES = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES | st.none(), min_size=1, max_size=2) | st.none(), "usage": USAGES | st.none()},
    optional={
        "id": NAMES,
        "model": NAMES,
        "error": OTHERS,
        "x_groq": st.sampled_from([None, {"usage": {"prompt_tokens": 9}}]),
        "base_resp": st.sampled_from([None, {"status_code": 0}, {"status_code": 7}]),
    },
)


def read(body):
    try:
        found = read_response(body, "chat")
    except UpstreamFailure as failure:
        return failure.kind, failure.reason
    failure = found.failure and (found.failure.kind, str(found.failure))
    return (
        found.usage,
        found.output_units,
        found.choices,
        found.response_id,
        found.response_model,
        found.finish_reason,
        failure,
    )


@settings(max_examples=500, deadline=None)
@given(RESPONSES)
def test_both_ways_of_reading_agree(content):
    body = json.dumps(content).encode()
    in_one_step = read(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(completion, "read_usual_completion", lambda _body: None)
        assert read(body) == in_one_step


@pytest.mark.parametrize("name", RawUsage.__struct_fields__)
def test_a_further_count_is_not_plain(name):
    more = (
        {"cached_tokens": 3}
        if name.endswith("_details")
        else 5
        if "tokens" in name and name not in USUAL["usage"]
        else {}
    )
    body = USUAL | {"usage": USUAL["usage"] | {name: more}}
    assert read_usual_completion(json.dumps(body).encode()) is None


def test_text_and_a_plain_usage_are_usual():
    found = read_usual_completion(json.dumps(USUAL, ensure_ascii=False).encode())
    assert (found.units, found.reported.input_tokens, found.reported.output_tokens) == (23, 9, 3)
    details = {"prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": None}, "completion_tokens_details": None}
    assert read_usual_completion(json.dumps(USUAL | {"usage": USUAL["usage"] | details}).encode()) is not None
    unequal = read_usual_completion(json.dumps(USUAL | {"usage": USUAL["usage"] | {"total_tokens": 13}}).encode())
    assert unequal.reported is None
    assert read_usual_completion(b" " * 40_000 + json.dumps(USUAL).encode()) is None
    assert read_usual_completion(json.dumps(USUAL).encode("utf-16")) is None


@pytest.mark.parametrize(
    "price",
    [
        Price(rates=Rates(input=3, output=4, request=5), divisor=7, multiplier_top=3, multiplier_bottom=2),
        Price(rates=Rates(input=3), tiers=(Rates(input=5, above_input_tokens=5),), is_output_known=False),
    ],
)
def test_a_plain_usage_is_priced_as_every_other(price, monkeypatch):
    request = parse_chat(json.dumps({"model": "m", "messages": [{}]}).encode())
    reported = read_usual_completion(json.dumps(USUAL).encode()).reported
    delivered = Delivered(12, 1, 0.5)
    plain = counted_usage.counted_usage(reported, request, price, delivered, trusts_cost=True)
    monkeypatch.setattr(counted_usage, "is_plain", lambda *_: False)
    assert plain == counted_usage.counted_usage(reported, request, price, delivered, trusts_cost=True)
    assert plain.cost_nanousd > 0
