"""Usage that cannot be is not believed, and every usage in earnest is: the bounds, and what the ledger, metric and log say of it."""

import json
import logging

import pytest

from app.gateway.openai.plausible_usage import Delivered, believe
from app.gateway.openai.request import parse_chat, parse_embeddings
from app.gateway.openai.usage import ReportedUsage

pytestmark = pytest.mark.live

FIVE_CHARACTERS = 15


def request(content="Say hello", **fields):
    return parse_chat(json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **fields}).encode())


def believed(input_tokens, output_tokens, *, made=None, seconds=0.01, choices=1, units=FIVE_CHARACTERS):
    found = believe(
        ReportedUsage(input_tokens=input_tokens, output_tokens=output_tokens),
        made or request(),
        Delivered(units, choices, seconds),
    )
    return found.input_tokens, found.output_tokens, found.disbelieved


IMAGE = [{"type": "image_url", "image_url": {"url": "https://host/a.png"}}]
VIDEO = [{"type": "video_url", "video_url": {"url": "https://host/hour.mp4"}}]

LEGITIMATE = [
    pytest.param(10, 5, {}, {}, id="ordinary"),
    pytest.param(10, 128_000, {}, {}, id="hidden reasoning, at once"),
    pytest.param(10, 60_000, {"max_completion_tokens": 100}, {}, id="reasoning that the limit does not bound"),
    pytest.param(10, 64_000, {"max_tokens": 64_000}, {}, id="as long as was asked for"),
    pytest.param(10, 8 * 128_000, {"n": 8}, {"choices": 8}, id="eight choices with reasoning"),
    pytest.param(10, 900_000, {}, {"seconds": 300.0}, id="minutes of work"),
    pytest.param(10, 300_000, {"max_tokens": 10}, {"units": 3 * 300_000}, id="a limit that the provider ignores"),
    pytest.param(190_000, 5, {}, {}, id="searches by the provider"),
    pytest.param(50_000, 5, {"content": IMAGE}, {}, id="an image"),
    pytest.param(1_900_000, 5, {"content": VIDEO}, {}, id="an hour of video by its address"),
    pytest.param(900_000, 5, {"tools": [{"type": "web_search"}]}, {}, id="tools of the provider"),
    pytest.param(1_000_000, 5, {"content": "x" * 1_000_000}, {}, id="a token for each byte"),
    pytest.param(9, 0, {}, {"units": 0}, id="no text and no output"),
]


@pytest.mark.parametrize(("input_tokens", "output_tokens", "fields", "delivered"), LEGITIMATE)
def test_usage_in_earnest_is_believed(input_tokens, output_tokens, fields, delivered):
    made = request(**fields)
    assert believed(input_tokens, output_tokens, made=made, **delivered) == (input_tokens, output_tokens, ())


@pytest.mark.parametrize(
    ("input_tokens", "output_tokens", "fields", "delivered", "doubts"),
    [
        (10, 999_999_999, {}, {}, ("output",)),
        (10, 999_999_999, {}, {"seconds": 600.0}, ("output",)),
        (10, 1_500_000, {"max_tokens": 1_000_000_000}, {}, ("output",)),
        (10, 250_000, {}, {}, ("output",)),
        (10, 100_000, {"max_tokens": 16}, {}, ("output",)),
        (10, 10_000_000, {"n": 1_000_000_000}, {}, ("output",)),
        (10, 8 * 128_000, {"n": 8}, {"choices": 1}, ("output",)),
        (999_999_999, 5, {}, {}, ("input",)),
        (250_000, 5, {}, {}, ("input",)),
        (3_000_000, 5, {"content": IMAGE}, {}, ("input",)),
        (999_999_999, 999_999_999, {"n": 1_000_000_000, "tools": []}, {"choices": 9_999}, ("input", "output")),
    ],
)
def test_what_cannot_be_is_not_believed(input_tokens, output_tokens, fields, delivered, doubts):
    found = believed(input_tokens, output_tokens, made=request(**fields), **delivered)
    expected = (None if "input" in doubts else input_tokens, None if "output" in doubts else output_tokens, doubts)
    assert found == expected


def test_a_total_at_fault_leaves_the_output_beside_it():
    reported = ReportedUsage(input_tokens=10, output_tokens=10**9, total_tokens=10**9 + 10, hidden_tokens=10**9 - 5)
    found = believe(reported, request(), Delivered(FIVE_CHARACTERS, 1, 0.1))
    assert (found.output_tokens, found.disbelieved) == (5, ("total",))


