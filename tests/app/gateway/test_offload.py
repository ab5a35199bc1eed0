"""Large JSON is read in a child process: with the same result, without holding others up, whatever becomes of that process."""

import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequestError
from app.gateway.capacity.offload import Offload, OffloadError
from app.gateway.json_bounds import INLINE_BYTES, is_light
from app.gateway.openai.completion import read_response
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.input_estimate import estimated_input_tokens
from app.gateway.openai.request import parse_chat
from app.gateway.openai.request_reading import read_request, summarize
from otel.events import CallFinished, ExceptionMapped

pytestmark = pytest.mark.live
CHAT = "/v1/chat/completions"


def chat_of(messages, model="acme/tiny"):
    return json.dumps({"model": model, "messages": messages}).encode()


MANY = [{"role": "user", "content": "one, two"}] * 12_000
HEAVY = chat_of(MANY)


def evaluated(expression):
    """Return bytes that `eval` takes and that are not light."""
    return expression + b" #" + b"," * INLINE_BYTES


@pytest.fixture
async def work():
    work = Offload()
    yield work
    await work.close()


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_request_of_many_messages_is_served_like_any_other(make_upstream, make_gateway, wire):
    async def script(exchange):
        await exchange.reply({"choices": [{"index": 0, "message": {"content": "y"}, "finish_reason": "stop"}]})

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    assert not is_light(HEAVY)
    assert (await gateway.post(CHAT, HEAVY)).status == 200
    assert upstream.exchanges[0].json == {"model": "alpha-tiny", "messages": MANY}
    # No usage was reported.
    assert (await gateway.finished()).of(CallFinished)[0].usage.input_tokens >= 24_000
    pids = gateway.gateway.offload.pids()
    assert set(pids) == {"requests"}
    await gateway.gateway.close()
    await wire.until(lambda: not is_running(pids["requests"]))


async def test_a_bad_request_of_many_messages_is_told_the_same(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    for body, param in (
        (chat_of([*MANY, 7]), "messages"),
        (HEAVY[:-1], None),
        (HEAVY.replace(b"acme/tiny", b""), "model"),
        (b'{"model":"acme/tiny",' + b",".join(b'"f%d":[1,2,3]' % number for number in range(30_000)) + b"}", None),
    ):
        response = await gateway.post(CHAT, body)
        assert (response.status, response.json["error"]["param"]) == (400, param)
    assert (await gateway.finished()).calls == []


async def test_others_are_served_while_a_large_request_is_read(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream())
    assert (await gateway.post(CHAT, HEAVY)).status == 200
    pid = gateway.gateway.offload.pids()["requests"]
    os.kill(pid, signal.SIGSTOP)
    try:
        heavy = asyncio.create_task(gateway.post(CHAT, HEAVY))
        await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 1)
        for _ in range(5):
            assert (await gateway.chat()).status == 200
        assert not heavy.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await heavy).status == 200


async def test_a_process_that_dies_is_replaced(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream())
    assert (await gateway.post(CHAT, HEAVY)).status == 200
    pid = gateway.gateway.offload.pids()["requests"]
    os.kill(pid, signal.SIGKILL)
    assert (await gateway.post(CHAT, HEAVY)).status == 200
    pid = gateway.gateway.offload.pids()["requests"]
    os.kill(pid, signal.SIGSTOP)
    heavy = asyncio.create_task(gateway.post(CHAT, HEAVY))
    await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 1)
    os.kill(pid, signal.SIGKILL)
    assert (await heavy).status == 200
    assert len((await gateway.finished()).calls) == 3


async def test_a_request_that_is_not_read_in_time_is_a_503(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), offload=Offload(deadline_seconds=1e-9))
    response = await gateway.post(CHAT, HEAVY)
    assert (response.status, response.json["error"]["code"], response.headers["retry-after"]) == (
        503,
        "overloaded",
        "1",
    )
    recorded = await gateway.finished()
    assert recorded.of(ExceptionMapped) == [ExceptionMapped(exception_type="OverloadedError")]
    assert (await gateway.chat()).status == 200


async def test_a_large_response_is_read_elsewhere_and_counted_the_same(make_upstream, make_gateway, wire):
    choice = {"index": 0, "message": {"content": "word, " * 10, "x": [[]] * 30}, "finish_reason": "stop"}
    response = {**wire.completion, "choices": [choice] * 2_000}

    async def script(exchange):
        await exchange.reply(response)

    gateway = await make_gateway(await make_upstream(script))
    assert not is_light(json.dumps(response).encode())
    received = await gateway.chat()
    assert received.json == response
    usage = (await gateway.finished()).of(CallFinished)[0].usage
    assert (usage.input_tokens, usage.output_tokens) == (10, 4)
    assert set(gateway.gateway.offload.pids()) == {"responses"}


