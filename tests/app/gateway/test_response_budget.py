"""Room for large responses: one key has a half, who waits goes on when others have ended, and nothing stays behind."""

import asyncio
import json

import pytest

from app.gateway.capacity.response_budget import LARGE_BYTES, ResponseBudget, room_for

MIB = 1024 * 1024


def share_of(room, owner, size):
    share = room.share(owner)
    assert share.try_hold(size)
    return share


async def test_small_responses_need_no_room():
    room = ResponseBudget(max_bytes=1)
    for _ in range(100):
        assert room.share("key").try_hold(LARGE_BYTES)
    assert room.held_bytes == 0


async def test_one_owner_holds_a_half_and_leaves_the_other_to_others():
    room = ResponseBudget(max_bytes=100 * MIB)
    first = share_of(room, "greedy", 40 * MIB)
    assert not room.share("greedy").try_hold(20 * MIB)
    share_of(room, "other", 50 * MIB)
    assert not room.share("third").try_hold(20 * MIB)
    first.release()
    assert room.share("third").try_hold(20 * MIB)


async def test_one_that_holds_nothing_may_hold_a_response_of_any_size():
    room = ResponseBudget(max_bytes=10 * MIB)
    share = share_of(room, "key", 64 * MIB)
    assert share.try_hold(64 * MIB)
    share.release()
    assert room.held_bytes == 0
    assert room_for(200 * MIB) == 400 * MIB


async def test_who_waits_goes_on_when_another_has_ended():
    room = ResponseBudget(max_bytes=100 * MIB)
    first, second = share_of(room, "key", 50 * MIB), room.share("key")
    waiting = asyncio.create_task(second.hold(50 * MIB))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.release()
    assert await waiting
    second.release()
    assert room.held_bytes == 0


async def test_nobody_waits_indefinitely():
    room = ResponseBudget(max_bytes=100 * MIB, wait_seconds=0.0)
    share_of(room, "key", 50 * MIB)
    assert not await room.share("key").hold(50 * MIB)


@pytest.mark.parametrize("length_is_known", [True, False])
async def test_large_responses_of_one_key_come_one_after_the_other(
    make_upstream, make_gateway, wire, length_is_known
) -> None:
    text = "a" * 3 * MIB
    large = wire.completion | {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}

    async def script(exchange):
        if length_is_known:
            await exchange.reply(large)
        else:
            body = json.dumps(large).encode()
            await exchange.raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            await exchange.send(body)
            await exchange.end()

    room = ResponseBudget(max_bytes=8 * MIB)
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    got = await asyncio.gather(*(gateway.chat() for _ in range(4)))
    assert [response.status for response in got] == [200] * 4
    await gateway.finished()
    assert room.held_bytes == 0


async def test_where_there_is_no_room_the_gateway_is_to_blame(make_upstream, make_gateway, wire) -> None:
    large = wire.completion | {"padding": "a" * 3 * MIB}

    async def script(exchange):
        await exchange.reply(large)

    room = ResponseBudget(max_bytes=8 * MIB, wait_seconds=0.0)
    taken = share_of(room, "other", 7 * MIB)
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    assert (await gateway.chat()).status == 503
    recorded = await gateway.finished()
    assert [attempt.error_kind for attempt in recorded.attempts] == ["gateway_resources"]
    taken.release()
    assert (await gateway.chat()).status == 200


async def test_an_event_of_many_megabytes_is_passed_on_as_it_is_and_needs_room(
    make_upstream, make_gateway, wire
) -> None:
    text = "a" * 3 * MIB

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk(text), wire.chunk(finish="stop"), b"[DONE]"))
        await exchange.end()

    room = ResponseBudget(max_bytes=32 * MIB)
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    response = await gateway.chat(stream=True)
    assert text.encode() in response.raw
    await gateway.finished()
    assert room.held_bytes == 0
    taken = share_of(room, "other", 31 * MIB)
    assert (await gateway.chat(stream=True)).status == 503
    taken.release()
