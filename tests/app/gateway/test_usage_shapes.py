"""Usage in every shape in the field: what is read of it, and that it is merged over the chunks of a stream field by field."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.gateway.openai.chunks import StreamChunks
from app.gateway.openai.completion import read_response
from app.gateway.openai.response_shape import MOST_CHOICES
from app.gateway.openai.usage import ReportedUsage, UsageReader

DETAILS = {"prompt_tokens_details": {"cached_tokens": 9_800}}


def read(*usages):
    reader = UsageReader()
    for usage in usages:
        reader.add(msgspec.Raw(usage if isinstance(usage, bytes) else json.dumps(usage).encode()))
    return reader.read()


def counts(*usages):
    found = read(*usages) or ReportedUsage()
    return found.input_tokens, found.output_tokens, found.cached_tokens


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}, (10, 4, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 4.0}, (10, 4, 0)),
        ({"input_tokens": 10, "output_tokens": 4}, (10, 4, 0)),
        ({"prompt_tokens": None, "input_tokens": 10, "completion_tokens": None, "output_tokens": 4}, (10, 4, 0)),
        ({"prompt_tokens": "ten", "input_tokens": 10, "completion_tokens": 4}, (10, 4, 0)),
        # Cached input, by whatever name; it is part of the input but for Anthropic's.
        ({"prompt_tokens": 10_000, "completion_tokens": 10, **DETAILS}, (10_000, 10, 9_800)),
        ({"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": None}, (10, 4, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": []}, (10, 4, 0)),
        (
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 7, "prompt_cache_miss_tokens": 2, "completion_tokens": 1},
            (9, 1, 7),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 7}, (9, 1, 7)),
        ({"input_tokens": 9, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 7}}, (9, 1, 7)),
        (
            {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 5},
            (84, 1, 70),
        ),
        ({"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 0}, (9, 1, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 1, "cache_read_input_tokens": 70}, (100, 1, 70)),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "cache_read_input_tokens": 70, "total_tokens": 81},
            (80, 1, 70),
        ),
        # The total decides whether the input includes what was cached, whatever the fields are called.
        (
            {"input_tokens": 1_000, "cache_read_input_tokens": 900, "output_tokens": 5, "total_tokens": 1_005},
            (1_000, 5, 900),
        ),
        (
            {"input_tokens": 1_000, "cache_read_input_tokens": 900, "output_tokens": 5, "total_tokens": 1_905},
            (1_900, 5, 900),
        ),
        # With hidden reasoning, or without a count of the output.
        (
            {"input_tokens": 1_000, "cache_read_input_tokens": 900, "output_tokens": 5, "total_tokens": 1_305},
            (1_000, 305, 900),
        ),
        ({"input_tokens": 1_000, "cache_creation_input_tokens": 900, "total_tokens": 1_005}, (1_000, 5, 0)),
        # A total cannot include what is more than the input.
        (
            {"input_tokens": 200, "cache_read_input_tokens": 9_800, "output_tokens": 5, "total_tokens": 205},
            (10_000, 5, 9_800),
        ),
        # A 0 is as a field that is missing.
        (
            {"prompt_tokens": 0, "input_tokens": 200, "cache_read_input_tokens": 9_800, "output_tokens": 5},
            (10_000, 5, 9_800),
        ),
        (
            {
                "input_tokens": 200,
                "input_tokens_details": {"cached_tokens": 50},
                "cache_read_input_tokens": 0,
                "output_tokens": 5,
                "total_tokens": 205,
            },
            (200, 5, 50),
        ),
        (
            {
                "input_tokens": 200,
                "input_tokens_details": {"cached_tokens": 50},
                "cache_read_input_tokens": 0,
                "output_tokens": 5,
            },
            (200, 5, 50),
        ),
        (
            {"prompt_tokens": 0, "prompt_cache_hit_tokens": 7, "prompt_cache_miss_tokens": 2, "completion_tokens": 1},
            (9, 1, 7),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 20, "total_tokens": 30}, (10, 20, 0)),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 5,
                "total_tokens": 0,
                "completion_tokens_details": {"reasoning_tokens": 300},
            },
            (20, 305, 0),
        ),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 5,
                "total_tokens": 25,
                "reasoning_tokens": 0,
                "completion_tokens_details": {"reasoning_tokens": 300},
            },
            (20, 5, 0),
        ),
        # Reasoning that the output leaves out: the total has it, or its own count is larger than the output.
        ({"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553}, (20, 533, 0)),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 5,
                "total_tokens": 325,
                "completion_tokens_details": {"reasoning_tokens": 300},
            },
            (20, 305, 0),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 300}},
            (20, 305, 0),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 305, "completion_tokens_details": {"reasoning_tokens": 300}},
            (20, 305, 0),
        ),
        # A total that is smaller than its parts says nothing; one part can be told from the total and the other.
        ({"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 30}, (20, 151, 0)),
        ({"prompt_tokens": 20, "total_tokens": 30}, (20, 10, 0)),
        ({"completion_tokens": 20, "total_tokens": 30}, (10, 20, 0)),
        ({"total_tokens": 30}, (None, None, 0)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, 0)),
        (None, (None, None, 0)),
        ([], (None, None, 0)),
        ("many", (None, None, 0)),
        ({}, (None, None, 0)),
    ],
)
def test_what_is_read(usage, expected):
    assert counts(usage) == expected


@pytest.mark.parametrize("value", [-1, 1.5, "12", "many", True, [], {}, 10**30, -0.5])
@pytest.mark.parametrize(
    ("field", "count"),
    [
        ("prompt_tokens", "input"),
        ("completion_tokens", "output"),
        ("total_tokens", "total"),
        ("cache_read_input_tokens", "cached"),
    ],
)
def test_nonsense_is_ignored_and_named(field, count, value):
    found = read({"prompt_tokens": 10, "completion_tokens": 4} | {field: value})
    assert found.nonsense == {count}
    assert found.input_tokens == (None if field == "prompt_tokens" else 10)
    assert found.output_tokens == (None if field == "completion_tokens" else 4)


@pytest.mark.parametrize("number", [b"9" * 5_000, b"-" + b"9" * 5_000, b"1e400", b"1.5e400"])
def test_a_number_that_no_type_holds_is_nonsense(number):
    found = read(b'{"prompt_tokens": 10, "completion_tokens": ' + number + b"}")
    assert (found.input_tokens, found.output_tokens, found.nonsense) == (10, None, {"output"})


def test_more_cached_than_sent_is_nonsense():
    found = read({"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 11}})
    assert (found.input_tokens, found.cached_tokens, found.nonsense) == (10, 0, {"cached"})


def test_usage_of_absurd_size_is_not_read():
    assert read(b"[" + b"1," * 100_000 + b"1]").nonsense == {"total"}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        # Some send the prompt first and the completion last.
        ([{"prompt_tokens": 5_000, "completion_tokens": 0}, {"completion_tokens": 700}], (5_000, 700, 0)),
        ([{"prompt_tokens": 5_000}, {"prompt_tokens": None, "completion_tokens": 700}], (5_000, 700, 0)),
        ([{"prompt_tokens": 5_000}, {"prompt_tokens": 0, "completion_tokens": 700}], (5_000, 700, 0)),
        ([{"input_tokens": 25, "output_tokens": 1}, {"output_tokens": 15}], (25, 15, 0)),
        (
            [{"input_tokens": 25, "cache_read_input_tokens": 75, "output_tokens": 1}, {"output_tokens": 15}],
            (100, 15, 75),
        ),
        # Running totals: the last one stands, also where it is smaller.
        ([{"prompt_tokens": 9, "completion_tokens": each} for each in (1, 2, 7, 5)], (9, 5, 0)),
        ([{"prompt_tokens": 9, "completion_tokens": 7}, None, {}, {"prompt_tokens": "x"}], (9, 7, 0)),
        # A total is that of the counts beside it: it goes with them, and stays where it completes them.
        (
            [
                {"prompt_tokens": 50, "completion_tokens": 30, "total_tokens": 80},
                {"prompt_tokens": 50, "completion_tokens": 20},
            ],
            (50, 20, 0),
        ),
        ([{"prompt_tokens": 50, "total_tokens": 80}, {"prompt_tokens": 50, "completion_tokens": 20}], (50, 30, 0)),
        ([{"prompt_tokens": 50, "total_tokens": 80}, {"completion_tokens": 30}], (50, 30, 0)),
        (
            [DETAILS | {"prompt_tokens": 10_000}, {"completion_tokens": 3, "prompt_tokens_details": None}],
            (10_000, 3, 9_800),
        ),
    ],
)
def test_usage_over_several_chunks(usages, expected):
    assert counts(*usages) == expected


@pytest.mark.parametrize(
    ("beside", "of_choices", "expected"),
    [
        (None, {b"0": [{"prompt_tokens": 50, "completion_tokens": 7}]}, (50, 7, 0)),
        (
            None,
            {b"0": [{"prompt_tokens": 50, "completion_tokens": 30}], b"1": [{"prompt_tokens": 50, "completion_tokens": 40}]},
            (50, 70, 0),
        ),
        # Two responses of equal length, cut by the same limit.
        (None, {key: [{"prompt_tokens": 50, "completion_tokens": 8, "total_tokens": 58}] for key in (b"0", b"1", b"2")}, (50, 24, 0)),
        # Running totals of each; reasoning that only the totals hold.
        (None, {b"0": [{"completion_tokens": 1}, {"completion_tokens": 5}], b"1": [{"prompt_tokens": 50, "completion_tokens": 2}]}, (50, 7, 0)),
        (None, {key: [{"prompt_tokens": 50, "completion_tokens": 8, "total_tokens": 60}] for key in (b"0", b"1")}, (50, 20, 0)),
        # What stands beside the choices is the whole response's.
        (
            {"prompt_tokens": 50, "completion_tokens": 70},
            {b"0": [{"prompt_tokens": 50, "completion_tokens": 30}], b"1": [{"prompt_tokens": 50, "completion_tokens": 40}]},
            (50, 70, 0),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0}, {b"0": [{"prompt_tokens": 50, "completion_tokens": 7}]}, (50, 7, 0)),
        (None, {key: [{"prompt_tokens": 50, "completion_tokens": 8, "cached_tokens": 40}] for key in (b"0", b"1")}, (50, 16, 40)),
    ],
)  # fmt: skip
def test_usage_in_the_choices_is_that_of_each(beside, of_choices, expected):
    reader = UsageReader()
    for choice, usages in of_choices.items():
        for usage in usages:
            reader.add(msgspec.Raw(json.dumps(usage).encode()), choice)
    if beside is not None:
        reader.add(msgspec.Raw(json.dumps(beside).encode()))
    for _ in range(2):
        found = reader.read()
        assert (found.input_tokens, found.output_tokens, found.cached_tokens) == expected


def test_no_more_choices_are_read_than_the_api_has():
    reader = UsageReader()
    for index in range(1_000):
        reader.add(msgspec.Raw(b'{"prompt_tokens": 5, "completion_tokens": 1}'), b"%d" % index)
    assert reader.read().output_tokens == MOST_CHOICES


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_counts_the_output_of_each_choice(stream):
    choices = [
        {"index": index, "finish_reason": "stop", "usage": {"prompt_tokens": 5_000, "completion_tokens": count}}
        for index, count in enumerate((300, 400))
    ]
    if stream:
        chunks = StreamChunks(include_usage=False, choices=2, max_event_bytes=10_000)
        for choice in choices:
            document = json.dumps({"id": "c", "choices": [choice | {"delta": {"content": "Hi"}}]}).encode()
            assert b"usage" not in chunks.feed(b"data: " + document + b"\n\n")
        usage = chunks.usage.read()
    else:
        whole = [choice | {"message": {"content": "Hi"}} for choice in choices]
        usage = read_response(json.dumps({"id": "c", "choices": whole}).encode(), "chat").usage
    assert (usage.input_tokens, usage.output_tokens) == (5_000, 700)


COUNT = st.integers(0, 10**6)
DETAIL_OBJECT = st.dictionaries(
    st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens", "thinking_tokens"]),
    COUNT,
)
USAGE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            [
                "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "cached_tokens",
                "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cache_read_input_tokens",
                "cache_creation_input_tokens", "reasoning_tokens",
            ],
            COUNT,
        ),
        "prompt_tokens_details": DETAIL_OBJECT,
        "output_tokens_details": DETAIL_OBJECT,
        "cache_creation": st.fixed_dictionaries({"ephemeral_5m_input_tokens": COUNT, "ephemeral_1h_input_tokens": COUNT}),
        "cost": st.floats(0, 100),
        "is_byok": st.booleans(),
        "cost_details": st.fixed_dictionaries({"upstream_inference_cost": st.floats(0, 100)}),
    },
)  # fmt: skip


@settings(deadline=None)
@given(usage=USAGE, data=st.data(), nulls=st.booleans())
def test_usage_in_pieces_reads_as_in_one(usage, data, nulls):
    """Any split of the fields over any number of chunks, in any order, with nulls for the others or without them."""
    pieces = data.draw(st.integers(1, 5), "pieces")
    places = {name: data.draw(st.integers(0, pieces - 1), name) for name in usage}
    rest = dict.fromkeys(usage) if nulls else {}
    split = [rest | {name: usage[name] for name in usage if places[name] == piece} for piece in range(pieces)]
    assert read(*split) == read(usage)


@given(usage=USAGE, data=st.data())
def test_details_in_pieces_read_as_in_one(usage, data):
    """Nested objects may be split too: each chunk has some of their fields."""
    pieces = data.draw(st.integers(2, 4), "pieces")
    split = [{} for _ in range(pieces)]
    for name, value in usage.items():
        if isinstance(value, dict) and name != "cost_details":
            for inner, count in value.items():
                split[data.draw(st.integers(0, pieces - 1))].setdefault(name, {})[inner] = count
        else:
            split[data.draw(st.integers(0, pieces - 1))][name] = value
    assert read(*split) == read(usage)


@given(usage=USAGE)
def test_parts_are_never_larger_than_the_whole(usage):
    found = read(usage) or ReportedUsage()
    if found.input_tokens is not None:
        assert found.cached_tokens + found.cache_write_tokens <= found.input_tokens
        assert found.input_audio_tokens <= found.input_tokens
    if found.output_tokens is not None:
        assert found.hidden_tokens <= found.output_tokens
        assert found.reasoning_tokens <= found.output_tokens
        assert found.output_audio_tokens <= found.output_tokens
    assert found.long_cache_write_tokens <= found.cache_write_tokens


@pytest.mark.parametrize(
    ("usage", "nanousd"),
    [
        ({"cost": 0.00014}, 140_000),
        ({"cost": 0}, 0),
        ({"cost": 5e-10}, 1),
        ({"cost": 4e-10}, 0),
        ({"cost": 9_999.5}, 9_999_500_000_000),
        ({"cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}, 19_950_000_000),
        ({"cost": 0.95, "is_byok": False, "cost_details": {"upstream_inference_cost": 19}}, 950_000_000),
        ({"cost": 0.00014, "cost_details": {"upstream_inference_cost": 0.00014}}, 140_000),
        ({"cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 100_000_000),
        ({"cost": 0.1, "cost_details": {}}, 100_000_000),
        ({"cost": {"total_cost": 0.5, "request_cost": 0.4}}, 500_000_000),
        ({"cost": {"total_cost": None}}, None),
        ({"cost": {}}, None),
        ({"cost_in_usd_ticks": 2_709_000}, 270_900),
        ({"cost_in_usd_ticks": 4}, 0),
        ({"cost": 0.0002709, "cost_in_usd_ticks": 2_709_000}, 270_900),
        ({"estimated_cost": 2.68e-05}, 26_800),
    ],
)
def test_a_cost_is_read_exactly(usage, nanousd):
    found = read({"prompt_tokens": 10} | usage)
    assert (found.cost_nanousd, found.nonsense) == (nanousd, frozenset())


@pytest.mark.parametrize(
    "usage",
    [
        {"cost": -0.1},
        {"cost": "0.1"},
        {"cost": [0.1]},
        {"cost": True},
        {"cost": {"total_cost": "much"}},
        {"cost": 10_000.1},
        {"cost": 1e99},
        {"cost": 0.1, "cost_details": []},
        {"cost": 0.1, "cost_details": {"upstream_inference_cost": "19"}},
        {"cost_in_usd_ticks": -1},
        {"estimated_cost": "free"},
        b'{"prompt_tokens": 10, "cost": 1e400}',
    ],
)
def test_a_cost_that_cannot_be_is_none_and_named(usage):
    found = read(usage if isinstance(usage, bytes) else {"prompt_tokens": 10} | usage)
    assert (found.cost_nanousd, found.nonsense) == (None, {"cost"})


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["prompt_tokens", "total_tokens", "completion_tokens_details", "cached_tokens"]), inner, max_size=3),
                    max_leaves=12))  # fmt: skip
def test_nothing_that_a_provider_sends_as_usage_breaks_the_reading(usage):
    found = read(usage)
    for count in (found.input_tokens, found.output_tokens, found.cached_tokens) if found else ():
        assert count is None or count >= 0