async def test_a_large_response_that_is_none_leads_to_the_next_provider(make_upstream, make_gateway, wire):
    async def script(exchange):
        await exchange.reply(b'{"choices":[' + b"[]," * 200_000 + b"]")

    gateway = await make_gateway(await make_upstream(script), await make_upstream(name="beta"))
    response = await gateway.chat()
    assert (response.status, response.headers["x-gatewayz-provider"]) == (200, "beta")
    assert (await gateway.finished()).attempts[0].error_kind == "bad_response"


async def test_a_response_that_cannot_be_read_in_time_ends_in_a_503_and_one_attempt(make_upstream, make_gateway):
    async def script(exchange):
        await exchange.reply(b'{"choices":[' + b"[]," * 200_000 + b"{}]}")

    gateway = await make_gateway(await make_upstream(script), offload=Offload(deadline_seconds=1e-9))
    assert (await gateway.chat()).status == 503
    recorded = await gateway.finished()
    assert len(recorded.attempts) == len(recorded.calls) == 1


async def test_exceptions_come_back_whole(work):
    text = b'{"error":{"code":429,"x":[' + b"0," * 200_000 + b"0]}}"
    found = await work.run("responses", "key", read_response, text, "chat")
    assert found.failure.kind == "rate_limited"
    assert found.failure.__dict__ == read_response(text, "chat").failure.__dict__
    with pytest.raises(UpstreamFailure) as caught:
        await work.run("responses", "key", read_response, text[:-1], "chat")
    with pytest.raises(UpstreamFailure) as inline:
        read_response(text[:-1], "chat")
    assert caught.value.__dict__ == inline.value.__dict__
    with pytest.raises(InvalidRequestError) as refused:
        await work.run("requests", "key", summarize, HEAVY[:-1], "chat")
    assert "ends too early" in refused.value.message
    with pytest.raises(ZeroDivisionError):
        await work.run("responses", "key", eval, evaluated(b"1 / 0"))


async def test_a_refused_body_is_let_go_of_at_once(work):
    """The exception is in no cycle with the frames that hold the body; else bodies of many megabytes add up until garbage is collected."""
    body = bytes(bytearray(HEAVY[:-1]))
    references = sys.getrefcount(body)
    gc.disable()
    try:
        for _ in range(3):
            try:
                await read_request(body, "chat", work, owner="key")
            except InvalidRequestError:
                continue
            raise AssertionError("the body was not refused")
        assert sys.getrefcount(body) == references
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("expression", "reason"), [(b"'x' * (1 << 30)", "memory"), (b"__import__('os')._exit(3)", "died")]
)
async def test_what_needs_too_much_or_kills_its_process_is_given_up(work, expression, reason):
    with pytest.raises(OffloadError) as caught:
        await work.run("requests", "key", eval, evaluated(expression))
    assert caught.value.reason == reason
    assert await work.run("requests", "key", eval, evaluated(b"6 * 7")) == 42


async def test_who_stops_waiting_leaves_no_half_exchange(work, wire):
    for _ in range(3):
        waiting = asyncio.create_task(work.run("requests", "key", eval, evaluated(b"__import__('time').sleep(600)")))
        await wire.until(lambda: "requests" in work.pids(), "the process")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await work.run("requests", "key", eval, evaluated(b"6 * 7")) == 42


async def test_work_that_outlives_the_gateway_starts_no_process_again(work, wire):
    waiting = asyncio.create_task(work.run("requests", "key", eval, evaluated(b"__import__('time').sleep(600)")))
    await wire.until(lambda: "requests" in work.pids(), "the process")
    await work.close()
    with pytest.raises(OffloadError):
        await waiting
    assert work.pids() == {}


async def test_an_idle_process_ends_and_comes_back(wire):
    work = Offload(idle_seconds=0.01)
    for _ in range(2):
        assert await work.run("requests", "key", eval, evaluated(b"6 * 7")) == 42
        await wire.until(lambda: not work.pids(), "the end of the idle process")
    await work.close()


