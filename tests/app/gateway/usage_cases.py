"""Usage in the shapes of the field, and what each costs: integers computed by hand, in nano-US-dollars.

Per token the model `acme/tiny` costs 2 000 of input, 200 cached, 2 500 written into the cache, 4 000 for an hour, 40 000 of
sound; and 8 000 of output, 10 000 of reasoning, 80 000 of sound. The prompt is estimated at 3 tokens, the whole response at
3 and the streamed one at 2.
"""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """One answer. `usages` are those of a stream: `alone` in a chunk without choices, `with` in one with, or in another place."""

    name: str
    usages: Any
    input: int
    output: int
    nano: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    heard: int = 0
    spoken: int = 0
    source: str = "priced"
    reported: int | None = None
    unpriced: int = 0
    disbelieved: tuple[str, ...] = ()
    model: str = "acme/tiny"
    is_stream: bool = False


def stream(name: str, chunks: list[tuple[str, Any]], *counts: int, **more: Any) -> Case:
    return Case(name, chunks, *counts, is_stream=True, **more)


PLAIN = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
INPUT_DETAILS, OUTPUT_DETAILS = "prompt_tokens_details", "completion_tokens_details"
CODEX = {
    "prompt_tokens": 27_147,
    INPUT_DETAILS: {"cached_tokens": 27_146, "audio_tokens": 0},
    "completion_tokens": 351,
    OUTPUT_DETAILS: {"reasoning_tokens": 320},
    "total_tokens": 27_498,
}
XAI = {
    "prompt_tokens": 198,
    INPUT_DETAILS: {"cached_tokens": 192, "text_tokens": 198},
    "completion_tokens": 1,
    OUTPUT_DETAILS: {"reasoning_tokens": 90},
    "total_tokens": 289,
    "cost_in_usd_ticks": 2_709_000,
}
ROUTED = PLAIN | {"cost": 0.00014, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.00014}}