@pytest.mark.parametrize(("total", "tokens"), [(6, 6), (10**9, None)])
def test_the_total_of_embeddings_is_their_input(total, tokens):
    made = parse_embeddings(b'{"model":"m","input":"Say hello"}')
    found = believe(ReportedUsage(total_tokens=total), made, Delivered(0, 1, 0.1))
    assert (found.input_tokens, found.output_tokens) == (tokens, 0)


async def test_absurd_usage_costs_what_was_delivered(make_upstream, make_gateway, wire, caplog):
    """Five characters and a billion tokens: the caller keeps its budget, and the operator learns of it."""
    usage = {"prompt_tokens": 10, "completion_tokens": 999_999_999}

    async def script(exchange):
        if exchange.json.get("stream"):
            await exchange.stream(wire.chunk("Hello"), wire.chunk(finish="stop"), wire.usage_chunk(usage))
        else:
            await exchange.reply({**wire.completion, "usage": usage})

    gateway = await make_gateway(await make_upstream(script), limits=(None, 1_000))
    with caplog.at_level(logging.WARNING):
        assert (await gateway.chat()).status == 200
        assert (await gateway.stream())[-1] == b"[DONE]"
    recorded = await gateway.finished()
    assert [(row.input_tokens, row.output_tokens, row.usage_estimated) for row in recorded.rows] == [
        (10, 3, True),
        (10, 2, True),
    ]
    assert [attempt.usage.disbelieved for attempt in recorded.attempts] == [("output",)] * 2
    lines = [record for record in caplog.records if record.name == "gatewayz.usage"]
    assert [line.getMessage() for line in lines] == ["alpha reports implausible usage: output"] * 2
    assert lines[0].reported_output_tokens == 999_999_999
    # 18 of 1,000 tokens a minute are gone, not a week of them.
    assert (await gateway.chat()).status == 200


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"total_tokens": 50}, (3, 47, True)),
        ({"total_tokens": 2}, (2, 0, True)),
        ({"total_tokens": 10**9}, (3, 3, True)),
        ({"prompt_tokens": -1, "completion_tokens": 4}, (3, 4, True)),
        ({"prompt_tokens": 10, "completion_tokens": "4"}, (10, 3, True)),
    ],
)
async def test_what_is_counted_of_half_a_report(make_upstream, make_gateway, wire, usage, expected):
    gateway = await make_gateway(await make_upstream(lambda each: each.reply({**wire.completion, "usage": usage})))
    assert (await gateway.chat()).status == 200
    (row,) = (await gateway.finished()).rows
    assert (row.input_tokens, row.output_tokens, row.usage_estimated) == expected


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("place", ["choice", "x_groq", "split", "every chunk"])
async def test_usage_wherever_a_stream_puts_it(make_upstream, make_gateway, wire, place, asked):
    usage = {"prompt_tokens": 5_000, "completion_tokens": 700}
    last = wire.chunk(finish="stop")
    chunks = {
        "choice": [wire.chunk("Hel"), {**last, "choices": [{**last["choices"][0], "usage": usage}]}],
        "x_groq": [wire.chunk("Hel"), {**last, "x_groq": {"id": "r", "usage": usage}}],
        "split": [
            wire.chunk("Hel", usage={"prompt_tokens": 5_000, "completion_tokens": 0}),
            wire.chunk(finish="stop", usage={"completion_tokens": 700}),
        ],
        "every chunk": [wire.chunk("Hel", usage=None), {**last, "usage": usage}, wire.chunk(usage=None)],
    }[place]
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.stream(*chunks)))
    response = await gateway.chat(stream=True, **({"stream_options": {"include_usage": True}} if asked else {}))
    if asked:
        assert response.raw == wire.sse(*chunks, b"[DONE]")
    else:
        assert b"usage" not in response.raw
        assert b'"content": "Hel"' in response.raw
        assert (b'"x_groq":{"id":"r"}' in response.raw) == (place == "x_groq")
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.input_tokens, row.output_tokens, row.usage_estimated) == ("success", 5_000, 700, False)


async def test_cached_input_has_its_own_price(make_upstream, make_gateway, wire):
    usage = {"prompt_tokens": 10_000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 9_800}}
    upstream = await make_upstream(lambda exchange: exchange.reply({**wire.completion, "usage": usage}))
    model = wire.model_config("alpha", cached_input_usd_per_million=0.015)
    gateway = await make_gateway(upstream, models=[model])
    assert (await gateway.chat()).status == 200
    (row,) = (await gateway.finished()).rows
    # 200 tokens at 150 nano-USD, 9,800 at a tenth of it, and 10 of output at 600.
    assert (row.input_tokens, row.cost_nanousd) == (10_000, 200 * 150 + 9_800 * 15 + 10 * 600)