async def test_the_process_has_no_secrets_and_survives_a_stop_that_its_parent_survives(work, monkeypatch):
    monkeypatch.setenv("GATEWAYZ_CANARY", "secret")
    expression = evaluated(b"(sorted(__import__('os').environ), __import__('os').getpgrp())")
    names, group = await work.run("requests", "key", eval, expression)
    assert "GATEWAYZ_CANARY" not in names
    pid = work.pids()["requests"]
    assert group == pid
    os.kill(pid, signal.SIGTERM)
    assert await work.run("requests", "key", eval, evaluated(b"6 * 7")) == 42
    assert work.pids()["requests"] == pid


ORPHAN = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
from app.gateway.capacity.offload import Offload

async def main():
    work = Offload()
    await work.run("requests", "key", eval, b"1 #" + b"," * 300_000)
    print(work.pids()["requests"], flush=True)
    os._exit(9)

asyncio.run(main())
"""


async def test_the_process_ends_when_its_parent_is_killed(wire):
    root = str(Path(__file__).parents[3])
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORPHAN, root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await parent.communicate()
    assert parent.returncode == 9
    await wire.until(lambda: not is_running(int(output)), "the end of the orphan")


@pytest.mark.parametrize(
    ("escape", "count", "light"),
    [
        (rb"\ud83d ", 30_000, False),
        (rb"\uDE00", 30_000, False),
        (rb"\ud83d ", 2_000, True),
        (rb"\u00e4", 40_000, True),
        (rb"\n", 100_000, True),
        (rb"\u00e4", 60_000, False),
        (b"word ", 100_000, True),
        (b"word ", 120_000, False),
    ],
)
def test_many_escapes_and_long_strings_are_not_light(escape, count, light):
    assert is_light(b'{"model":"m","messages":[{"content":"' + escape * count + b"a" * 20_000 + b'"}]}') == light


@pytest.mark.parametrize(
    ("item", "count", "light"),
    [
        (b"{}", 80_000, False),
        (b"[]", 80_000, False),
        (b"{}", 3_000, True),
        (b"{}" + b" " * 20, 3_000, False),
        (b"{}" + b" " * 20, 1_900, True),
        (b"0.5", 60_000, True),
        (b'""', 80_000, True),
    ],
)
def test_nothing_but_objects_is_heavy_below_the_size_that_is_read_at_once(item, count, light):
    text = b"[" + b",".join([item] * (count - 1)) + b"]"
    assert len(text) <= INLINE_BYTES
    assert is_light(text) == light


async def test_the_input_of_a_heavy_request_is_counted_where_it_is_read(work):
    text = "\u00e4 \U0001f600" * 40_000
    body = chat_of([{"role": "user", "content": text}, *MANY])
    request = await read_request(body, "chat", work, owner="key")
    assert request.estimated_input_tokens == estimated_input_tokens(parse_chat(body))
    assert parse_chat(body).estimated_input_tokens is None
    # What was counted is not counted again.
    assert estimated_input_tokens(msgspec.structs.replace(request, fields={})) == request.estimated_input_tokens


async def test_what_is_light_is_done_in_place(work):
    assert await work.run("requests", "key", eval, b"__import__('os').getpid()") == os.getpid()
    text = chat_of([{"role": "user", "content": "x" * 500_000}])
    assert (await read_request(text, "chat", work, owner="key")).body is text
    assert work.pids() == {}


MESSAGES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.just("user"),
            "content": st.text(max_size=8)
            | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}), max_size=3),
            "tool_calls": st.lists(st.just({"function": {"name": "f", "arguments": "{}"}}), max_size=2),
            "reasoning": st.text(max_size=3),
        },
    ),
    min_size=1,
    max_size=4,
)


@given(
    body=st.fixed_dictionaries(
        {"model": st.just("m"), "messages": MESSAGES},
        optional={
            "stream": st.booleans(),
            "stream_options": st.fixed_dictionaries({}, optional={"include_usage": st.booleans(), "x": st.text()}),
            "long": st.text(min_size=1_100, max_size=1_200),
        },
    )
)
def test_a_summary_says_what_the_body_says(body) -> None:
    text = json.dumps(body).encode()
    request, summary = parse_chat(text), summarize(text, "chat")
    assert (summary.model, summary.stream, summary.include_usage) == ("m", request.stream, request.include_usage)
    places = {
        name: place if isinstance(place, bytes) else text[place[0] : place[1]] for name, place in summary.fields.items()
    }
    assert places == {name: bytes(raw) for name, raw in request.fields.items()}