WHOLE = [
    Case("OpenAI", PLAIN, 10, 4, 52_000),
    Case(
        "OpenAI, details of zeros",
        PLAIN
        | {
            INPUT_DETAILS: {"cached_tokens": 0, "audio_tokens": 0},
            OUTPUT_DETAILS: {"reasoning_tokens": 0, "audio_tokens": 0, "rejected_prediction_tokens": 0},
        },
        10,
        4,
        52_000,
    ),
    Case("OpenAI, details of null", PLAIN | {INPUT_DETAILS: None, OUTPUT_DETAILS: None}, 10, 4, 52_000),
    Case("OpenAI, empty details", PLAIN | {INPUT_DETAILS: {}, OUTPUT_DETAILS: {}}, 10, 4, 52_000),
    Case(
        "OpenAI, cached",
        {"prompt_tokens": 2_006, "completion_tokens": 300, INPUT_DETAILS: {"cached_tokens": 1_920}},
        2_006,
        300,
        2_956_000,
        cached=1_920,
    ),
    Case(
        "OpenAI, reasoning",
        {"prompt_tokens": 20, "completion_tokens": 305, OUTPUT_DETAILS: {"reasoning_tokens": 300}},
        20,
        305,
        3_080_000,
        reasoning=300,
    ),
    Case(
        "OpenAI, sound heard",
        {"prompt_tokens": 120, INPUT_DETAILS: {"audio_tokens": 100}, "completion_tokens": 10},
        120,
        10,
        4_120_000,
        heard=100,
    ),
    Case(
        "OpenAI, sound spoken",
        {"prompt_tokens": 10, "completion_tokens": 60, OUTPUT_DETAILS: {"audio_tokens": 50}},
        10,
        60,
        4_100_000,
        spoken=50,
    ),
    Case(
        "OpenAI, everything",
        {
            "prompt_tokens": 1_000,
            INPUT_DETAILS: {"cached_tokens": 400, "audio_tokens": 100},
            "completion_tokens": 200,
            OUTPUT_DETAILS: {"reasoning_tokens": 100, "audio_tokens": 50},
        },
        1_000,
        200,
        10_480_000,
        cached=400,
        heard=100,
        reasoning=100,
        spoken=50,
    ),
    Case("a prompt from the cache", CODEX, 27_147, 351, 6_904_500, cached=27_146, reasoning=320, model="acme/codex"),
    Case(
        "Responses, a prompt from the cache",
        {
            "input_tokens": 27_147,
            "input_tokens_details": {"cached_tokens": 27_146},
            "output_tokens": 351,
            "output_tokens_details": {"reasoning_tokens": 320},
            "total_tokens": 27_498,
        },
        27_147,
        351,
        6_904_500,
        cached=27_146,
        reasoning=320,
        model="acme/codex",
    ),
    Case(
        "Responses",
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 40},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
        },
        100,
        50,
        568_000,
        cached=40,
        reasoning=20,
    ),
    Case(
        "Realtime",
        {
            "input_tokens": 100,
            "input_token_details": {"cached_tokens": 40, "audio_tokens": 10, "text_tokens": 90},
            "output_tokens": 50,
            "output_token_details": {"audio_tokens": 30},
        },
        100,
        50,
        3_068_000,
        cached=40,
        heard=10,
        spoken=30,
    ),
    Case(
        "Anthropic",
        {"input_tokens": 9, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 5, "output_tokens": 1},
        84,
        1,
        52_500,
        cached=70,
        written=5,
    ),
    Case(
        "Anthropic, writes by lifetime",
        {
            "input_tokens": 9,
            "cache_creation_input_tokens": 50,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            "output_tokens": 1,
        },
        59,
        1,
        196_000,
        written=50,
    ),
    Case(
        "Anthropic, writes by lifetime alone",
        {
            "input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            "output_tokens": 1,
        },
        59,
        1,
        196_000,
        written=50,
    ),
    Case(
        "Anthropic, nothing cached",
        {"input_tokens": 9, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 1},
        9,
        1,
        26_000,
    ),
    Case(
        "Anthropic, nulls",
        {"input_tokens": 9, "cache_read_input_tokens": None, "cache_creation": None, "output_tokens": 1},
        9,
        1,
        26_000,
    ),
    Case(
        "Anthropic, thinking",
        {"input_tokens": 9, "output_tokens": 100, "output_tokens_details": {"thinking_tokens": 80}},
        9,
        100,
        978_000,
        reasoning=80,
    ),
    Case(
        "LiteLLM, input with the cached",
        {
            "prompt_tokens": 100,
            "completion_tokens": 1,
            "cache_read_input_tokens": 70,
            "cache_creation_input_tokens": 20,
            INPUT_DETAILS: {"cached_tokens": 70, "cache_creation_tokens": 20},
        },
        100,
        1,
        92_000,
        cached=70,
        written=20,
    ),
    Case(
        "input without the cached, by its total",
        {"prompt_tokens": 10, "cache_read_input_tokens": 70, "completion_tokens": 1, "total_tokens": 81},
        80,
        1,
        42_000,
        cached=70,
    ),
    Case(
        "DeepSeek",
        {
            "prompt_tokens": 124,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 60,
            "completion_tokens": 43,
            "total_tokens": 167,
            INPUT_DETAILS: {"cached_tokens": 64},
        },
        124,
        43,
        476_800,
        cached=64,
    ),
    Case(
        "DeepSeek, hits and misses alone",
        {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 60, "completion_tokens": 43},
        124,
        43,
        476_800,
        cached=64,
    ),
    Case(
        "DeepSeek, reasoning",
        {
            "prompt_tokens": 20,
            "prompt_cache_hit_tokens": 0,
            "prompt_cache_miss_tokens": 20,
            "completion_tokens": 100,
            OUTPUT_DETAILS: {"reasoning_tokens": 90},
        },
        20,
        100,
        1_020_000,
        reasoning=90,
    ),
    Case(
        "OpenRouter, whose figure is not trusted",
        {
            "prompt_tokens": 194,
            INPUT_DETAILS: {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
            "completion_tokens": 2,
            OUTPUT_DETAILS: {"reasoning_tokens": 0},
            "total_tokens": 196,
            "cost": 0.95,
            "cost_details": {"upstream_inference_cost": 19},
        },
        194,
        2,
        454_000,
        written=100,
        reported=19_950_000_000,
    ),
    Case("OpenRouter", ROUTED, 10, 4, 140_000, source="reported", reported=140_000, model="acme/trusting"),
    Case(
        "OpenRouter, a key of one's own",
        ROUTED | {"cost": 0.000007, "is_byok": True},
        10,
        4,
        147_000,
        source="reported",
        reported=147_000,
        model="acme/trusting",
    ),
    Case(
        "OpenRouter, a key of one's own without a fee",
        PLAIN | {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.00000445}},
        10,
        4,
        4_450,
        source="reported",
        reported=4_450,
        model="acme/trusting",
    ),
    Case("a reported 0 beside a price", PLAIN | {"cost": 0}, 10, 4, 52_000, reported=0, model="acme/trusting"),
    Case(
        "a reported 0 without a price", PLAIN | {"cost": 0}, 10, 4, 0, source="reported", reported=0, model="acme/free"
    ),
    Case("a figure without a price", ROUTED, 10, 4, 140_000, source="reported", reported=140_000, model="acme/free"),
    Case("a negative figure", PLAIN | {"cost": -1}, 10, 4, 52_000, disbelieved=("cost",), model="acme/trusting"),
    Case("a figure in text", PLAIN | {"cost": "0.1"}, 10, 4, 52_000, disbelieved=("cost",), model="acme/trusting"),
    Case("a figure of null", PLAIN | {"cost": None}, 10, 4, 52_000, model="acme/trusting"),
    Case("a figure of a billion", PLAIN | {"cost": 1e9}, 10, 4, 52_000, disbelieved=("cost",), model="acme/trusting"),
    Case(
        "half a nano-US-dollar", PLAIN | {"cost": 5e-10}, 10, 4, 1, source="reported", reported=1, model="acme/trusting"
    ),
    Case(
        "a figure with the digits of a float",
        PLAIN | {"cost": 0.00034500000000000004},
        10,
        4,
        345_000,
        source="reported",
        reported=345_000,
        model="acme/trusting",
    ),
    Case("xAI", XAI, 198, 91, 958_400, cached=192, reasoning=90, reported=270_900),
    Case(
        "xAI, trusted",
        XAI,
        198,
        91,
        270_900,
        cached=192,
        reasoning=90,
        source="reported",
        reported=270_900,
        model="acme/trusting",
    ),
    Case(
        "Perplexity",
        {
            "prompt_tokens": 108,
            "completion_tokens": 3_256,
            "total_tokens": 3_364,
            "citation_tokens": 7_299,
            "num_search_queries": 74,
            "reasoning_tokens": 73_248,
            "cost": {"input_tokens_cost": 0.0002, "request_cost": 0.37, "total_cost": 0.5},
        },
        108,
        76_504,
        500_000_000,
        reasoning=73_248,
        source="reported",
        reported=500_000_000,
        model="acme/trusting",
    ),
    Case(
        "DeepInfra",
        PLAIN | {"estimated_cost": 0.0000268},
        10,
        4,
        26_800,
        source="reported",
        reported=26_800,
        model="acme/trusting",
    ),
    Case(
        "Gemini, reasoning in the total",
        {"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553},
        20,
        533,
        5_068_000,
        reasoning=382,
    ),
    Case(
        "Gemini, reasoning in the total and in details",
        {
            "prompt_tokens": 20,
            "completion_tokens": 5,
            "total_tokens": 325,
            OUTPUT_DETAILS: {"reasoning_tokens": 300},
        },
        20,
        305,
        3_080_000,
        reasoning=300,
    ),
    Case("vLLM", PLAIN | {INPUT_DETAILS: {"cached_tokens": 8}}, 10, 4, 37_600, cached=8),
    Case("llama.cpp", PLAIN | {INPUT_DETAILS: {"cached_tokens": 6}}, 10, 4, 41_200, cached=6),
    Case("Moonshot", PLAIN | {"cached_tokens": 7}, 10, 4, 39_400, cached=7),
    Case("whole numbers as floats", {"prompt_tokens": 10.0, "completion_tokens": 4.0}, 10, 4, 52_000),
    Case("input and total", {"prompt_tokens": 10, "total_tokens": 14}, 10, 4, 52_000),
    Case("output and total", {"completion_tokens": 4, "total_tokens": 14}, 10, 4, 52_000),
    Case("a total alone", {"total_tokens": 14}, 3, 11, 94_000, source="estimated"),
    Case("no usage", ..., 3, 3, 30_000, source="estimated"),
    Case("usage of null", None, 3, 3, 30_000, source="estimated"),
    Case("usage without fields", {}, 3, 3, 30_000, source="estimated"),
    Case("usage that is a list", [], 3, 3, 30_000, source="estimated"),
    Case("usage of zeros", {"prompt_tokens": 0, "completion_tokens": 0}, 3, 3, 30_000, source="estimated"),
    Case(
        "input in text",
        {"prompt_tokens": "ten", "completion_tokens": 4},
        3,
        4,
        38_000,
        source="estimated",
        disbelieved=("input",),
    ),
    Case(
        "negative output",
        {"prompt_tokens": 10, "completion_tokens": -1},
        10,
        3,
        44_000,
        source="estimated",
        disbelieved=("output",),
    ),
    Case(
        "a billion tokens of output",
        {"prompt_tokens": 10, "completion_tokens": 10**9},
        10,
        3,
        44_000,
        source="estimated",
        disbelieved=("output",),
    ),
    Case("cached in text", PLAIN | {INPUT_DETAILS: {"cached_tokens": "9"}}, 10, 4, 52_000, disbelieved=("cached",)),
    Case("negative cached", PLAIN | {INPUT_DETAILS: {"cached_tokens": -9}}, 10, 4, 52_000, disbelieved=("cached",)),
    Case(
        "more cached than sent", PLAIN | {INPUT_DETAILS: {"cached_tokens": 11}}, 10, 4, 52_000, disbelieved=("cached",)
    ),
    Case(
        "more written than sent",
        PLAIN | {INPUT_DETAILS: {"cached_tokens": 8, "cache_write_tokens": 3}},
        10,
        4,
        37_600,
        cached=8,
        disbelieved=("cache_write",),
    ),
    Case(
        "more reasoning than output",
        PLAIN | {OUTPUT_DETAILS: {"reasoning_tokens": 300}},
        10,
        4,
        52_000,
        disbelieved=("reasoning",),
    ),
    Case(
        "more heard than sent",
        PLAIN | {INPUT_DETAILS: {"audio_tokens": 11}},
        10,
        4,
        52_000,
        disbelieved=("audio_input",),
    ),
    Case(
        "more spoken than made",
        PLAIN | {OUTPUT_DETAILS: {"audio_tokens": 5}},
        10,
        4,
        52_000,
        disbelieved=("audio_output",),
    ),
    Case("details that are no objects", PLAIN | {INPUT_DETAILS: [], OUTPUT_DETAILS: 7}, 10, 4, 52_000),
    Case("no price", PLAIN, 10, 4, 0, source="unpriced", unpriced=14, model="acme/unpriced"),
    Case("a price of input alone", PLAIN, 10, 4, 20_000, source="unpriced", unpriced=4, model="acme/half-priced"),
    Case("a price of 0", PLAIN, 10, 4, 0, model="acme/gift"),
    Case("a price per request", PLAIN, 10, 4, 5_014_000, model="acme/by-request"),
    Case(
        "a context up to the tier",
        {"prompt_tokens": 200_000, "completion_tokens": 1},
        200_000,
        1,
        250_010_000,
        model="acme/tiered",
    ),
    Case(
        "a context above the tier",
        {"prompt_tokens": 200_001, "completion_tokens": 1},
        200_001,
        1,
        500_017_500,
        model="acme/tiered",
    ),
    Case("embeddings", {"prompt_tokens": 6, "total_tokens": 6}, 6, 0, 120, model="acme/embed"),
    Case("embeddings, a total alone", {"total_tokens": 6}, 6, 0, 120, model="acme/embed"),
]
"""Responses that are not streamed."""

