"""The scripted upstream over real sockets: the official SDK understands it, and it does exactly what a request's script says."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest

from demo.upstream.script import PERSONAS, STEADY, Habits, Script, ScriptError, improvise, read_script
from demo.upstream.scripted_upstream import ScriptedUpstream, serve
from tests.harness.polling import read_until

pytestmark = pytest.mark.live

MESSAGES: Any = [{"role": "user", "content": "one two three"}]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    upstream = ScriptedUpstream(STEADY, random.Random(1), asyncio.get_running_loop().time)
    task = asyncio.create_task(serve(upstream, host="127.0.0.1", port=0, ready=ready.set_result, stop=stop))
    yield await ready
    stop.set()
    await task


@pytest.fixture
async def sdk(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/healthy/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def http(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=url) as session:
        yield session


def _script(**fields: Any) -> dict[str, Any]:
    return {"x_script": {"healthy": fields}}


def _body(*, stream: bool = False, persona: str = "healthy", **script: Any) -> dict[str, Any]:
    return {"model": "m", "messages": MESSAGES, "stream": stream, "x_script": {persona: script}}


async def _counters(http: aiohttp.ClientSession) -> dict[str, Any]:
    async with http.get("/_upstream/counters") as response:
        return await response.json()


async def _settled_counters(http: aiohttp.ClientSession) -> dict[str, Any]:
    return await read_until(lambda: _counters(http), lambda found: not found["in_flight"])


async def test_a_whole_response_has_the_scripted_tokens(sdk: openai.AsyncOpenAI) -> None:
    response = await sdk.chat.completions.create(
        model="m", messages=MESSAGES, extra_body=_script(prompt_tokens=120, completion_tokens=7)
    )
    assert len((response.choices[0].message.content or "").split()) == 7
    assert response.usage is not None
    assert (response.usage.prompt_tokens, response.usage.completion_tokens, response.usage.total_tokens) == (
        120,
        7,
        127,
    )
    assert response.model == "m"


async def test_without_a_script_max_tokens_is_the_length_and_the_words_of_the_prompt_are_its_tokens(
    sdk: openai.AsyncOpenAI,
) -> None:
    response = await sdk.chat.completions.create(model="m", messages=MESSAGES, max_tokens=5)
    assert response.usage is not None
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (3, 5)


async def test_a_stream_brings_the_role_the_chunks_the_reason_and_the_usage_that_was_asked_for(
    sdk: openai.AsyncOpenAI,
) -> None:
    stream = await sdk.chat.completions.create(
        model="m",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=_script(completion_tokens=10, chunks=4),
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) == 4
    assert len("".join(texts).split()) == 10
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 10


async def test_a_stream_without_the_option_brings_no_usage(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    assert all(chunk.usage is None for chunk in [chunk async for chunk in stream])


async def test_embeddings_and_models(sdk: openai.AsyncOpenAI) -> None:
    # The SDK asks for base64 by default and unpacks it.
    packed = await sdk.embeddings.create(model="e", input=["one two", "three"])
    plain = await sdk.embeddings.create(model="e", input=["one two", "three"], encoding_format="float")
    assert packed.usage.prompt_tokens == 3
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert packed.data[0].embedding != packed.data[1].embedding
    listed = [model.id async for model in sdk.models.list()]
    assert listed[0] == "healthy-1"
    assert "healthy/aurora-large" in listed


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_statuses_are_the_sdks_typed_errors(
    sdk: openai.AsyncOpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        await sdk.chat.completions.create(
            model="m", messages=MESSAGES, extra_body=_script(status=status, retry_after="7")
        )
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.code == str(status)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ("omitted", None),
        ("other_names", {"input_tokens": 4, "output_tokens": 6.0}),
        ("unusable", {"prompt_tokens": "many", "completion_tokens": -1, "total_tokens": None}),
    ],
)
async def test_usage_in_other_shapes(http: aiohttp.ClientSession, usage: str, expected: object) -> None:
    body = _body(usage=usage, prompt_tokens=4, completion_tokens=6)
    async with http.post("/healthy/v1/chat/completions", json=body) as response:
        assert (await response.json()).get("usage") == expected


async def test_a_closed_connection_before_the_head(http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await http.post("/healthy/v1/chat/completions", json=_body(fault="close_before_head"))
    assert (await _settled_counters(http))["personas"]["healthy"]["outcomes"] == {"close_before_head": 1}


async def test_a_closed_connection_after_the_head(http: aiohttp.ClientSession) -> None:
    async with http.post("/healthy/v1/chat/completions", json=_body(fault="close_after_head")) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_responses_that_are_not_the_wire_format(http: aiohttp.ClientSession) -> None:
    async with http.post("/healthy/v1/chat/completions", json=_body(fault="bad_json")) as response:
        assert response.content_type == "application/json"
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            await response.json()
    async with http.post("/healthy/v1/chat/completions", json=_body(fault="wrong_content_type")) as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_a_stalled_request_is_seen_to_arrive_and_its_client_to_leave(http: aiohttp.ClientSession) -> None:
    call = asyncio.create_task(http.post("/healthy/v1/chat/completions", json=_body(fault="stall", tag="a")))
    async with http.get("/_upstream/arrived/a") as response:
        assert response.status == 204
    call.cancel()
    await asyncio.wait({call})
    assert (await _settled_counters(http))["personas"]["healthy"]["outcomes"] == {"client_left": 1}


@pytest.mark.parametrize("after_pause", ["continue", "break", "error_event"])
async def test_a_stream_waits_for_its_release_and_ends_as_scripted(
    http: aiohttp.ClientSession, after_pause: str
) -> None:
    body = _body(stream=True, completion_tokens=9, chunks=3, pause_after_chunks=2, after_pause=after_pause, tag="t")
    async with http.post("/healthy/v1/chat/completions", json=body) as response:
        head = b""
        while head.count(b"\n\n") < 3:  # the role and two chunks
            head += await response.content.readany()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.content.readany(), 0.05)
        async with http.post("/_upstream/release/t") as released:
            assert released.status == 204
        if after_pause == "break":
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
            return
        rest = await response.content.read()
    assert (b"[DONE]" in rest) == (after_pause == "continue")
    assert (b'"error"' in rest) == (after_pause == "error_event")


async def test_a_client_that_leaves_in_the_middle_of_a_stream_is_counted(http: aiohttp.ClientSession) -> None:
    body = _body(stream=True, completion_tokens=9, chunks=3, pause_after_chunks=1, tag="t")
    async with http.post("/healthy/v1/chat/completions", json=body) as response:
        await response.content.readany()
        response.close()
    assert (await _settled_counters(http))["personas"]["healthy"]["outcomes"] == {"client_left": 1}


async def test_the_counters_count_by_persona_and_know_the_trace_context(http: aiohttp.ClientSession) -> None:
    traced = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    for persona, headers in (("slow", traced), ("slow", {}), ("flaky", {})):
        body = _body(persona=persona, status=502)
        async with http.post(f"/{persona}/v1/chat/completions", json=body, headers=headers) as response:
            assert response.status == 502
    assert await _settled_counters(http) == {
        "personas": {
            "flaky": {"requests": 1, "with_traceparent": 0, "outcomes": {"status_502": 1}},
            "slow": {"requests": 2, "with_traceparent": 1, "outcomes": {"status_502": 2}},
        },
        "in_flight": 0,
    }


@pytest.mark.parametrize(
    "script", [{"status": "500"}, {"unknown": 1}, {"delay_seconds": -1}, {"status": 99}, {"chunks": 0}, 5]
)
async def test_a_script_that_makes_no_sense_is_refused(http: aiohttp.ClientSession, script: object) -> None:
    body = {"model": "m", "messages": MESSAGES, "x_script": {"healthy": script}}
    async with http.post("/healthy/v1/chat/completions", json=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]["message"].startswith("x_script")


async def test_an_unknown_persona_is_not_found(http: aiohttp.ClientSession) -> None:
    async with http.post("/nobody/v1/chat/completions", json=_body()) as response:
        assert response.status == 404


def test_a_script_is_for_its_persona_alone() -> None:
    body = {"x_script": {"slow": {"status": 503}}}
    assert read_script(body, "slow") == Script(status=503)
    assert read_script(body, "healthy") is None
    assert read_script({}, "healthy") is None
    with pytest.raises(ScriptError):
        read_script({"x_script": {"slow": {"fault": "explode"}}}, "slow")


def _improvised(habits: Habits, *, elapsed_seconds: float = 0.0, stream: bool = False, seed: int = 1) -> list[Script]:
    rng = random.Random(seed)
    body = {"max_tokens": 64, "stream": stream}
    return [improvise(habits, body, elapsed_seconds=elapsed_seconds, rng=rng) for _ in range(2_000)]


def test_habits_are_seeded_and_heavy_tailed() -> None:
    habits = Habits(first_byte_seconds=0.1, spread=0.9)
    scripts = _improvised(habits)
    assert scripts == _improvised(habits)
    assert scripts != _improvised(habits, seed=2)
    delays = sorted(script.delay_seconds for script in scripts)
    assert delays[1_980] > 5 * delays[1_000]  # p99 against the median


def test_longer_responses_take_longer() -> None:
    def total(tokens: int) -> float:
        script = improvise(Habits(), {"max_tokens": tokens}, elapsed_seconds=0.0, rng=random.Random(3))
        return script.delay_seconds

    assert total(1_000) > 5 * total(50)


def test_habits_bring_the_configured_share_of_failures_and_outages() -> None:
    flaky = _improvised(Habits(status_shares=((500, 0.2), (429, 0.1))))
    assert 340 < sum(script.status == 500 for script in flaky) < 460
    assert {script.retry_after for script in flaky if script.status == 429} == {"2"}
    dying = Habits(outage_every_seconds=40, outage_seconds=15)
    assert {script.status for script in _improvised(dying, elapsed_seconds=30.0)} == {503}
    assert {script.status for script in _improvised(dying, elapsed_seconds=41.0)} == {200}
    breaking = _improvised(Habits(break_share=0.4), stream=True)
    assert 700 < sum(script.after_pause == "break" for script in breaking) < 900
    assert set(STEADY) == set(PERSONAS)


async def test_an_outage_stops_the_list_of_models_too_and_is_in_no_counters() -> None:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    seconds = [10.0]
    habits = STEADY | {"dying": Habits(outage_every_seconds=40.0, outage_seconds=15.0)}
    upstream = ScriptedUpstream(habits, random.Random(1), lambda: seconds[0])
    task = asyncio.create_task(serve(upstream, host="127.0.0.1", port=0, ready=ready.set_result, stop=stop))
    statuses = []
    async with aiohttp.ClientSession(await ready) as http:
        for elapsed_seconds in (0.0, 24.0, 26.0, 39.0, 41.0):
            seconds[0] = 10.0 + elapsed_seconds
            async with http.get("/dying/v1/models") as dying, http.get("/healthy/v1/models") as healthy:
                statuses.append((dying.status, healthy.status))
        assert (await _counters(http))["personas"] == {}
    assert statuses == [(200, 200), (200, 200), (503, 200), (503, 200), (200, 200)]
    stop.set()
    await task


async def test_a_list_of_models_can_be_taken_down_and_calls_go_on(http: aiohttp.ClientSession) -> None:
    for status in (503, 200):
        async with http.post(f"/_upstream/list/healthy/{status}") as told:
            assert told.status == 204
        async with http.get("/healthy/v1/models") as listed, http.get("/slow/v1/models") as other:
            assert (listed.status, other.status) == (status, 200)
        async with http.post("/healthy/v1/chat/completions", json=_body()) as responded:
            assert responded.status == 200


async def test_a_withdrawn_model_is_not_listed_until_it_is_again(http: aiohttp.ClientSession) -> None:
    async def listed() -> set[str]:
        async with http.get("/healthy/v1/models") as response:
            return {model["id"] for model in (await response.json())["data"]}

    async def withdraw(*models: str) -> None:
        async with http.post("/_upstream/withdrawn/healthy", params=[("model", model) for model in models]) as response:
            assert response.status == 204

    every = await listed()
    assert "healthy-1" in every
    await withdraw("healthy-1")
    assert await listed() == every - {"healthy-1"}
    await withdraw()
    assert await listed() == every


async def test_a_quota_that_was_set_stays(http: aiohttp.ClientSession) -> None:
    async def left() -> str:
        async with http.post("/flaky/v1/chat/completions", json=_body(persona="flaky")) as response:
            return response.headers["x-ratelimit-remaining-requests"]

    assert await left() == "9999"
    async with http.post("/_upstream/quota/500") as response:
        assert response.status == 204
    assert [await left(), await left()] == ["500", "500"]