STREAMED = [
    stream("usage alone", [("alone", PLAIN)], 10, 4, 52_000),
    stream("usage beside the last choice", [("with", PLAIN)], 10, 4, 52_000),
    stream("nulls before", [("with", None), ("with", None), ("alone", PLAIN)], 10, 4, 52_000),
    stream("the first chunk alone", [("first", PLAIN)], 10, 4, 52_000),
    stream("input first, output last", [("first", {"prompt_tokens": 10}), ("alone", {"completion_tokens": 4})], 10, 4, 52_000),
    stream(
        "Anthropic, in two events",
        [
            ("first", {"input_tokens": 25, "cache_read_input_tokens": 75, "output_tokens": 1}),
            ("alone", {"output_tokens": 15}),
        ],
        100,
        15,
        185_000,
        cached=75,
    ),
    stream(
        "running counts",
        [("with", {"prompt_tokens": 10, "completion_tokens": each}) for each in (1, 2, 4)],
        10,
        4,
        52_000,
    ),
    stream(
        "details first, counts last",
        [("first", {INPUT_DETAILS: {"cached_tokens": 6}}), ("alone", PLAIN | {INPUT_DETAILS: None})],
        10,
        4,
        41_200,
        cached=6,
    ),
    stream(
        "counts first, details last",
        [("with", PLAIN), ("alone", {INPUT_DETAILS: {"cached_tokens": 6}})],
        10,
        4,
        41_200,
        cached=6,
    ),
    stream("zeros first", [("first", dict.fromkeys(PLAIN, 0)), ("alone", PLAIN)], 10, 4, 52_000),
    stream("zeros last", [("with", PLAIN), ("alone", dict.fromkeys(PLAIN, 0))], 10, 4, 52_000),
    stream("Groq", [("x_groq", PLAIN)], 10, 4, 52_000),
    stream("Moonshot, in a choice", [("choice", PLAIN | {"cached_tokens": 7})], 10, 4, 39_400, cached=7),
    stream(
        "a figure last",
        [("with", PLAIN), ("alone", {"cost": 0.00014})],
        10,
        4,
        140_000,
        source="reported",
        reported=140_000,
        model="acme/trusting",
    ),
    stream(
        "a growing figure",
        [("with", PLAIN | {"cost": 0.0001}), ("alone", PLAIN | {"cost": 0.00014})],
        10,
        4,
        140_000,
        source="reported",
        reported=140_000,
        model="acme/trusting",
    ),
    stream(
        "OpenRouter, a figure and its details in two events",
        [("with", PLAIN | {"cost": 0.000007, "is_byok": True}), ("alone", {"cost_details": {"upstream_inference_cost": 0.00014}})],
        10,
        4,
        147_000,
        source="reported",
        reported=147_000,
        model="acme/trusting",
    ),
    stream("nothing", [], 3, 2, 22_000, source="estimated"),
    stream(
        "nonsense, then a count",
        [("with", {"prompt_tokens": 10, "completion_tokens": "x"}), ("alone", PLAIN)],
        10,
        4,
        52_000,
        disbelieved=("output",),
    ),
    stream(
        "a prompt from the cache, streamed", [("alone", CODEX)], 27_147, 351, 6_904_500, cached=27_146, reasoning=320, model="acme/codex"
    ),
    stream("no price, streamed", [("alone", PLAIN)], 10, 4, 0, source="unpriced", unpriced=14, model="acme/unpriced"),
]  # fmt: skip
"""Responses that are streamed."""
